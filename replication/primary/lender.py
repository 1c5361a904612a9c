"""Connections to the primary for callers that use psycopg directly, without units of work.

``Lender`` lends sessions of the pool for the length of a block, and opens others for callers that
keep their own pool (SQLAlchemy). Invariants: a connection is handed out only after its server
itself said, just then, that it is the primary, on the newest known timeline, and writable; when
another member becomes the primary, all are cut at once, whatever they are doing; when the primary
is lost and no other is known, the idle ones are cut.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import anyio
import psycopg

from replication.errors import CommitInDoubt, Facts, NoPrimary, PoolExhausted, ReadOnly
from replication.primary.read_only import LOOK_AGAIN_S, TakesNoWrites, told
from replication.primary.router import Router, not_admitted
from replication.wire import (
    AsyncLentConnection,
    LentConnection,
    Line,
    Lost,
    NotPrimary,
    Session,
    failure_of,
    final_refusal,
)
from replication.wire.wal import timeline_of

PAUSE_S = 0.1
"""Before the next try to get a connection."""

CHECK_DEADLINE_S = 1.0
"""For one question to a server about its role: it is answered from memory."""

_ROLE = (
    "SELECT CASE WHEN NOT pg_is_in_recovery()"
    " THEN pg_walfile_name(pg_current_wal_insert_lsn()) END,"
    " current_setting('transaction_read_only') = 'on'"
)


Lent = LentConnection | AsyncLentConnection


class Lender:
    """Lends connections to the primary.

    Args:
        router: hands out sessions.
        clock: monotonic seconds.
    """

    def __init__(self, router: Router, clock: Callable[[], float] = time.monotonic) -> None:
        self._router = router
        self._clock = clock
        self._lines: set[Line] = set()
        """The lines of all connections that are out."""
        router.watch.listen(self)

    @asynccontextmanager
    async def lend(self, deadline_s: float) -> AsyncIterator[AsyncLentConnection]:
        """A connection for the length of a block, which commits at its end, or rolls back."""
        session = await self.take(deadline_s)
        try:
            connection = AsyncLentConnection(session, await session.for_lending())
            with self.watching(connection):
                try:
                    yield connection
                    if connection.needs_commit():
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
            ReadOnly: the primary takes no writes.
        """

        async def borrow() -> Session:
            session = await self._router.borrow()
            try:
                await self.check(session)
            except TakesNoWrites:  # it is as good as any, and serves reads
                self._router.give_back(session)
                raise
            except BaseException as error:
                self.note_error(session, error)
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

        async def connect() -> Session:
            session = await self._router.connect_to_write()
            if session.is_read_only:
                try:
                    await self._router.require_writable(session)
                except BaseException:
                    session.abandon()
                    raise
            return session

        return await self._within(deadline_s, connect)

    async def check(self, session: Session) -> None:
        """Ask the server whether it is the primary still.

        Raises:
            NotPrimary: it is not.
            TakesNoWrites: it is, but is read-only by default.
            psycopg.Error: it does not say, or only this session is (and is closed).
        """
        try:
            with anyio.fail_after(CHECK_DEADLINE_S):
                wal_file, read_only = (await session.fetch(_ROLE))[0]
        except TimeoutError:
            raise Lost(f"{session.node} does not say what it is") from None
        if wal_file is None:
            raise NotPrimary(f"{session.node} is in recovery")
        timeline, timeline_min = timeline_of(wal_file), self._router.watch.timeline_min
        if timeline < timeline_min:
            raise NotPrimary(
                f"{session.node} is on timeline {timeline}, {timeline_min} was seen before"
            )
        if read_only:
            await self._router.require_writable(session)

    async def check_lent(self, session: Session) -> None:
        """``check`` for one whose connection is on loan, but idle.

        Raises:
            ReadOnly: it is one to the primary, which takes no writes.
            psycopg.Error: as ``check``.
        """
        with told():
            await self.check(session)
        await session.for_lending()

    @contextmanager
    def watching(self, lent: Lent) -> Iterator[None]:
        """``lent`` is in use in here; it is cut when its member is the primary no longer, and when
        it fails by itself that says something about the member."""
        self.register(lent.line)
        try:
            yield
        except Exception as error:
            self.note_error(lent.session, error)
            raise
        finally:
            self.forget(lent.line)

    def register(self, line: Line) -> None:
        """``line`` is to be cut when its member is the primary no longer."""
        self._lines -= {line for line in self._lines if line.is_closed}
        self._lines.add(line)

    def forget(self, line: Line) -> None:
        """The connection of ``line`` is closed, or was taken back."""
        self._lines.discard(line)

    def note_error(self, session: Session, error: BaseException | None) -> None:
        """Take note of what ``error`` on ``session``, lent or not, says about the primary."""
        if isinstance(error, CommitInDoubt):
            error = error.__cause__
        if isinstance(error, psycopg.Error):
            self._router.note_failure(session, failure_of(error, session))

    def primary_lost(self, node: str, reason: str) -> None:
        """As ``watch.Listener``."""
        self._cut(lambda line: line.node == node and not line.in_use)

    def primary_found(self, node: str) -> None:
        """As ``watch.Listener``."""
        self._cut(lambda line: line.node != node)

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
                except TakesNoWrites as error:
                    if isinstance(last, TakesNoWrites):
                        raise ReadOnly(f"no connection: {error}", **facts()) from error
                    last = error
                    await anyio.sleep(LOOK_AGAIN_S)
                    continue
                except psycopg.Error as error:
                    last = error
                    refused = final_refusal(error)
                    if refused is not None:
                        raise not_admitted(refused, "no connection", facts()) from error
                await anyio.sleep(PAUSE_S)
        within = f"within {deadline_s:g} s"
        if isinstance(last, TakesNoWrites):
            raise ReadOnly(f"no connection: {last}", **facts()) from last
        last = last or self._router.trouble
        if last is None and self._router.pool.is_exhausted:
            raise PoolExhausted(f"all sessions were in use {within}", **facts())
        why = "" if last is None else f" ({last})"
        raise NoPrimary(f"no primary took a connection {within}{why}", **facts())
