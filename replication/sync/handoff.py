"""A thread's call into the event loop, during which the loop calls back into the thread.

A unit of work runs in the loop's thread; its function must run in the thread that asked for it
(with its locals, its request, its Ctrl-C). So the two take turns: the loop asks the thread to call
the function (``Handoff.in_thread``), and the function asks the loop to run statements
(``ThreadCall.ask``). They are run **by the task of the unit itself**, so that its deadline and a
change of the primary also end these statements.

Invariants: one of the two is working, the other waits; the task does not go on (to a rollback, to
another attempt) before the thread has left the function; an interrupted thread cancels the task,
and answers no more requests.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, Generic, NoReturn, TypeVar

import anyio
import psycopg
from anyio.from_thread import BlockingPortal

T = TypeVar("T")
V = TypeVar("V")


class _Request:
    """A request of the thread, which waits for ``answer``."""

    def __init__(self, work: Callable[[], Awaitable[Any]]) -> None:
        self.work = work
        self.answer: SimpleQueue[Callable[[], Any]] = SimpleQueue()


class ThreadCall(Generic[V]):
    """One call of the thread's function: what passes between its beginning and its end."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._requests: deque[_Request] = deque()
        self._arrived = asyncio.Event()
        self._end: Callable[[], V] | None = None
        self._is_ending = False
        self._hurry: Callable[[], None] | None = None

    def ask(self, work: Callable[[], Awaitable[T]]) -> T:
        """In the thread: have ``work`` run by the task, and wait for it."""
        request = _Request(work)
        self._tell(lambda: self._requests.append(request))
        answer: Callable[[], T] = request.answer.get()
        return answer()

    @contextmanager
    def interruptible(self, hurry: Callable[[], None]) -> Iterator[None]:
        """In the thread: a block that waits, and whose wait ``hurry`` ends."""
        self._hurry = hurry
        if self._is_ending:  # before the loop could see it
            hurry()
        try:
            yield
        finally:
            self._hurry = None

    def end(self, result: Callable[[], V]) -> None:
        """In the thread: the function has ended."""
        self._tell(lambda: setattr(self, "_end", result))

    async def serve(self) -> V:
        """In the loop: do what the thread asks for, until its function has ended."""
        try:
            while (request := await self._next()) is not None:
                try:
                    value = await request.work()
                except Exception as error:
                    request.answer.put(_raising(error))
                except BaseException:
                    request.answer.put(_raising(_interrupted()))
                    raise
                else:
                    request.answer.put(_returning(value))
            if self._end is _cancelled:
                await anyio.sleep_forever()  # our own cancellation is on its way
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._end_thread()
            raise
        assert self._end is not None
        return self._end()

    async def _end_thread(self) -> None:
        """The task is cancelled: refuse all requests of the thread until it has left the
        function."""
        self._is_ending = True
        if (hurry := self._hurry) is not None:
            hurry()
        while (request := await self._next()) is not None:
            request.answer.put(_raising(_interrupted()))

    async def _next(self) -> _Request | None:
        while not self._requests and self._end is None:
            self._arrived.clear()
            await self._arrived.wait()
        return self._requests.popleft() if self._requests else None

    def _tell(self, change: Callable[[], object]) -> None:
        def in_loop() -> None:
            change()
            self._arrived.set()

        self._loop.call_soon_threadsafe(in_loop)


class Handoff:
    """One call of a thread into the loop behind ``portal``."""

    def __init__(self, portal: BlockingPortal, loop: asyncio.AbstractEventLoop) -> None:
        self._portal = portal
        self._loop = loop
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._scope: anyio.CancelScope | None = None
        self._is_interrupted = False

    def call(self, main: Callable[[], Awaitable[T]]) -> T:
        """In the thread: run ``main`` in the loop, and meanwhile the functions that it gives to the
        thread.

        Raises:
            BaseException: what ``main`` raises; or what interrupts the thread, after ``main`` was
                cancelled and has ended.
        """
        ends: list[T] = []

        async def run() -> None:
            try:
                with anyio.CancelScope() as self._scope:
                    if self._is_interrupted:
                        return
                    ends.append(await main())
            finally:
                self._calls.put(None)

        try:
            future = self._portal.start_task_soon(run)
        except BaseException:
            self._interrupt()
            raise
        try:
            self._receive()
        except BaseException:
            self._interrupt()
            self._receive()
            raise
        future.result()
        return ends[0]

    async def in_thread(self, fn: Callable[[ThreadCall[V]], V]) -> V:
        """In the loop, by ``main``: call ``fn`` in the thread."""
        call = ThreadCall[V](self._loop)
        self._calls.put(lambda: self._make(call, fn))
        return await call.serve()

    def _receive(self) -> None:
        while (call := self._calls.get()) is not None:
            call()

    def _make(self, call: ThreadCall[V], fn: Callable[[ThreadCall[V]], V]) -> None:
        if self._is_interrupted:
            call.end(_cancelled)
            return
        try:
            value = fn(call)
        except Exception as error:
            call.end(_raising(error))
        except BaseException:
            call.end(_cancelled)
            raise
        else:
            call.end(_returning(value))

    def _interrupt(self) -> None:
        def cancel() -> None:
            if self._scope is not None:
                self._scope.cancel()

        self._is_interrupted = True
        self._loop.call_soon_threadsafe(cancel)


def _cancelled() -> NoReturn:
    """The end of a function from which the thread was interrupted; it must not be called again."""
    raise AssertionError


def _returning(value: V) -> Callable[[], V]:
    return lambda: value


def _raising(error: Exception) -> Callable[[], NoReturn]:
    def answer() -> NoReturn:
        raise error

    return answer


def _interrupted() -> psycopg.OperationalError:
    return psycopg.OperationalError("the transaction has ended: its unit of work was interrupted")
