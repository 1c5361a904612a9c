"""Which statements a server has prepared for a connection, and which are worth it. Pure.

The rules are psycopg's own (its manual, "Prepared statements"): a statement is prepared when it is
used for the sixth time, a hundred are kept, and all are forgotten when something was rolled back,
dropped or altered, because what they refer to may have been created again.

What another session alters, or what makes the server forget behind our back (a function that runs
DEALLOCATE, a pooler that changes the server connection), is noticed when a prepared statement fails
(``is_stale``): what is sent again then is not prepared.
"""

from __future__ import annotations

import re
import secrets
from collections import OrderedDict

import psycopg
from psycopg.pq.abc import PGresult

from replication.wire.statement import Statement

USES_BEFORE = 5
KEPT_MAX = 100

_VOIDS_ALL = re.compile(rb"(?:DROP|ALTER|ROLLBACK|DISCARD ALL|DEALLOCATE ALL)\b").match
_FIRST_BYTES = b"DAR"
"""Of those. Nearly all results are told apart by it alone: INSERT, SELECT, BEGIN, COMMIT."""

INFERRED = 0
"""The type of a parameter that the server is to find out (``InvalidOid``)."""

_Key = tuple[bytes, tuple[int, ...]]

FORGOTTEN = ("26000", "42P05")
"""There is no prepared statement of this name, or there is one already: another program changes
what the server has prepared for this connection."""

PLAN_CHANGED = ("0A000", "RevalidateCachedQuery")
"""SQLSTATE, and the function of the server that says so (``src/backend/utils/cache/plancache.c``):
"cached plan must not change result type". Half of all unsupported features have this SQLSTATE."""


TYPES_CHANGED = ("22003", "22007", "22008", "22P02", "42725", "42804", "42846", "42883", "XX000")
"""What a statement says whose parameters do not fit any more. The type of a string is inferred from
the column when the statement is prepared, and kept: for a column that was made another type since,
or a type that was dropped ("cache lookup failed"), it is the wrong one. It may as well be the
value that is wrong: sent again unprepared, the statement says so."""


def is_stale(error: psycopg.Error, statement: Statement, *, is_new: bool) -> bool:
    """Whether ``error``, of a statement that was sent as a prepared one, may be for that reason.

    Args:
        error: what the server said.
        statement: the one that failed.
        is_new: it was prepared on the way, not before.
    """
    if error.sqlstate in TYPES_CHANGED and INFERRED in statement.types and not is_new:
        return True
    return (
        error.sqlstate in FORGOTTEN or (error.sqlstate, error.diag.source_function) == PLAN_CHANGED
    )


class Prepared:
    """The prepared statements of one connection."""

    def __init__(self) -> None:
        self._names: OrderedDict[_Key, bytes] = OrderedDict()
        self._uses: OrderedDict[_Key, int] = OrderedDict()
        # Behind a pooler two clients may share a server connection: a name that both had made
        # would have one run the other's statement.
        self._prefix = b"_bascule_%s_" % secrets.token_hex(4).encode()
        self._made = 0
        self._is_given_up = False
        self._are_left_behind = False
        """The server has some that were forgotten here."""

    def name_of(self, statement: Statement) -> bytes | None:
        """Its name on the server, if it is prepared."""
        name = self._names.get((statement.query, statement.types))
        if name is not None and len(self._names) > KEPT_MAX // 2:
            self._names.move_to_end((statement.query, statement.types))
        return name

    def new_name(self, statement: Statement) -> bytes | None:
        """Count a use of a statement that is not prepared: a name if it should be now."""
        if self._is_given_up:
            return None
        key = statement.query, statement.types
        uses = self._uses.pop(key, 0)
        if uses >= USES_BEFORE:
            self._made += 1
            return self._prefix + b"%d" % self._made
        self._uses[key] = uses + 1
        if len(self._uses) > KEPT_MAX:
            self._uses.popitem(last=False)
        return None

    def added(self, statement: Statement, name: bytes) -> None:
        """The server has it under ``name``."""
        self._names[statement.query, statement.types] = name

    def forget(self, error: psycopg.Error) -> None:
        """After ``error``, which ``is_stale``: nothing is prepared. Where another program
        interferes, nothing is prepared from now on, or every transaction might end so."""
        self._names.clear()
        self._uses.clear()
        self._are_left_behind = True
        self._is_given_up = self._is_given_up or error.sqlstate in FORGOTTEN

    def stale(self, results: list[PGresult]) -> Statement | None:
        """What is to be sent to the server so that it forgets what is not needed any more."""
        if not self._names and not self._are_left_behind:
            return None
        for result in results:
            tag = result.command_status
            if tag is not None and tag[0] in _FIRST_BYTES and _VOIDS_ALL(tag):
                self._names.clear()
                self._uses.clear()
                self._are_left_behind = False
                return Statement(b"DEALLOCATE ALL")
        if len(self._names) > KEPT_MAX:
            return Statement(b"DEALLOCATE " + self._names.popitem(last=False)[1])
        return None
