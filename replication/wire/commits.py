"""What became of the commits of a lent connection, as far as anybody can tell.

A commit of a unit of work has an id row that can be asked; these have none. So what cannot be known
is said (``CommitInDoubt``): the connection was lost while COMMIT was on its way, or the wait for a
synchronous standby was cancelled, of which psycopg makes a notice that nobody reads.

Not seen are commits that are not recognizable as such: ``execute("COMMIT")`` and statements in
autocommit mode whose connection is lost (``psycopg.OperationalError``, as with psycopg itself).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.pq.abc import PGconn

from replication.errors import CommitInDoubt, Facts
from replication.outcomes import Action, Phase, decide
from replication.wire.errors import RolledBack, failure_of
from replication.wire.line import Line

_SYNC_WAIT = "SyncRepWaitForLSN"
"""The server's function that warns when the wait for a standby was cancelled
(``src/backend/replication/syncrep.c``): in several languages, under several SQLSTATEs."""


class Commits:
    """Watches those of one connection.

    Args:
        pgconn: closed when a commit is in doubt.
        line: its socket.
    """

    def __init__(self, pgconn: PGconn, line: Line) -> None:
        self._pgconn = pgconn
        self._line = line
        self._begun_s = time.monotonic()
        self._warning: str | None = None

    def on_notice(self, notice: psycopg.errors.Diagnostic) -> None:
        """Every notice of the connection goes through here."""
        if notice.source_function == _SYNC_WAIT:
            self._warning = notice.message_primary or "a warning"

    def check(self) -> None:
        """After every wait for the server.

        Raises:
            CommitInDoubt: it warned that a synchronous wait was cancelled.
        """
        if self._warning is not None:
            warning, self._warning = self._warning, None
            raise self._in_doubt(warning, None)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """COMMIT is sent in here, and nothing else.

        Raises:
            CommitInDoubt: nobody knows whether it took effect.
            RolledBack: an error in the transaction had been swallowed.
        """
        before, was_cut = self._pgconn.transaction_status, self._line.is_cut
        try:
            yield
        except psycopg.Error as error:
            failure = failure_of(error)
            sent = before in (TransactionStatus.INTRANS, TransactionStatus.INERROR)
            in_doubt = decide(failure, Phase.COMMIT) is Action.IN_DOUBT
            if sent and not was_cut and in_doubt and failure.kind != "client":
                raise self._in_doubt(failure.message, failure.sqlstate) from error
            raise
        if before == TransactionStatus.INERROR:
            raise RolledBack("the transaction was rolled back: an error in it had been swallowed")

    def of_block(self, force_rollback: bool) -> AbstractContextManager[None]:
        """``watched`` for the end of a ``transaction()`` block that begins now; nothing for one
        that will be only a savepoint, or rolled back."""
        outermost = self._pgconn.transaction_status == TransactionStatus.IDLE
        return self.watched() if outermost and not force_rollback else nullcontext()

    def _in_doubt(self, why: str, sqlstate: str | None) -> CommitInDoubt:
        self._pgconn.finish()
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
