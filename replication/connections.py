"""Connections to the primary for those who want psycopg's own, not units of work.

``Lender`` lends sessions of the pool for the length of a block, and opens others for those who keep
their own pool (SQLAlchemy). Invariants: none is handed out that the server itself did not, just
then, call one of the primary, on the newest timeline that is known, and writable; when another
member becomes the primary, all are cut at once, whatever they are doing; when the primary is lost
without another in sight, those that are idle are.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import anyio
import psycopg

from replication.errors import CommitInDoubt, Facts, NoPrimary, NotAdmitted, PoolExhausted
from replication.outcomes import Action, Phase, decide
from replication.routing import Router
from replication.wire import (
    AsyncLentConnection,
    Line,
    NotPrimary,
    Session,
    failure_of,
    is_not_admitted,
)

PAUSE_S = 0.1
"""Before the next try to get a connection."""

CHECK_DEADLINE_S = 1.0
"""For one question to a server about its role: it is answered from memory."""

_ROLE = (
    "SELECT CASE WHEN NOT pg_is_in_recovery()"
    " THEN left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) END,"
    " current_setting('transaction_read_only') = 'on'"
)


class ReadOnly(psycopg.OperationalError):
    """The primary takes no writes, by a setting that no failover mends. (As an error of the server
    it would have SQLSTATE 25006, and the primary would be looked for again and again.)"""

    sqlstate = "0A000"


class Lender:
    """Lends connections to the primary.

    Args:
        router: hands out sessions.
        clock: monotonic seconds.
    """

    def __init__(self, router: Router, clock: Callable[[], float] = time.monotonic) -> None:
        self._router = router
        self._clock = clock
        self._losses = 0
        self._lines: dict[Line, int] = {}
        """Those of all that are out, with the number of losses before it."""
        router.watch.listen(self)

    @asynccontextmanager
    async def lend(self, deadline_s: float) -> AsyncIterator[AsyncLentConnection]:
        """A connection for the length of a block, which commits at its end, or rolls back."""
        session = await self.take(deadline_s)
        try:
            connection = AsyncLentConnection(session, await session.for_lending())
            with self.watching(connection.line):
                try:
                    yield connection
                    await connection.commit()
                finally:
                    connection.detach()
        finally:
            with anyio.CancelScope(shield=True):
                await self.give_back(session)

    async def take(self, deadline_s: float) -> Session:
        """A session of the pool that has just proved to be one to the primary; ``give_back`` it.

        Raises:
            NoPrimary: there was none within ``deadline_s``.
            PoolExhausted: all were in use.
            NotAdmitted: the server does not let us in.
        """

        async def borrow() -> Session:
            session = await self._router.borrow()
            try:
                await self.check(session)
            except BaseException as error:
                if self._router.pool.is_current(session):
                    self._judge(session.node, error)
                session.abandon()
                self._router.give_back(session)
                raise
            return session

        return await self._within(deadline_s, borrow)

    async def give_back(self, session: Session) -> None:
        """Take back a session of ``take``, as clean as it was."""
        await session.rollback()
        try:
            with anyio.fail_after(CHECK_DEADLINE_S):
                await session.reset()
        except (psycopg.Error, TimeoutError):
            session.abandon()
        finally:
            self._router.give_back(session)

    async def open(self, deadline_s: float) -> Session:
        """A session that belongs to the caller, beside the pool; see ``take``."""
        return await self._within(deadline_s, self._router.connect)

    async def check(self, session: Session) -> None:
        """Ask the server whether it is the primary still.

        Raises:
            NotPrimary: it is not.
            psycopg.Error: it does not say, or it takes no writes.
        """
        try:
            with anyio.fail_after(CHECK_DEADLINE_S):
                timeline, read_only = (await session.fetch(_ROLE))[0]
        except TimeoutError:
            raise psycopg.OperationalError(f"{session.node} does not say what it is") from None
        timeline_min = self._router.watch.timeline_min
        if timeline is None:
            raise NotPrimary(f"{session.node} is in recovery")
        if int(timeline, 16) < timeline_min:
            raise NotPrimary(
                f"{session.node} is on timeline {int(timeline, 16)}, {timeline_min} was seen before"
            )
        if read_only:
            raise ReadOnly(f"{session.node} is the primary, but is read-only by default")

    async def check_lent(self, session: Session) -> None:
        """``check`` for one whose connection is on loan, but idle; raises the same."""
        await self.check(session)
        await session.for_lending()

    @contextmanager
    def watching(self, line: Line) -> Iterator[None]:
        """The connection of ``line`` is in use in here; it is cut when its member is the primary no
        longer, and when it fails by itself that says something about the member."""
        self.register(line)
        try:
            yield
        except Exception as error:
            self.judge(line, error)
            raise
        finally:
            self.forget(line)

    def register(self, line: Line) -> None:
        """``line`` is to be cut when its member is the primary no longer."""
        for closed in [line for line in self._lines if line.is_closed]:
            del self._lines[closed]
        self._lines[line] = self._losses

    def forget(self, line: Line) -> None:
        """The connection of ``line`` is closed, or was taken back."""
        self._lines.pop(line, None)

    def judge(self, line: Line, error: BaseException | None) -> None:
        """What ``error`` on the connection of ``line`` says about the primary: nothing, if the
        connection is older than the last loss."""
        if self._lines.get(line) == self._losses:
            self._judge(line.node, error)

    def primary_lost(self, node: str, reason: str) -> None:
        """As ``watch.Listener``."""
        self._losses += 1
        self._cut(lambda line: line.node == node and not line.in_use)

    def primary_found(self, node: str) -> None:
        """As ``watch.Listener``."""
        self._cut(lambda line: line.node != node)

    def _judge(self, node: str, error: BaseException | None) -> None:
        error = error.__cause__ if isinstance(error, CommitInDoubt) and error.__cause__ else error
        if isinstance(error, psycopg.Error) and is_lost(error):
            suspect = isinstance(error, NotPrimary)
            self._router.watch.lose(node, str(error).strip(), suspect=suspect)

    def _cut(self, is_meant: Callable[[Line], bool]) -> None:
        for line in tuple(self._lines):
            if is_meant(line):
                line.cut()

    async def _within(self, deadline_s: float, get: Callable[[], Awaitable[Session]]) -> Session:
        begun_s = self._clock()
        last: psycopg.Error | None = None

        def facts() -> Facts:
            return Facts(
                unit_id=None,
                node=self._router.primary,
                sqlstate=None if last is None else last.sqlstate,
                elapsed_s=self._clock() - begun_s,
                attempts=0,
            )

        with anyio.move_on_after(deadline_s):
            while True:
                try:
                    return await get()
                except psycopg.Error as error:
                    last = error
                    if is_not_admitted(error.sqlstate):
                        raise NotAdmitted(f"no connection: {error}", **facts()) from error
                await anyio.sleep(PAUSE_S)
        within = f"within {deadline_s:g} s"
        if last is None and self._router.pool.is_exhausted:
            raise PoolExhausted(f"all sessions were in use {within}", **facts())
        why = "" if last is None else f" ({last})"
        raise NoPrimary(f"no primary took a connection {within}{why}", **facts())


def is_lost(error: psycopg.Error) -> bool:
    """Whether the connection, or its server, is of no use after ``error``."""
    failure = failure_of(error)
    return failure.kind == "lost" or decide(failure, Phase.BODY) is Action.REROUTE
