"""Keeps an eye on the members: who is the primary now, and how far everybody is.

Every member is asked in a rhythm of its own, so that a silent one delays nobody but itself: slowly
while all is well, quickly while there is no primary or while the present one is in doubt. Whatever
wakes the watch (a lost connection, a change in the DCS) makes every member be asked at once.

Invariants: an answer to a question that was asked before a search began has no part in it; a lower
timeline than was seen before is never believed; whoever has just refused us is believed only when
nobody else claims to be the primary.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import anyio

from replication.members import Ask, Member, RestAnswer, choose_primary
from replication.reads import Sample

SEARCH_INTERVAL_S = 0.1
"""Between two questions to one member while a primary is looked for. A failover takes seconds; this
is what the search may add to it."""

WATCH_INTERVAL_S = 2.0
"""Between two questions to one member while all is well; HAProxy's checks ask as often."""

HURRY_S = 10.0
"""How long the members are asked quickly after the leader key changed: a promotion takes a second,
more with much WAL to replay."""

SAMPLES_MAX = 64
"""Positions of the primary that are remembered, to know how stale a replica is."""

ASKED_INTERVAL_S_MIN = 0.005
"""A member that answers wrongly at once (connection refused) must not make the loop spin."""


class Listener(Protocol):
    """Who is told that the primary changed; called in the event loop, must not block."""

    def primary_lost(self, node: str, reason: str) -> None:
        """``node`` is not the primary any more, or cannot be reached."""
        ...

    def primary_found(self, node: str) -> None:
        """``node`` says that it is the primary, so nobody else is."""
        ...


class Watch:
    """Asks all members for as long as ``run`` runs.

    Args:
        members: every PostgreSQL of the cluster.
        ask: how a member is asked.
        interval_s: between two questions to one member while all is well; jitter is added.
        clock: monotonic seconds, the one that ``ask`` stamps its answers with.
    """

    def __init__(
        self,
        members: Sequence[Member],
        ask: Ask,
        *,
        interval_s: float = WATCH_INTERVAL_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.members = {member.name: member for member in members}
        self.view: dict[str, RestAnswer] = {}
        """The last answer of each member."""
        self.samples: deque[Sample] = deque(maxlen=SAMPLES_MAX)
        self.primary: Member | None = None
        self._ask = ask
        self._interval_s = interval_s
        self._clock = clock
        self._heard: dict[str, RestAnswer] = {}
        self._search_began_s = clock()
        self._hurry_until_s = 0.0
        self._suspects: set[str] = set()
        self._foreign: set[str] = set()
        """Members that belong to another cluster, by what their server says."""
        self._timelines: dict[str, int] = {}
        """The highest one on which each member was believed or accepted as the primary."""
        self._listeners: list[Listener] = []
        self._alarm = anyio.Event()
        self._found = anyio.Event()

    @property
    def timeline_min(self) -> int:
        """The highest timeline of a primary that was seen: lower ones are history."""
        return max(self._timelines.values(), default=0)

    @property
    def is_searching(self) -> bool:
        """There is no primary, or the one there is has become doubtful."""
        return self.primary is None or self.primary.name in self._suspects

    def listen(self, listener: Listener) -> None:
        """Tell ``listener`` of every loss from now on."""
        self._listeners.append(listener)

    async def run(self) -> None:
        """Watch until cancelled."""
        async with anyio.create_task_group() as pollers:
            for member in self.members.values():
                pollers.start_soon(self._poll, member)

    async def wait_primary(self) -> Member:
        """The primary as it is believed to be, as soon as there is one."""
        while self.primary is None:
            await self._found.wait()
        return self.primary

    def lose(self, node: str, reason: str, *, suspect: bool = False) -> None:
        """``node`` is not to be used as the primary any more: search anew.

        Args:
            node: ignored if it is not the present primary (but still suspected).
            reason: for people.
            suspect: it has just refused us, so its own claim counts for little.
        """
        if suspect:
            self._suspects.add(node)
        if self.primary is not None and self.primary.name == node:
            self.primary = None
            for listener in self._listeners:
                listener.primary_lost(node, reason)
            self._search()

    def doubt(self, node: str) -> None:
        """``node`` takes suspiciously long: ask the others whether it is still the primary."""
        if node not in self._suspects:
            self._suspects.add(node)
            self._search()

    def accept(self, node: str, timeline: int) -> None:
        """A session to ``node`` was accepted: what was thought of it before is void."""
        self._suspects.discard(node)
        self._note_timeline(node, timeline)

    def exclude(self, node: str) -> None:
        """``node`` belongs to another cluster: its claims mean nothing, until it is no primary."""
        self._foreign.add(node)
        self._timelines.pop(node, None)

    def hurry(self, holder: str | None) -> None:
        """The leader key changed: ask everybody now, and quickly for as long as a promotion takes.

        Args:
            holder: who has it, None if nobody; as ``dcs.LeaderChanged``.
        """
        if self.primary is None or self.primary.name != holder:
            self._hurry_until_s = self._clock() + HURRY_S
            self.wake()

    def wake(self) -> None:
        """Something happened: ask everybody now."""
        self._alarm.set()
        self._alarm = anyio.Event()

    async def sample(self) -> Sample | None:
        """Where the primary's WAL is now, asked on purpose; None when it does not say."""
        if self.primary is None:
            return None
        member = self.primary
        self._hear(member, await self._ask(member))
        newest = self.samples[-1] if self.samples else None
        return newest if newest is not None and newest.node == member.name else None

    def _search(self) -> None:
        self._heard.clear()
        self._search_began_s = self._clock()
        self.wake()

    async def _poll(self, member: Member) -> None:
        while True:
            alarm = self._alarm
            self._hear(member, await self._ask(member))
            if self._alarm is not alarm:  # while it was being asked
                await anyio.sleep(ASKED_INTERVAL_S_MIN)
                continue
            is_quick = self.is_searching or self._clock() < self._hurry_until_s
            pause_s = SEARCH_INTERVAL_S if is_quick else self._interval_s
            with anyio.move_on_after(pause_s * random.uniform(0.5, 1.5)):
                await alarm.wait()

    def _hear(self, member: Member, answer: RestAnswer) -> None:
        """Take an answer in, and draw the conclusion."""
        self.view[member.name] = answer
        if answer.is_primary and answer.lsn_bytes is not None and answer.timeline is not None:
            self.samples.append(
                Sample(
                    node=member.name,
                    asked_s=answer.asked_s,
                    timeline=answer.timeline,
                    lsn_bytes=answer.lsn_bytes,
                )
            )
        if answer.asked_s < self._search_began_s:
            return
        if answer.status is not None and not answer.is_primary:
            self._suspects.discard(member.name)  # what it claims after that is news
            self._foreign.discard(member.name)  # it may be made anew, as a replica of ours
        self._heard[member.name] = RestAnswer() if member.name in self._foreign else answer
        chosen = choose_primary(
            self._heard,
            members=self.members,
            suspects=self._suspects,
            timeline_min=self.timeline_min,
        )
        self._conclude(member, answer, chosen)

    def _conclude(self, member: Member, answer: RestAnswer, chosen: str | None) -> None:
        current = None if self.primary is None else self.primary.name
        if current is None:
            if chosen is not None:
                self._become(chosen)
        elif chosen == current:
            self._suspects.discard(current)
        elif member.name == current and answer.status is not None and not answer.is_primary:
            self.lose(current, "its Patroni says that it is not the primary")
        elif chosen is not None and self._outranks(chosen, current):
            self.lose(current, f"{chosen} is the primary")
            self._become(chosen)

    def _outranks(self, chosen: str, current: str) -> bool:
        """A claim beside that of the present primary counts if it is of a higher timeline, or if
        the present one was heard since the search began, and claims it no more.

        That it was not heard yet says nothing: the first to answer after a failover may be the old
        primary, which does not know better.
        """
        there, here = self._heard[chosen].timeline or 0, self.view[current].timeline or 0
        heard = self._heard.get(current)
        return there > here or (heard is not None and not heard.is_primary)

    def _become(self, chosen: str) -> None:
        # Whoever holds the leader lock on a timeline makes history of all lower ones.
        self._note_timeline(chosen, self.view[chosen].timeline or 0)
        self.primary = self.members[chosen]
        for listener in self._listeners:
            listener.primary_found(chosen)
        self._found.set()
        self._found = anyio.Event()

    def _note_timeline(self, node: str, timeline: int) -> None:
        self._timelines[node] = max(self._timelines.get(node, 0), timeline)
