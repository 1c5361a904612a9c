"""The thread that raises and serves a cluster of containers, with an event loop of its own.

Its owner can end it at any time, also in the middle of the boot: a Ctrl-C reaches the thread that
waits, and not this one.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import anyio
import anyio.abc
import anyio.from_thread

from chaos.gameday.errors import ClusterInTestsError, NotHealthyError, NotRunningError, words_of

T = TypeVar("T")
T1 = TypeVar("T1")

STOP_TIMEOUT_S = 60.0


class Served(Protocol):
    """What the thread runs: gets ready, reports that, and serves until the end."""

    async def __call__(
        self, end: ClusterEnd, *, task_status: anyio.abc.TaskStatus[Any]
    ) -> None: ...


class ClusterEnd:
    """Ends what is served. Made and used in its event loop.

    Attributes:
        booting: to be entered while it gets ready, or for its whole life; cancelled when it is over
            before it is ``ready``.
    """

    def __init__(self) -> None:
        self.booting = anyio.CancelScope()
        self._over = anyio.Event()
        self._is_ready = False

    def ready(self) -> None:
        """It is ready, and ends by itself from now on."""
        self._is_ready = True

    def now(self) -> None:
        """It is over."""
        self._over.set()
        if not self._is_ready:
            self.booting.cancel()

    async def wait(self) -> None:
        """Until it is over."""
        await self._over.wait()


class Serving:
    """A context manager: a thread that serves one thing; at its end what is served has ended."""

    def __init__(self) -> None:
        self._served: concurrent.futures.Future[None] | None = None
        self._running = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            portal = anyio.from_thread.start_blocking_portal(name="bascule-testing")
            self._portal = opening.enter_context(portal)
            self._end = self._portal.call(ClusterEnd)
            opening.callback(self._close)
            self._running = opening.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._running.close()

    def start(self, served: Served, answer: type[T]) -> T:
        """Serve; returns what it says when it is ready.

        Raises:
            BaseException: what it raised before it was ready.
        """
        self._served, ready = self._portal.start_task(served, self._end)
        assert isinstance(ready, answer)
        return ready

    def do(
        self, what: str, function: Callable[[T1], Awaitable[T]], argument: T1, *, timeout_s: float
    ) -> T:
        """Call a function in the thread.

        Args:
            what: its name, for the words of an error.
            function: is cancelled when the time is up, or the caller is interrupted.
            argument: of the function.
            timeout_s: how long it may take.

        Raises:
            NotRunningError: the thread has ended.
            NotHealthyError: it took longer than ``timeout_s``.
            Exception: what it raised.
        """
        try:
            future = self._portal.start_task_soon(function, argument)
        except RuntimeError as error:  # anyio: the portal does not run
            raise NotRunningError(f"the cluster was stopped before {what}") from error
        try:
            if future not in concurrent.futures.wait([future], timeout_s).done:
                raise NotHealthyError(f"{what} took longer than {timeout_s:g} s")
            return future.result()
        except concurrent.futures.CancelledError as error:
            raise NotRunningError(f"the cluster was stopped during {what}") from error
        finally:
            future.cancel()  # without effect where it is done

    def _close(self) -> None:
        self._portal.call(self._end.now)
        if self._served is None:
            return
        try:
            self._served.result(STOP_TIMEOUT_S)
        except TimeoutError as error:
            words = f"what serves the cluster did not end in {STOP_TIMEOUT_S:g} s"
            raise ClusterInTestsError(words) from error
        except Exception as error:
            words = "; ".join(words_of(error))
            raise ClusterInTestsError(f"what serves the cluster has failed: {words}") from error
