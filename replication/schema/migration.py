"""A migration: a change of the schema that is applied once, in one transaction. Values only."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from psycopg import sql

from replication.units.unit import Transaction
from replication.wire import Query

MigrationFunction = Callable[[Transaction], Awaitable[None]]

_TRANSACTION_CONTROL = frozenset(
    ("BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "PREPARE", "SAVEPOINT", "RELEASE")
)
_NOTHING_YET = re.compile(r"(?:\s+|--[^\n]*(?:\n|$)|/\*.*?\*/)*", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """A change of the schema; give ``statements``, or ``function`` with its ``version``.

    Do not change it once it is applied anywhere: write a new one.

    Attributes:
        id: unique in its series, and never used again.
        statements: one command each, all in one transaction.
        function: for changes that need more than SQL. It may be called several times, each time in
            a fresh transaction.
        version: stands for the content of ``function``, which cannot be digested.

    Raises:
        ValueError: it is empty, both or neither is given, or a statement would end the
            transaction.
    """

    id: str
    statements: Sequence[Query] = ()
    function: MigrationFunction | None = field(default=None, repr=False)
    version: str | None = None

    def __post_init__(self) -> None:
        """See ``Raises``."""
        if not self.id:
            raise ValueError("a migration has an id")
        if bool(self.statements) == (self.function is not None):
            raise ValueError(f"{self.id} has either statements or a function")
        if (self.function is None) != (self.version is None):
            raise ValueError(f"{self.id} needs a version if, and only if, it is a function")
        for statement in self.statements:
            word = first_word(as_text(statement))
            if word in _TRANSACTION_CONTROL:
                raise ValueError(f"{self.id} has {word}: a migration is one transaction already")

    @property
    def digest(self) -> str:
        """SHA-256 of the content. White space counts: it may be part of a value."""
        parts = [f"version {self.version}"] if self.function else map(as_text, self.statements)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def as_text(statement: Query) -> str:
    """The SQL of ``statement``."""
    return statement if isinstance(statement, str) else statement.as_string(None)


def as_query(statement: Query) -> sql.SQL | sql.Composed:
    """``statement`` as psycopg takes it."""
    return sql.SQL(statement) if isinstance(statement, str) else statement


def first_word(text: str) -> str:
    """The first word of an SQL text, in capitals, comments skipped."""
    start = _NOTHING_YET.match(text)
    found = re.compile(r"\w+").match(text, start.end() if start else 0)
    return found[0].upper() if found else ""
