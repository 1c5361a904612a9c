"""Paces the connects to one server, so that a failing one is not flooded with them.

While connects succeed, all go at once. While it is unknown whether the server takes us, and after a
failure, one goes at a time, after a growing pause, and all callers that wait share its result: a
final refusal costs one login, however many wait.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable

import anyio
import psycopg

from replication.primary.waits import Superseded
from replication.wire import Session

PAUSE_S_MIN, PAUSE_S_MAX = 0.02, 0.5
"""Between two connects that fail, doubling, with jitter. The least is a few connects' time; the
most is what a server that came back unnoticed may wait for us, and two logins a second from each
process are no load."""


class Door:
    """The door of one server, or of the present primary.

    Args:
        is_patient: a caller that comes too early waits for its turn; else the last failure is
            raised again at once, because there are other servers to try.
        clock: monotonic seconds.
    """

    def __init__(
        self, *, is_patient: bool = True, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._is_patient = is_patient
        self._clock = clock
        self._pause_s: float | None = 0.0
        """Before the next connect, which goes alone; None: all go at once."""
        self._pace_s: float | None = None
        """The pause after a connect that succeeds; None: all go at once then."""
        self._not_before_s = 0.0
        self._is_tried = False
        self._failures = 0
        self._last: psycopg.Error | None = None
        self._changed = anyio.Event()

    @property
    def trouble(self) -> psycopg.Error | None:
        """Why the last connect failed; None since one succeeded."""
        return self._last

    async def through(self, connect: Callable[[], Awaitable[Session]]) -> Session:
        """What ``connect`` returns, called when it is its turn.

        Raises:
            psycopg.Error: what ``connect`` raised, perhaps for another caller.
        """
        while self._pause_s is not None:
            wait_s = self._not_before_s - self._clock()
            if not self._is_tried and wait_s <= 0:
                return await self._try_alone(connect)
            if not self._is_patient and self._last is not None:
                raise self._last.with_traceback(None)
            is_tried, failures = self._is_tried, self._failures
            with anyio.move_on_after(None if is_tried else wait_s):
                await self._changed.wait()
            if is_tried and self._failures > failures and self._last is not None:
                raise self._last.with_traceback(None)
        try:
            session = await connect()
        except Superseded:
            raise
        except psycopg.Error as error:
            if self._pause_s is None:
                self._failed(PAUSE_S_MIN, error)
            raise
        return session

    def pace(self, pause_s: float | None) -> None:
        """From now on one goes at a time, ``pause_s`` after the last; None: as ever."""
        if pause_s != self._pace_s and self._last is None:
            self._pause_s = pause_s
            self._not_before_s = self._clock() + (pause_s or 0.0)
            self._tell()
        self._pace_s = pause_s

    def reset(self) -> None:
        """Another server is behind it: forget what is known of the last one."""
        self._pause_s, self._pace_s = 0.0, None
        self._not_before_s, self._last = 0.0, None
        self._tell()

    async def _try_alone(self, connect: Callable[[], Awaitable[Session]]) -> Session:
        pause_s = max(PAUSE_S_MIN, 2 * (self._pause_s or 0.0))
        self._is_tried = True
        try:
            session = await connect()
        except Superseded:
            raise
        except psycopg.Error as error:
            self._failed(min(pause_s, PAUSE_S_MAX), error)
            raise
        else:
            self._pause_s, self._last = self._pace_s, None
            self._not_before_s = self._clock() + (self._pace_s or 0.0)
            return session
        finally:
            self._is_tried = False
            self._tell()

    def _failed(self, pause_s: float, error: psycopg.Error) -> None:
        self._pause_s, self._last = pause_s, error
        self._failures += 1
        self._not_before_s = self._clock() + pause_s * random.uniform(0.5, 1.5)

    def _tell(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
