"""A session's connection, lent to whoever wants to use psycopg as they know it.

The lent object is a psycopg connection of its own on top of the session's libpq connection, for a
thread (``LentConnection``) or for the event loop (``AsyncLentConnection``). What its user does to
it, autocommit, row factory, adapters, never shows in the session. **Two do not use one libpq
connection at a time**: from lending to ``detach`` the session is left alone, and whoever has to end
a wait from outside cuts the ``Line``.

What they have beyond psycopg's: an interrupted wait closes the connection instead of sending a
cancel request, and a commit that may or may not have taken effect is a ``CommitInDoubt``
(``Commits``).
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import psycopg
from psycopg import waiting
from psycopg.abc import RV, AdaptContext, PQGen
from psycopg.adapt import AdaptersMap
from psycopg.pq.abc import PGconn
from psycopg.rows import TupleRow

from replication.wire.commits import Commits
from replication.wire.connection import closed_pgconn
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
        self.commits = Commits(pgconn, self.line)
        self.add_notice_handler(self.commits.on_notice)
        self.add_notice_handler(session.on_notice)
        self._in_unit = in_unit
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
        in_unit: the transaction that is open belongs to somebody else, who commits it.
    """

    def close(self) -> None:
        """Close the connection itself."""
        super().close()
        self.line.close()

    def wait(
        self, gen: PQGen[RV], interval: float = _WAKE_INTERVAL_S, timeout: float | None = None
    ) -> RV:
        """Replaces psycopg's own, which would send a cancel request and wait for its effect."""
        try:
            result = waiting.wait(gen, self.pgconn.socket, interval=interval, timeout=timeout)
        except (KeyboardInterrupt, SystemExit):
            self.pgconn.finish()
            raise
        except psycopg.Error as error:
            told = self.session.with_last_words(error)
            raise told from told.__cause__
        self.commits.check()
        return result

    def commit(self) -> None:
        """Commit what is open.

        Raises:
            CommitInDoubt: nobody knows whether it took effect.
            RolledBack: it did not: an error in the transaction had been swallowed.
        """
        self._refuse_in_unit("commit")
        with self.commits.watched():
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
        watch = self.commits.of_block(force_rollback)
        block = super().transaction(savepoint_name, force_rollback)
        transaction = block.__enter__()
        try:
            yield transaction
        except BaseException:
            if not block.__exit__(*sys.exc_info()):
                raise
        else:
            with watch:
                block.__exit__(None, None, None)


class AsyncLentConnection(_Lent, psycopg.AsyncConnection[TupleRow]):
    """For the event loop; the arguments are those of ``LentConnection``."""

    async def close(self) -> None:
        """Close the connection itself."""
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
        except (asyncio.CancelledError, KeyboardInterrupt, SystemExit):
            self.pgconn.finish()
            raise
        except psycopg.Error as error:
            told = self.session.with_last_words(error)
            raise told from told.__cause__
        self.commits.check()
        return result

    async def commit(self) -> None:
        """As ``LentConnection.commit``."""
        self._refuse_in_unit("commit")
        with self.commits.watched():
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
        watch = self.commits.of_block(force_rollback)
        block = super().transaction(savepoint_name, force_rollback)
        transaction = await block.__aenter__()
        try:
            yield transaction
        except BaseException:
            if not await block.__aexit__(*sys.exc_info()):
                raise
        else:
            with watch:
                await block.__aexit__(None, None, None)
