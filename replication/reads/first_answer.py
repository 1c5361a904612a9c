"""Asks one member after the other, and the next one too when one is silent: the first answer wins.

(Dean and Barroso, "The Tail at Scale", CACM 2013, hedged requests: the second question is put only
when the first takes longer than it usually does, so it costs next to nothing.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import anyio
from anyio.abc import TaskGroup

T = TypeVar("T")


@dataclass(slots=True)
class Pulse:
    """When a member that is being asked last said something, or since when it is asked."""

    heard_s: float
    clock: Callable[[], float]
    first_s: float | None = None
    """When it said something for the first time."""

    @property
    def is_alive(self) -> bool:
        """It has said something."""
        return self.first_s is not None

    def beat(self) -> None:
        """It has answered just now."""
        self.heard_s = self.clock()
        if self.first_s is None:
            self.first_s = self.heard_s


@dataclass(slots=True)
class _Beside(Generic[T]):
    """The others, asked while the first one is silent."""

    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    done: anyio.Event = field(default_factory=anyio.Event)
    has_begun: bool = False
    is_unwanted: bool = False
    answer: T | None = None
    error: Exception | None = None


@dataclass(slots=True, kw_only=True)
class Race(Generic[T]):
    """How members are asked.

    Args:
        ask: asks one; returns its answer, None if it has none to give.
        patience_s: how long one may be silent before the next is asked as well.
        silent: told of one that another's answer has overtaken.
        release: told of an answer that is not used.
        group: runs what is asked beside; None: one after the other.
        clock: monotonic seconds.
    """

    ask: Callable[[str, Pulse], Awaitable[T | None]]
    patience_s: Callable[[str], float]
    silent: Callable[[str], None]
    release: Callable[[T], None]
    group: TaskGroup | None
    clock: Callable[[], float]

    async def run(self, nodes: Sequence[str]) -> T | None:
        """The first answer; None when none of ``nodes`` has one.

        Raises:
            Exception: what ``ask`` raises for the first that raises.
        """
        if not nodes:
            return None
        node, others = nodes[0], nodes[1:]
        pulse = Pulse(self.clock(), self.clock)
        if not others or self.group is None:
            answer = await self.ask(node, pulse)
            return answer if answer is not None else await self.run(others)
        beside: _Beside[T] = _Beside()
        try:
            with anyio.CancelScope() as first:
                timer = _Timer(self, node, pulse, lambda: self._begin(beside, others, first))
                try:
                    answer = await self.ask(node, pulse)
                finally:
                    timer.cancel()
                if answer is not None:
                    return answer
            if not beside.has_begun:
                return await self.run(others)
            if first.cancelled_caught:
                self.silent(node)
            await beside.done.wait()
            if beside.error is not None:
                raise beside.error
            answer, beside.answer = beside.answer, None
            return answer
        finally:
            self._end(beside)

    def _begin(self, beside: _Beside[T], others: Sequence[str], first: anyio.CancelScope) -> None:
        assert self.group is not None
        beside.has_begun = True
        self.group.start_soon(self._ask_others, beside, others, first)

    async def _ask_others(
        self, beside: _Beside[T], others: Sequence[str], first: anyio.CancelScope
    ) -> None:
        try:
            with beside.scope:
                beside.answer = await self.run(others)
        except Exception as error:  # whatever it is, it belongs to who asked
            beside.error = error
        finally:
            beside.done.set()
            if beside.is_unwanted:
                self._release(beside)
            elif beside.answer is not None or beside.error is not None:
                first.cancel()

    def _end(self, beside: _Beside[T]) -> None:
        """The others are not waited for any more."""
        beside.is_unwanted = True
        beside.scope.cancel()
        self._release(beside)

    def _release(self, beside: _Beside[T]) -> None:
        if beside.answer is not None:
            answer, beside.answer = beside.answer, None
            self.release(answer)


class _Timer:
    """Goes off once, when a member has said nothing for as long as it may."""

    def __init__(
        self, race: Race[T], node: str, pulse: Pulse, goes_off: Callable[[], None]
    ) -> None:
        self._patience_s = race.patience_s(node)
        self._pulse = pulse
        self._goes_off = goes_off
        self._loop = asyncio.get_running_loop()
        self._handle = self._loop.call_later(self._patience_s, self._look)

    def cancel(self) -> None:
        """The member has answered, or is not waited for any more."""
        self._handle.cancel()

    def _look(self) -> None:
        left_s = self._pulse.heard_s + self._patience_s - self._pulse.clock()
        if left_s > 0:  # it has spoken meanwhile
            self._handle = self._loop.call_later(left_s, self._look)
        else:
            self._goes_off()
