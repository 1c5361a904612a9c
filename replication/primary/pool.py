"""Sessions to one server at a time, bounded in number, kept for reuse, dropped all at once.

A caller that finds none idle waits in a queue, while new ones are opened in tasks of their own: the
first in the queue gets the next session, whether it was just opened or just given back. So a server
that takes no new connections delays no caller that an existing one can serve; and while some are in
use, a failed connect is not reported at once, because one of them may be given back.

Invariants: never more than ``size`` sessions are out or idle; callers that wait get one in the
order of asking; after ``drop`` no session that was made before is ever handed out again, and the
idle ones are closed on the spot, whatever state their server is in.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio
import psycopg

from replication.observability.events import Observers, PoolWaited, SessionOpened
from replication.wire import Session, final_refusal

Make = Callable[[], Awaitable[Session]]
Opener = Callable[[], Coroutine[Any, Any, None]]
Spawn = Callable[[Opener], None]


@dataclass(slots=True, eq=False)
class _Waiter:
    """One in the queue; told of a session, or of the error that kept it from being opened."""

    make: Make
    told: anyio.Event = field(default_factory=anyio.Event)
    session: Session | None = None
    error: Exception | None = None


class Pool:
    """Lends sessions.

    Args:
        size: how many at once.
        spawn: starts a task that is ended with the storage.
        linger_s: how long a failed connect is kept from waiting callers, and tried again (at the
            pace of ``make``), while others have sessions that they may give back.
        observers: told of waits and of new sessions.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        size: int,
        *,
        spawn: Spawn,
        linger_s: float = 0.0,
        observers: Observers,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._size = size
        self._spawn = spawn
        self._linger_s = linger_s
        self._observers = observers
        self._clock = clock
        self._idle: list[Session] = []
        self._waiters: deque[_Waiter] = deque()
        self._openers: list[anyio.CancelScope] = []
        self._generation = 0
        self._generations: dict[Session, int] = {}
        """Of the sessions that are out."""

    @property
    def idle(self) -> int:
        """Sessions that are not in use."""
        return len(self._idle)

    @property
    def lent(self) -> int:
        """Sessions that are in use."""
        return len(self._generations)

    @property
    def is_exhausted(self) -> bool:
        """All sessions are in use."""
        return self.lent >= self._size

    async def borrow(self, make: Make) -> Session:
        """A clean session; waits without limit for one to be free.

        Args:
            make: opens a new one, when none is idle.

        Raises:
            Exception: what ``make`` raises, to all who wait.
        """
        session = self._pop_idle()
        if session is None:
            return await self._wait(make)
        self._generations[session] = self._generation
        return session

    def give_back(self, session: Session) -> None:
        """Keep ``session`` for the next who asks, if it is still good."""
        if self._generations.pop(session) == self._generation and session.is_clean:
            self._keep(session)
        else:
            session.abandon()
            self._open_more()

    def drop(self) -> None:
        """Close all idle sessions; those that are out will be closed when they come back."""
        self._generation += 1
        while self._idle:
            self._idle.pop().abandon()

    def _pop_idle(self) -> Session | None:
        while self._idle:
            session = self._idle.pop()
            if session.is_clean:
                return session
            session.abandon()  # the server ended it while it was idle
        return None

    async def _wait(self, make: Make) -> Session:
        begun_s = self._clock()
        is_full = self.lent + len(self._openers) >= self._size
        waiter = _Waiter(make)
        self._waiters.append(waiter)
        try:
            self._open_more()
            await waiter.told.wait()
        except BaseException:
            if waiter.session is not None:  # it was served just then
                self.give_back(waiter.session)
            elif waiter.error is None:
                self._waiters.remove(waiter)
                self._end_surplus()
            raise
        if is_full:
            self._observers.tell(PoolWaited(waited_s=self._clock() - begun_s))
        if waiter.session is None:
            assert waiter.error is not None, "it was told of something"
            raise waiter.error
        return waiter.session

    def _open_more(self) -> None:
        """Open a session for each waiter that none is being opened for, while there is room."""
        while (
            len(self._openers) < len(self._waiters) and self.lent + len(self._openers) < self._size
        ):
            scope = anyio.CancelScope()
            self._spawn(partial(self._open, scope, self._waiters[0].make))
            self._openers.append(scope)

    async def _open(self, scope: anyio.CancelScope, make: Make) -> None:
        session: Session | None = None
        failed: Exception | None = None
        try:
            with scope:
                session = await self._make(make)
        except Exception as error:
            failed = error
        finally:
            if scope in self._openers:
                self._openers.remove(scope)
        if session is not None:
            self._keep(session)
        if failed is not None:
            await self._tell(failed, tuple(self._waiters))

    async def _tell(self, error: Exception, waiters: tuple[_Waiter, ...]) -> None:
        """Tell ``waiters`` that no session could be opened for them."""
        may_pass = isinstance(error, psycopg.Error) and final_refusal(error) is None
        if may_pass and self._linger_s and self.lent:
            self._open_more()
            await anyio.sleep(self._linger_s)
        for waiter in waiters:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
                waiter.error = error
                waiter.told.set()

    async def _make(self, make: Make) -> Session:
        while True:
            begun_s, generation = self._clock(), self._generation
            session = await make()
            if generation == self._generation:
                elapsed_s = self._clock() - begun_s
                self._observers.tell(SessionOpened(node=session.node, elapsed_s=elapsed_s))
                return session
            session.abandon()  # dropped while it was being made

    def _keep(self, session: Session) -> None:
        """For the first who waits; else it is idle."""
        if not self._waiters:
            self._idle.append(session)
            return
        waiter = self._waiters.popleft()
        waiter.session = session
        self._generations[session] = self._generation
        waiter.told.set()

    def _end_surplus(self) -> None:
        """A caller has stopped waiting: the session that is being opened last may not be needed."""
        if len(self._openers) > len(self._waiters):
            self._openers.pop().cancel()
