"""A thread's call into the event loop, in the course of which the loop calls back into the thread.

A unit of work runs in the loop's thread; its function belongs to the thread that asked for it (its
locals, its request, its Ctrl-C). So the two take turns: the loop asks the thread to call the
function (``Crossing.in_thread``), and the function asks the loop to run statements
(``Crossing.in_loop``). They are run **by the task of the unit itself**, so that its deadline, and a
change of the primary, end them as they end everything else of that unit.

Invariants: one of the two is working, the other waits; the task does not go on (to a rollback, to
another attempt) before the thread has come out of the function; a thread that was interrupted takes
the task with it, and answers nothing any more.
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
    """A thread's wish; it waits for ``answer``."""

    def __init__(self, work: Callable[[], Awaitable[Any]]) -> None:
        self.work = work
        self.answer: SimpleQueue[Callable[[], Any]] = SimpleQueue()


class Visit(Generic[V]):
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
        """In the thread: it waits for something in here, and ``hurry`` ends that wait."""
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
            if self._end is _torn_out:
                await anyio.sleep_forever()  # our own cancellation is on its way
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._turn_out()
            raise
        assert self._end is not None
        return self._end()

    async def _turn_out(self) -> None:
        """The task is cancelled: nothing works for the thread any more, until it is out."""
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


class Crossing:
    """One call of a thread into the loop behind ``portal``."""

    def __init__(self, portal: BlockingPortal, loop: asyncio.AbstractEventLoop) -> None:
        self._portal = portal
        self._loop = loop
        self._visits: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._scope: anyio.CancelScope | None = None
        self._is_interrupted = False

    def call(self, main: Callable[[], Awaitable[T]]) -> T:
        """In the thread: run ``main`` in the loop, and whatever it wants of the thread meanwhile.

        Raises:
            BaseException: what ``main`` raises, itself; or what interrupts the thread, and then
                ``main`` was cancelled, and has come to its end.
        """
        ends: list[T] = []

        async def run() -> None:
            try:
                with anyio.CancelScope() as self._scope:
                    if self._is_interrupted:
                        return
                    ends.append(await main())
            finally:
                self._visits.put(None)

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

    async def in_thread(self, fn: Callable[[Visit[V]], V]) -> V:
        """In the loop, by ``main``: call ``fn`` in the thread."""
        visit = Visit[V](self._loop)
        self._visits.put(lambda: self._visit(visit, fn))
        return await visit.serve()

    def _receive(self) -> None:
        while (visit := self._visits.get()) is not None:
            visit()

    def _visit(self, visit: Visit[V], fn: Callable[[Visit[V]], V]) -> None:
        if self._is_interrupted:
            visit.end(_torn_out)
            return
        try:
            value = fn(visit)
        except Exception as error:
            visit.end(_raising(error))
        except BaseException:
            visit.end(_torn_out)
            raise
        else:
            visit.end(_returning(value))

    def _interrupt(self) -> None:
        def cancel() -> None:
            if self._scope is not None:
                self._scope.cancel()

        self._is_interrupted = True
        self._loop.call_soon_threadsafe(cancel)


def _torn_out() -> NoReturn:
    """The end of a function that the thread was torn out of; nobody may call it."""
    raise AssertionError


def _returning(value: V) -> Callable[[], V]:
    return lambda: value


def _raising(error: Exception) -> Callable[[], NoReturn]:
    def answer() -> NoReturn:
        raise error

    return answer


def _interrupted() -> psycopg.OperationalError:
    return psycopg.OperationalError("the transaction has ended: its unit of work was interrupted")
