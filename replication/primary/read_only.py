"""Why a primary takes no writes: asked of the server, when it says so (25006), and never guessed.

- It is in recovery: it is not the primary any more.
- ``default_transaction_read_only`` is on, for the database, the role or the whole server, as it is
  for maintenance. No other server takes writes either, so the caller is told (``ReadOnly``).
- It was set in the session, which is replaced.
- It was on when the session was made, and is not any more. What a database or a role has is read at
  login only (PostgreSQL manual, 19.1.3), so the session is replaced, but not before it is
  ``REPLACED_AFTER_S`` old: no two looks make a storm of logins.
- None of these: the transaction itself was made read-only, which its program decides.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import anyio
import psycopg

from replication.errors import Facts, ReadOnly
from replication.wire import Lost, Session

ASK_DEADLINE_S = 1.0
"""For one question to a server about itself: it is answered from memory."""

REPLACED_AFTER_S = 1.0
"""A younger session is as its server makes them now."""

LOOK_AGAIN_S = 0.25
"""Before a second look; only after that the caller is told. So one that tries again at once makes a
few questions a second, not a thousand."""

LOOK_INTERVAL_S = 1.0
"""While the server takes no writes, this long passes from one login for writing to the next."""

_ASK = """
    SELECT pg_is_in_recovery(), setting = 'on', source, coalesce((
        SELECT split_part(entry, '=', 2)::boolean
        FROM pg_db_role_setting, unnest(setconfig) AS entry
        WHERE entry LIKE 'default_transaction_read_only=%'
          AND setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
          AND setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = session_user))
        ORDER BY setrole = 0, setdatabase = 0
        LIMIT 1
    ), false)
    FROM pg_settings WHERE name = 'default_transaction_read_only'
"""
"""The entry that a login would take now: of the role in the database, of the role, of the database,
of all (``src/backend/utils/init/postinit.c``, ``process_settings``)."""

_READ_AT_LOGIN = frozenset({"database user", "user", "database", "global"})
"""Sources of a setting (``pg_settings.source``) that a session does not follow."""


class TakesNoWrites(psycopg.OperationalError):
    """``node`` is the primary, and read-only by default."""

    sqlstate = "25006"

    def __init__(self, node: str) -> None:
        super().__init__(
            f"{node} is the primary, but takes no writes: default_transaction_read_only is on"
        )
        self.node = node


class Replaced(psycopg.OperationalError):
    """The session took no writes, and was closed; the next one does. Nothing is wrong with its
    server."""


class Why(enum.Enum):
    """What a server says of its being read-only."""

    WRITABLE = "it is not: at most one transaction is"
    RECOVERY = "it is in recovery"
    SETTING = "it is so by default"
    SESSION = "the session is so by default, and a new one would not be"


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteStanding:
    """What a server answered.

    ``source``: where the session has its default from (``pg_settings``). ``at_login``: what a new
    session would get from its database and role.
    """

    in_recovery: bool
    by_default: bool
    source: str
    at_login: bool


def why_of(standing: WriteStanding, session_age_s: float) -> Why:
    """The conclusion. Pure."""
    if standing.in_recovery:
        return Why.RECOVERY
    if not standing.by_default:
        return Why.WRITABLE
    if standing.source == "session":  # its program has set it, and will not have in the next one
        return Why.SESSION
    may_differ = standing.source in _READ_AT_LOGIN and not standing.at_login
    return Why.SESSION if may_differ and session_age_s >= REPLACED_AFTER_S else Why.SETTING


async def ask(session: Session) -> Why:
    """Why ``session``, which is in no transaction, is read-only, if it is.

    Raises:
        psycopg.Error: the server does not say.
    """
    try:
        with anyio.fail_after(ASK_DEADLINE_S):
            in_recovery, by_default, source, at_login = (await session.fetch(_ASK))[0]
    except TimeoutError:
        raise Lost(f"{session.node} does not say what it is") from None
    standing = WriteStanding(
        in_recovery=in_recovery, by_default=by_default, source=source, at_login=at_login
    )
    session.is_read_only = by_default
    return why_of(standing, time.monotonic() - session.made_s)


@contextmanager
def told() -> Iterator[None]:
    """``TakesNoWrites`` leaves this as what an application gets.

    Raises:
        ReadOnly: in its place.
    """
    try:
        yield
    except TakesNoWrites as error:
        facts = Facts(
            unit_id=None, node=error.node, sqlstate=error.sqlstate, elapsed_s=0.0, attempts=0
        )
        raise ReadOnly(str(error), **facts) from error
