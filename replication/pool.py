"""Sessions to one server at a time, bounded in number, kept for reuse, dropped all at once.

Invariants: never more than ``size`` sessions are out or idle; whoever waits for one gets it in the
order of asking; after ``drop`` no session that was made before is ever handed out again, and the
idle ones are closed on the spot, whatever state their server is in.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import anyio

from replication.observe import Observers, PoolWaited, SessionOpened
from replication.wire import Session


class Pool:
    """Lends sessions.

    Args:
        size: how many at once.
        observers: told of waits and of new sessions.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        size: int,
        *,
        observers: Observers,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._size = size
        self._slots = anyio.Semaphore(size, fast_acquire=True)
        self._observers = observers
        self._clock = clock
        self._idle: list[Session] = []
        self._generation = 0
        self._generations: dict[Session, int] = {}
        """Of the sessions that are out."""

    @property
    def idle(self) -> int:
        """Sessions that nobody uses."""
        return len(self._idle)

    @property
    def lent(self) -> int:
        """Sessions that are in use."""
        return len(self._generations)

    @property
    def is_exhausted(self) -> bool:
        """All sessions are in use."""
        return self.lent >= self._size

    async def borrow(self, make: Callable[[], Awaitable[Session]]) -> Session:
        """A clean session; waits without limit for one to be free.

        Args:
            make: opens a new one, when none is idle.

        Raises:
            Exception: what ``make`` raises.
        """
        try:
            self._slots.acquire_nowait()
        except anyio.WouldBlock:
            await self._wait_slot()
        try:
            session = self._pop_idle() or await self._open(make)
        except BaseException:
            self._slots.release()
            raise
        self._generations[session] = self._generation
        return session

    def give_back(self, session: Session) -> None:
        """Keep ``session`` for the next who asks, if it is still good."""
        if self._generations.pop(session) == self._generation and session.is_clean:
            self._idle.append(session)
        else:
            session.abandon()
        self._slots.release()

    def is_current(self, session: Session) -> bool:
        """``session`` is out, and was made after the last ``drop``."""
        return self._generations.get(session) == self._generation

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

    async def _open(self, make: Callable[[], Awaitable[Session]]) -> Session:
        while True:
            begun_s, generation = self._clock(), self._generation
            session = await make()
            if generation == self._generation:
                elapsed_s = self._clock() - begun_s
                self._observers.tell(SessionOpened(node=session.node, elapsed_s=elapsed_s))
                return session
            session.abandon()  # dropped while it was being made

    async def _wait_slot(self) -> None:
        begun_s = self._clock()
        await self._slots.acquire()
        self._observers.tell(PoolWaited(waited_s=self._clock() - begun_s))
