"""Conversations with the primary that can be interrupted when they have become pointless.

A server that is frozen, or cut off, says nothing more, and its kernel may still acknowledge what
we send: nothing but another member's word shows that waiting is in vain. So every wait for an
answer is a talk, and when another primary is found, the talks with the old one end at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType

import anyio
import psycopg

OVERDUE_S = 1.0
"""A talk that takes longer makes the members be asked whether its server is still the primary. A
small write takes milliseconds."""

LOOK_INTERVAL_S = 0.5
"""How often the talks are looked through."""


class Superseded(psycopg.OperationalError):
    """Another member is the primary now: to wait for this one any longer is in vain."""


class Talk:
    """One wait for a server: a context manager, entered once."""

    __slots__ = ("_among", "node", "scope", "since_s")

    def __init__(self, node: str, since_s: float, among: set[Talk]) -> None:
        self.node = node
        self.since_s = since_s
        self.scope = anyio.CancelScope()
        self._among = among

    def __enter__(self) -> None:
        self._among.add(self)
        self.scope.__enter__()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        self._among.discard(self)
        swallowed = bool(self.scope.__exit__(exc_type, exc, traceback))
        if self.scope.cancelled_caught:
            raise Superseded(f"{self.node} is not the primary any more")
        return swallowed


class Talks:
    """All that are going on."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._talks: set[Talk] = set()

    def with_node(self, node: str) -> Talk:
        """Everything in it waits for ``node``.

        Raises:
            Superseded: on leaving: it was interrupted.
        """
        return Talk(node, self._clock(), self._talks)

    def interrupt_all_but(self, node: str) -> None:
        """End every talk with another server: ``node`` is the primary."""
        for talk in self._talks:
            if talk.node != node:
                talk.scope.cancel()

    async def watch_overdue(self, doubt: Callable[[str], None]) -> None:
        """Name every server that somebody waits for suspiciously long, until cancelled."""
        while True:
            await anyio.sleep(LOOK_INTERVAL_S)
            now_s = self._clock()
            for node in {talk.node for talk in self._talks if now_s - talk.since_s > OVERDUE_S}:
                doubt(node)
