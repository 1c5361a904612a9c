"""Which statements a server has prepared for a connection, and which are worth it. Pure.

The rules are psycopg's own (its manual, "Prepared statements"): a statement is prepared when it is
used for the sixth time, a hundred are kept, and all are forgotten when something was rolled back,
dropped or altered, because what they refer to may have been made anew.
"""

from __future__ import annotations

import re
from collections import OrderedDict

from psycopg.pq.abc import PGresult

from replication.wire.statement import Statement

USES_BEFORE = 5
KEPT_MAX = 100

_VOIDS_ALL = re.compile(rb"(?:DROP|ALTER|ROLLBACK|DISCARD ALL|DEALLOCATE ALL)\b").match
_FIRST_BYTES = b"DAR"
"""Of those. Nearly all results are told apart by it alone: INSERT, SELECT, BEGIN, COMMIT."""

_Key = tuple[bytes, tuple[int, ...]]


class Prepared:
    """The prepared statements of one connection."""

    def __init__(self) -> None:
        self._names: OrderedDict[_Key, bytes] = OrderedDict()
        self._uses: OrderedDict[_Key, int] = OrderedDict()
        self._made = 0

    def name_of(self, statement: Statement) -> bytes | None:
        """Its name on the server, if it is prepared."""
        name = self._names.get((statement.query, statement.types))
        if name is not None and len(self._names) > KEPT_MAX // 2:
            self._names.move_to_end((statement.query, statement.types))
        return name

    def new_name(self, statement: Statement) -> bytes | None:
        """Count a use of a statement that is not prepared: a name if it should be now."""
        key = statement.query, statement.types
        uses = self._uses.pop(key, 0)
        if uses >= USES_BEFORE:
            self._made += 1
            return b"_bascule_%d" % self._made
        self._uses[key] = uses + 1
        if len(self._uses) > KEPT_MAX:
            self._uses.popitem(last=False)
        return None

    def added(self, statement: Statement, name: bytes) -> None:
        """The server has it under ``name``."""
        self._names[statement.query, statement.types] = name

    def stale(self, results: list[PGresult]) -> Statement | None:
        """What is to be sent to the server so that it forgets what is of no use any more."""
        if not self._names:
            return None
        for result in results:
            tag = result.command_status
            if tag is not None and tag[0] in _FIRST_BYTES and _VOIDS_ALL(tag):
                self._names.clear()
                self._uses.clear()
                return Statement(b"DEALLOCATE ALL")
        if len(self._names) > KEPT_MAX:
            return Statement(b"DEALLOCATE " + self._names.popitem(last=False)[1])
        return None
