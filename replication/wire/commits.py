"""What became of the commits of a lent connection, as far as that can be known.

A commit of a unit of work has an id row that can be asked; these have none. So an unknown outcome
is raised (``CommitInDoubt``): the connection was lost while something was on its way that commits,
or the wait for a synchronous standby was cancelled, which psycopg only shows as a notice.

What commits: COMMIT, by whatever name psycopg or the program sends it (``commit()``, the end of a
``transaction()`` block, ``tpc_commit()``, ``execute("COMMIT")``), alone or in a pipeline; and in
autocommit mode every statement outside of a transaction, which is its own commit: ``executemany``,
COPY, and a SELECT too, since it may call a function that writes. It is on its way from when psycopg
is told of it until everything that was sent is answered.

**What is not in doubt.** PREPARE TRANSACTION: nothing is committed before COMMIT PREPARED
(``tpc_recover()`` says whether it is prepared). A SET, a LISTEN and the like. What was to be sent
on a connection that was cut before.

**What is not seen.** A procedure that commits on its way and then fails (``CALL``). A COMMIT in the
middle of several statements in one string is seen.
"""

from __future__ import annotations

import re
import time

import psycopg
from psycopg._preparing import Prepare, PrepareManager
from psycopg._queries import PostgresQuery
from psycopg.pq import TransactionStatus

from replication.errors import CommitInDoubt, Facts
from replication.failures import Action, AttemptPhase, decide
from replication.wire.errors import RolledBack, failure_of
from replication.wire.line import Line
from replication.wire.session import Session
from replication.wire.statement import Statement, require_inside

_SYNC_WAIT = "SyncRepWaitForLSN"
"""The server's function that warns when the wait for a standby was cancelled
(``src/backend/replication/syncrep.c``): in several languages, under several SQLSTATEs."""

_SPACE = rb"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*"
_QUOTED = re.compile(rb"'(?:[^']|'')*'|\"[^\"]*\"|\$(\w*)\$.*?\$\1\$", re.DOTALL)
_COMMIT = re.compile(rb"(?:^|;)" + _SPACE + rb"(?:COMMIT|END)\b", re.IGNORECASE | re.DOTALL)
_CHANGES_NOTHING = re.compile(
    _SPACE + rb"(?:SET|RESET|SHOW|LISTEN|UNLISTEN|BEGIN|START|ROLLBACK|ABORT|SAVEPOINT|RELEASE"
    rb"|FETCH|CLOSE|DEALLOCATE|DISCARD)\b[^;]*;?" + _SPACE + rb"$",
    re.IGNORECASE | re.DOTALL,
)


class Commits:
    """Watches those of one connection.

    Args:
        session: whose connection it is; it is closed when a commit is in doubt.
        line: its socket.
        in_unit: the transaction is that of a unit of work, whose commits have id rows.
    """

    def __init__(self, session: Session, line: Line, *, in_unit: bool) -> None:
        self._session = session
        self._line = line
        self._in_unit = in_unit
        self._begun_s = time.monotonic()
        self._warning: str | None = None
        self._own: list[bytes | None] = []
        """The SQL of those that are commits of their own; None where psycopg does not say it."""
        self._inside: list[bytes] = []
        """The SQL of those that are in a transaction: one may be a COMMIT."""
        self._is_own = False
        """Of the statement that is being sent."""
        self._is_commanded = False
        """psycopg itself sends a COMMIT."""
        self._was_failed = False
        """It is that of a transaction in which an error had been swallowed."""

    def on_notice(self, notice: psycopg.errors.Diagnostic) -> None:
        """Every notice of the connection goes through here."""
        if notice.source_function == _SYNC_WAIT:
            self._warning = notice.message_primary or "a warning"

    def command(self, command: bytes, status: int) -> None:
        """psycopg sends a command of its own, in a transaction of this status."""
        if command.startswith(b"COMMIT") and self._may_arrive:
            self._is_commanded = True
            self._was_failed = status == TransactionStatus.INERROR

    def require_allowed(self, query: bytes) -> None:
        """Refuse ``query`` if it may not be sent.

        Raises:
            psycopg.ProgrammingError: it would end a unit of work's transaction.
        """
        if self._in_unit:
            require_inside(Statement(query))

    def statement(self, *, is_own: bool) -> None:
        """A statement of the program is about to be sent; ``is_own``: it is in no transaction."""
        self._is_own = is_own and self._may_arrive
        if self._is_own:
            self._own.append(None)

    def text(self, query: bytes) -> None:
        """What that was, where psycopg says it."""
        if self._is_own:
            self._own[-1] = query
        elif self._may_arrive and (not self._inside or self._inside[-1] is not query):
            self._inside.append(query)

    @property
    def is_on_its_way(self) -> bool:
        """Something that commits was sent, or is about to be, and was not answered."""
        return (
            self._is_commanded
            or any(query is None or not _CHANGES_NOTHING.match(query) for query in self._own)
            or any(_COMMIT.search(_QUOTED.sub(b"''", query)) for query in self._inside)
        )

    def answered(self) -> None:
        """Everything that was sent was answered, and nothing waits to be sent.

        Raises:
            RolledBack: COMMIT was answered with ROLLBACK.
        """
        if self._own or self._inside or self._is_commanded:
            was_failed = self._was_failed
            self.forget()
            if was_failed:
                words = "the transaction was rolled back: an error in it had been swallowed"
                raise RolledBack(words)

    def forget(self) -> None:
        """Nothing is on its way any more."""
        self._own.clear()
        self._inside.clear()
        self._is_own = self._is_commanded = self._was_failed = False

    def check(self) -> None:
        """After every wait for the server.

        Raises:
            CommitInDoubt: it warned that a synchronous wait was cancelled.
        """
        if self._warning is not None:
            warning, self._warning = self._warning, None
            raise self._in_doubt(warning, None)

    def failed(self, error: psycopg.Error) -> None:
        """A wait for the server ended with ``error``.

        Raises:
            CommitInDoubt: it is unknown whether what was on its way took effect.
        """
        self.check()
        failure = failure_of(error, self._session)
        is_proved = (
            failure.kind == "client" or decide(failure, AttemptPhase.COMMIT) is not Action.IN_DOUBT
        )
        if not is_proved and self.is_on_its_way:
            raise self._in_doubt(failure.message, failure.sqlstate) from error

    @property
    def _may_arrive(self) -> bool:
        return not (self._in_unit or self._line.is_cut or self._session.is_broken)

    def _in_doubt(self, why: str, sqlstate: str | None) -> CommitInDoubt:
        self._session.close_here()
        return CommitInDoubt(
            f"nobody knows whether a transaction on {self._line.node} was committed: {why}",
            **Facts(
                unit_id=None,
                node=self._line.node,
                sqlstate=sqlstate,
                elapsed_s=time.monotonic() - self._begun_s,
                attempts=1,
            ),
        )


class TellingPrepares(PrepareManager):
    """psycopg's own, which is shown every statement as soon as it was sent, by every kind of
    cursor; it passes the SQL on."""

    def __init__(self, commits: Commits) -> None:
        super().__init__()
        self._commits = commits

    def get(self, query: PostgresQuery, prepare: bool | None = None) -> tuple[Prepare, bytes]:
        """As psycopg's; before a statement is sent.

        Raises:
            psycopg.ProgrammingError: it would end a transaction that is not its program's.
        """
        self._commits.require_allowed(query.query)
        return super().get(query, prepare)

    def maybe_add_to_cache(
        self, query: PostgresQuery, prep: Prepare, name: bytes
    ) -> tuple[bytes, tuple[int, ...]] | None:
        """As psycopg's."""
        self._commits.text(query.query)
        return super().maybe_add_to_cache(query, prep, name)
