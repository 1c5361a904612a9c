"""Conversations with the primary that can be interrupted when they have become pointless.

A server that is frozen, or cut off, says nothing more, and its kernel may still acknowledge what
we send: only another member's answer shows that waiting is pointless. So every wait for an answer
is a talk, and when another primary is found, the talks with the old one end at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol

import anyio

from replication.primary.patience import Patience
from replication.wire import Lost

LOOK_INTERVAL_S = 0.05
"""How often the talks are looked through. One that is overdue (``patience``) makes the members be
asked whether its server is still the primary."""


class Doubt(Protocol):
    """What ``watch.Watch.doubt`` is."""

    def __call__(self, node: str, *, again: bool) -> bool:
        """Whether ``node`` is being asked about."""
        ...


class Superseded(Lost):
    """Another member is the primary now, or a replica does not answer: waiting for this one any
    longer is pointless."""


def why_superseded(node: str) -> str:
    """What ``Superseded`` says of ``node``."""
    return f"{node} is not the primary any more, or answers nobody"


class Talk:
    """One wait for a server: a context manager, entered once.

    Args:
        scope: the caller's own scope, which an interruption cancels; the caller asks for
            ``is_interrupted`` when it has ended. None: it has one, and raises ``Superseded``.
    """

    __slots__ = ("_among", "_own", "_scope", "doubted_s", "is_interrupted", "node", "since_s")

    def __init__(self, node: str, among: Talks, scope: anyio.CancelScope | None) -> None:
        self.node = node
        self.since_s = among.clock()
        self.doubted_s = 0.0
        """How long it had taken when its server was last doubted."""
        self.is_interrupted = False
        self._scope = anyio.CancelScope() if scope is None else scope
        self._own = self._scope if scope is None else None
        self._among = among

    def interrupt(self) -> None:
        """End the wait: it is pointless."""
        self.is_interrupted = True
        self._scope.cancel()

    def __enter__(self) -> None:
        self._among.going_on.add(self)
        if self._own is not None:
            self._own.__enter__()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        self._among.going_on.discard(self)
        if exc_type is None:
            self._among.patience.note(self._among.clock() - self.since_s)
        if self._own is None:
            return False
        swallowed = bool(self._own.__exit__(exc_type, exc, traceback))
        if self._own.cancelled_caught:
            raise Superseded(why_superseded(self.node))
        return swallowed


class Talks:
    """All that are going on, and how long those that ended well have taken."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.going_on: set[Talk] = set()
        self.patience = Patience()

    def with_node(self, node: str) -> Talk:
        """Everything in it waits for ``node``.

        Raises:
            Superseded: on leaving: it was interrupted.
        """
        return Talk(node, self, None)

    def within(self, scope: anyio.CancelScope, node: str) -> Talk:
        """As ``with_node``, with a scope that is there already: it is what is cancelled.

        A small read does without one of its own by that, which would be a tenth of its work.
        """
        return Talk(node, self, scope)

    def interrupt_all_but(self, node: str) -> None:
        """End every talk with another server: ``node`` is the primary."""
        for talk in self.going_on:
            if talk.node != node:
                talk.interrupt()

    def interrupt(self, node: str) -> None:
        """End every talk with ``node``: it does not answer."""
        for talk in self.going_on:
            if talk.node == node:
                talk.interrupt()

    async def watch_overdue(self, doubt: Doubt) -> None:
        """Doubt every server that is waited for suspiciously long, until cancelled.

        A talk is a reason for a doubt once it is overdue, and again whenever it has taken twice as
        long: a report that takes an hour must not cause a question every second.
        """
        while True:
            await anyio.sleep(LOOK_INTERVAL_S)
            now_s, overdue_s = self.clock(), self.patience.overdue_s
            overdue: dict[str, list[Talk]] = {}
            for talk in self.going_on:
                if now_s - talk.since_s > overdue_s:
                    overdue.setdefault(talk.node, []).append(talk)
            for node, talks in overdue.items():
                is_news = any(now_s - one.since_s > 2 * one.doubted_s for one in talks)
                if doubt(node, again=not is_news) and is_news:
                    for talk in talks:
                        talk.doubted_s = now_s - talk.since_s
