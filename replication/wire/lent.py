"""A session's connection, lent to callers that use psycopg directly.

The lent object is a psycopg connection of its own on top of the session's libpq connection, for a
thread (``LentConnection``) or for the event loop (``AsyncLentConnection``). What its user does to
it, autocommit, row factory, adapters, never shows in the session. **Two do not use one libpq
connection at a time**: from lending to ``detach`` the session is left alone, and a wait is ended
from outside by cutting the ``Line``.

What they have beyond psycopg's: a statement whose wait is interrupted closes the connection instead
of sending a cancel request, and a commit that may or may not have taken effect is a
``CommitInDoubt`` (``Commits``). An interrupted wait for notifications closes nothing: no statement
is under way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import LiteralString

import psycopg
from psycopg import waiting
from psycopg.abc import RV, AdaptContext, PQGen
from psycopg.adapt import AdaptersMap
from psycopg.pq import ConnStatus, Format, TransactionStatus
from psycopg.pq.abc import PGconn, PGresult
from psycopg.rows import TupleRow
from psycopg.sql import Composable

from replication.wire.commits import Commits, TellingPrepares
from replication.wire.connection import closed_pgconn, is_under_way
from replication.wire.errors import NotSent
from replication.wire.line import Line
from replication.wire.session import Session

_WAKE_INTERVAL_S = 0.1
"""psycopg's own default: how often a wait looks whether its socket was closed under it."""


class _Lent(psycopg.BaseConnection[TupleRow]):
    """What both have: whose connection it is, and how it is taken out again."""

    def __init__(
        self,
        session: Session,
        pgconn: PGconn,
        *,
        context: AdaptContext | None = None,
        in_unit: bool = False,
    ) -> None:
        self._handlers = (pgconn.notice_handler, pgconn.notify_handler)
        super().__init__(pgconn)
        self.session = session
        self.line = Line(pgconn, session.node)
        self.commits = Commits(session, self.line, in_unit=in_unit)
        self._prepared = TellingPrepares(self.commits)
        self.add_notice_handler(self.commits.on_notice)
        self.add_notice_handler(session.on_notice)
        self._in_unit = in_unit
        self._was_closed_idle = False
        self._autocommit = in_unit
        self.prepare_threshold = None
        if context is not None:
            self._adapters = AdaptersMap(context.adapters)

    @property
    def prepare_threshold(self) -> int | None:
        """None, whatever it is set to: psycopg and the session prepare statements each for itself,
        and each makes the server forget all when something was rolled back."""
        return None

    @prepare_threshold.setter
    def prepare_threshold(self, value: int | None) -> None:
        self._prepared.prepare_threshold = None

    def detach(self) -> None:
        """Take the connection out of this object, which is as good as closed from then on."""
        self.pgconn.notice_handler, self.pgconn.notify_handler = self._handlers
        self.pgconn = closed_pgconn()
        self.line.close()

    def needs_commit(self) -> bool:
        """At the end of a block: not if its program has closed the connection while nothing was
        open, as psycopg's own blocks see it.

        Raises:
            NotSent: a COMMIT would wait for what was left open, or would not be sent.
        """
        if self.pgconn.status == ConnStatus.OK and (
            is_under_way(self.pgconn) or self._pipeline is not None
        ):
            self.session.close_here()
            raise NotSent
        return not self._was_closed_idle

    def _note_close(self) -> None:
        """The program closes the connection."""
        if self.pgconn is not closed_pgconn():
            self._was_closed_idle |= self.pgconn.transaction_status == TransactionStatus.IDLE
            self.session.close_here()

    def _exec_command(
        self, command: LiteralString | bytes | Composable, result_format: Format = Format.TEXT
    ) -> PQGen[PGresult | None]:
        """As psycopg's; all commands that it sends by itself come by here."""
        if isinstance(command, Composable):
            command = command.as_bytes(self)
        elif isinstance(command, str):
            command = command.encode(self.pgconn._encoding)
        self.commits.command(command, self.pgconn.transaction_status)
        return (yield from super()._exec_command(command, result_format))

    def _start_query(self) -> PQGen[None]:
        """As psycopg's; all statements of all cursors begin here."""
        yield from super()._start_query()
        status = self.pgconn.transaction_status
        is_outside = status == TransactionStatus.IDLE or (
            self._pipeline is not None and status == TransactionStatus.ACTIVE
        )
        self.commits.statement(
            is_own=self._autocommit and is_outside and not self._num_transactions
        )

    @property
    def _is_settled(self) -> bool:
        """Everything that was given to psycopg was sent and answered."""
        pipeline = self._pipeline
        is_queued = pipeline is not None and (pipeline.command_queue or pipeline.result_queue)
        return not is_queued and not is_under_way(self.pgconn)

    def _answered(self) -> None:
        """After a wait. Raises what ``Commits`` does."""
        self.commits.check()
        if self._is_settled:
            self.commits.answered()

    def _failed(self, error: psycopg.Error) -> psycopg.Error:
        """After a wait that ended with ``error``: what to raise, if not what ``Commits`` does."""
        self.session.note(error)
        told = self.session.with_last_words(error)
        self.commits.failed(told)
        if self._is_settled:
            self.commits.forget()
        return told

    def _interrupted(self, interrupt: BaseException) -> None:
        """After a wait that was interrupted."""
        if is_under_way(self.pgconn):
            if self.commits.is_on_its_way:
                interrupt.add_note("nobody knows whether what was on its way was committed")
            self.session.close_here()

    def _refuse_in_unit(self, what: str) -> None:
        if self._in_unit:
            words = f"the unit of work is not yours to {what}: return, or raise"
            raise psycopg.ProgrammingError(words)


class LentConnection(_Lent, psycopg.Connection[TupleRow]):
    """For one thread at a time; see the module.

    Args:
        session: whose connection it is.
        pgconn: what its ``for_lending`` returned.
        context: whose adapters it has; psycopg's own if None.
        in_unit: the transaction that is open belongs to a unit of work, which commits it.
    """

    def close(self) -> None:
        """Close the connection itself."""
        self._note_close()
        super().close()
        self.line.close()

    def wait(
        self, gen: PQGen[RV], interval: float = _WAKE_INTERVAL_S, timeout: float | None = None
    ) -> RV:
        """Replaces psycopg's own, which would send a cancel request and wait for its effect."""
        try:
            result = waiting.wait(gen, self.pgconn.socket, interval=interval, timeout=timeout)
        except (KeyboardInterrupt, SystemExit) as interrupt:
            self._interrupted(interrupt)
            raise
        except psycopg.Error as error:
            told = self._failed(error)
            raise told from told.__cause__
        self._answered()
        return result

    def commit(self) -> None:
        """Commit what is open.

        Raises:
            CommitInDoubt: it is unknown whether it took effect.
            RolledBack: it did not: an error in the transaction had been swallowed.
        """
        self._refuse_in_unit("commit")
        super().commit()

    def rollback(self) -> None:
        """Roll back what is open."""
        self._refuse_in_unit("roll back")
        super().rollback()

    @contextmanager
    def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> Iterator[psycopg.Transaction]:
        """psycopg's, with the promises of ``commit``."""
        with super().transaction(savepoint_name, force_rollback) as transaction:
            yield transaction
            if not force_rollback:
                self.session.require_open()  # psycopg passes over that without a word


class AsyncLentConnection(_Lent, psycopg.AsyncConnection[TupleRow]):
    """For the event loop; the arguments are those of ``LentConnection``."""

    async def close(self) -> None:
        """Close the connection itself."""
        self._note_close()
        await super().close()
        self.line.close()

    async def wait(
        self,
        gen: PQGen[RV],
        interval: float = _WAKE_INTERVAL_S,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is psycopg's
    ) -> RV:
        """As ``LentConnection.wait``."""
        try:
            result = await waiting.wait_async(
                gen, self.pgconn.socket, interval=interval, timeout=timeout
            )
        except (asyncio.CancelledError, KeyboardInterrupt, SystemExit) as interrupt:
            self._interrupted(interrupt)
            raise
        except psycopg.Error as error:
            told = self._failed(error)
            raise told from told.__cause__
        self._answered()
        return result

    async def commit(self) -> None:
        """As ``LentConnection.commit``."""
        self._refuse_in_unit("commit")
        await super().commit()

    async def rollback(self) -> None:
        """Roll back what is open."""
        self._refuse_in_unit("roll back")
        await super().rollback()

    @asynccontextmanager
    async def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> AsyncIterator[psycopg.AsyncTransaction]:
        """psycopg's, with the promises of ``commit``."""
        async with super().transaction(savepoint_name, force_rollback) as transaction:
            yield transaction
            if not force_rollback:
                self.session.require_open()  # psycopg passes over that without a word
