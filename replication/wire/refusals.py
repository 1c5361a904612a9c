"""What it means that a server refuses a connection, by SQLSTATE. Pure: no text is ever compared.

What servers say is in their own language (``lc_messages``), so only the five characters count.
libpq has no field for them while it connects, but puts them into its message, at a fixed place, if
it is asked to be verbose (``connecting``). Where they come from, in PostgreSQL's sources:
``src/backend/storage/lmgr/proc.c``, ``utils/init/postinit.c``, ``utils/init/miscinit.c``,
``tcop/backend_startup.c`` (before 18: ``postmaster/postmaster.c``), ``libpq/auth.c``,
``utils/misc/guc.c``. PgBouncer refuses nearly everything with 08P01.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass


class Meaning(enum.Enum):
    """What a refusal says about another try."""

    NOT_ADMITTED = "it knows us, or does not, and does not let us in: nor the next time"
    START_REFUSED = "it does not take what our first packet asks for: nor the next time"
    FULL = "it has no room now: later, perhaps"
    NOT_READY = "it takes nobody now: it starts, stops, recovers, or broke off"

    @property
    def is_final(self) -> bool:
        """Another try would be refused again."""
        return self in {Meaning.NOT_ADMITTED, Meaning.START_REFUSED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One row of the table: a SQLSTATE (five characters) or a class of them (two)."""

    code: str
    name: str
    meaning: Meaning
    why: str


def _row(code: str, name: str, meaning: Meaning, why: str) -> Refusal:
    return Refusal(code=code, name=name, meaning=meaning, why=why)


_ADMITTED, _START = Meaning.NOT_ADMITTED, Meaning.START_REFUSED
_FULL, _NOT_READY = Meaning.FULL, Meaning.NOT_READY

REFUSALS: tuple[Refusal, ...] = (
    _row("08", "connection exception", _NOT_READY, "it broke off"),
    _row("08P01", "protocol violation", _START, "the first packet; PgBouncer: whatever it is"),
    _row("0A000", "feature not supported", _START, "the version of the protocol, or replication"),
    _row("22", "data exception", _START, "a setting in the first packet has a wrong value"),
    _row("28", "invalid authorization", _ADMITTED, "password, role without LOGIN, pg_hba.conf"),
    _row("3D000", "no such database", _ADMITTED, "it is not there"),
    _row("42501", "insufficient privilege", _ADMITTED, "no CONNECT, or not to this setting"),
    _row("42", "access rule violation", _START, "a setting in the first packet is not known"),
    _row("53", "insufficient resources", _FULL, "max_connections, memory, files, disk"),
    _row("55000", "not in the right state", _ADMITTED, "the database has ALLOW_CONNECTIONS false"),
    _row("55P02", "cannot be changed now", _START, "a setting in the first packet is fixed"),
    _row("57", "operator intervention", _NOT_READY, "it starts, stops, crashed, or still recovers"),
    _row("58", "system error", _NOT_READY, "a file could not be read"),
    _row("XX", "internal error", _NOT_READY, "a fault of the server's: it may pass"),
)
"""53300 is three limits: the server's, the role's and the database's."""

_BY_CODE = {refusal.code: refusal for refusal in REFUSALS}

UNKNOWN = _row("", "not in the table", _NOT_READY, "nobody can say what it means: it may pass")


def refusal_with(sqlstate: str) -> Refusal:
    """The row that decides: the longest code that matches."""
    return _BY_CODE.get(sqlstate) or _BY_CODE.get(sqlstate[:2]) or UNKNOWN


# "FATAL:  28P01: words" (src/interfaces/libpq/fe-protocol3.c, pqBuildErrorMessage3): the severity
# in the server's language, two spaces, the code, and with PQERRORS_VERBOSE the words. The last
# line is where in the server's source it was.
_VERBOSE = re.compile(r":  (?P<sqlstate>[0-9A-Z]{5}): ")
_PLACE = re.compile(r"\n[^\n]*\w\.[ch]:\d+\s*$")


def parse_start_failure(message: str) -> tuple[str | None, str]:
    """The SQLSTATE in libpq's verbose message of a failed start, if a server gave one, and the
    message without it."""
    found = _VERBOSE.search(message)
    if found is None:
        return None, message.strip()
    words = f"{message[: found.start()]}:  {message[found.end() :]}"
    return found["sqlstate"], _PLACE.sub("", words).strip()
