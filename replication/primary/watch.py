"""Watches the members: which one is the primary now, and how far each one is.

Every member is asked in a rhythm of its own (``pacing``), so that a silent one delays no other:
slowly while all is well, quickly while there is no primary or while the present one is doubted.
Whatever wakes the watch (a lost connection, a change in the DCS) causes a question to every member
at once. Members come and go while it runs (``membership``).

A primary that is doubted stays so until its Patroni claims the role and its server answers it.

Invariants: an answer to a question that was asked before a search began has no part in it; a lower
timeline than was seen before is never believed; a member that has just refused us is believed only
when no other claims to be the primary; a member of another cluster is never believed.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

import anyio
from anyio.abc import TaskGroup

from replication.patroni.answers import Ask, RestAnswer
from replication.patroni.members import Member
from replication.primary.pacing import (
    SEARCH_INTERVAL_S,
    SEARCH_INTERVAL_S_MAX,
    WATCH_INTERVAL_S,
    Doubts,
    search_pause_s,
)
from replication.reads.staleness import Sample

HURRY_S = 10.0
"""How long the members are asked quickly after the leader key changed: a promotion takes a second,
more with much WAL to replay."""

SAMPLES_MAX = 64
"""Positions of the primary that are remembered, to know how stale a replica is."""

ASKED_INTERVAL_S_MIN = 0.005
"""A member that answers wrongly at once (connection refused) must not make the loop spin."""


def choose_primary(
    answers: Mapping[str, RestAnswer],
    *,
    members: Collection[str],
    suspects: Collection[str] = (),
    timeline_min: int = 0,
) -> str | None:
    """The member to try, or None while there is none.

    Args:
        answers: the last answer of each member that was heard (or was silent until its deadline).
        members: all of them.
        suspects: members that have just refused us. They are believed only once every other
            member was heard: an old primary may still claim the role when it no longer works.
        timeline_min: the highest timeline seen so far; a claim of a lower one is out of date.
    """
    claims = {
        name: answer.timeline or 0
        for name, answer in answers.items()
        if answer.is_primary and (answer.timeline is None or answer.timeline >= timeline_min)
    }
    trusted = [name for name in claims if name not in suspects]
    if not trusted and any(name not in answers for name in members):
        return None
    return max(trusted or claims, key=lambda name: claims[name], default=None)


def _serves(answer: RestAnswer) -> bool:
    """Its Patroni is right that it is the primary: its server answers that Patroni too.

    In a switchover the old primary's Patroni keeps the leader lock while its server is stopped, and
    claims the role without a timeline for that second or two.
    """
    return answer.is_primary and answer.timeline is not None


class Listener(Protocol):
    """Is told that the primary changed; called in the event loop, must not block."""

    def primary_lost(self, node: str, reason: str) -> None:
        """``node`` is not the primary any more, or cannot be reached."""
        ...

    def primary_found(self, node: str) -> None:
        """``node`` says that it is the primary, so no other member is."""
        ...


class Watch:
    """Asks all members for as long as ``run`` runs.

    Args:
        members: every PostgreSQL of the cluster, as far as they are known.
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
        self.members: Mapping[str, Member] = {member.name: member for member in members}
        """Replaced, never changed, so that a loop over it is safe."""
        self.view: dict[str, RestAnswer] = {}
        """The last answer of each member."""
        self.samples: deque[Sample] = deque(maxlen=SAMPLES_MAX)
        self.proven: dict[int, float] = {}
        """By timeline, when the last commit was sent that was acknowledged on it."""
        self.primary: Member | None = None
        self.known: RestAnswer | None = None
        """An answer of the first server that was accepted: it has the names of the cluster."""
        self.ask = ask
        self._interval_s = interval_s
        self._clock = clock
        self._heard: dict[str, RestAnswer] = {}
        self._search_began_s = clock()
        self._hurry_until_s = 0.0
        self._suspects: set[str] = set()
        self._slow: set[str] = set()
        """Suspects that have refused nothing: they were merely slow."""
        self._doubts = Doubts()
        self._foreign: set[str] = set()
        """Members that belong to another cluster, by what their server says."""
        self._timelines: dict[str, int] = {}
        """The highest one on which each member was believed or accepted as the primary."""
        self._listeners: list[Listener] = []
        self._alarm = anyio.Event()
        self._found = anyio.Event()
        self._sampling: anyio.Event | None = None
        self._sampled: anyio.Event | None = None
        """The last question that was answered, or was silent until its deadline."""
        self._group: TaskGroup | None = None
        self._pollers: dict[str, anyio.CancelScope] = {}

    @property
    def timeline_min(self) -> int:
        """The highest timeline of a primary that was seen: lower ones are history."""
        return max(self._timelines.values(), default=0)

    @property
    def is_searching(self) -> bool:
        """There is no primary, or the present one is doubted, and its Patroni is silent."""
        if self.primary is None:
            return True
        heard = self._heard.get(self.primary.name)
        return self._is_doubted and heard is not None and heard.status is None

    @property
    def _is_doubted(self) -> bool:
        return self.primary is not None and self.primary.name in self._suspects

    def listen(self, listener: Listener) -> None:
        """Tell ``listener`` of every loss from now on."""
        self._listeners.append(listener)

    async def run(self) -> None:
        """Watch until cancelled, or until a question is, which ends all (``lasting``)."""
        try:
            async with anyio.create_task_group() as self._group:
                self._group.start_soon(anyio.sleep_forever)  # members may come later
                for member in self.members.values():
                    self._start(member)
        finally:
            self._group = None

    def put(self, member: Member) -> None:
        """``member`` is one of the cluster, from now on at this address.

        If it is the primary and was elsewhere, it is lost, with the sessions to where it was.
        """
        before = self.members.get(member.name)
        if before is not None and before.address != member.address:
            self.lose(member.name, f"it is at {member.host}:{member.port} now")
        self._forget(member.name)
        self.members = {**self.members, member.name: member}
        if self.primary is not None and self.primary.name == member.name:
            self.primary = member
        if self._group is not None:
            self._start(member)

    def drop(self, node: str) -> None:
        """``node`` is not a member any more. The primary stays, because it is written to."""
        if self.primary is None or self.primary.name != node:
            self._forget(node)
            self.members = {name: one for name, one in self.members.items() if name != node}

    def is_answering(self, node: str) -> bool:
        """Whether its Patroni answered the last question, as the member of that name."""
        answer = self.view.get(node)
        return answer is not None and answer.is_by(node)

    async def wait_primary(self) -> Member:
        """The primary as it is believed to be, as soon as there is one."""
        while self.primary is None:
            await self._found.wait()
        return self.primary

    def lose(self, node: str, reason: str, *, suspect: bool = False) -> None:
        """``node`` must not be used as the primary any more: search again.

        Args:
            node: ignored if it is not the present primary (but still suspected).
            reason: for people.
            suspect: it has just refused us, so its own claim is not enough.
        """
        if suspect:
            self._suspects.add(node)
            self._slow.discard(node)
        if self.primary is not None and self.primary.name == node:
            self.primary = None
            self._doubts.forget(node)
            for listener in self._listeners:
                listener.primary_lost(node, reason)
            self._search()

    def doubt(self, node: str, *, again: bool = False) -> bool:
        """``node`` takes suspiciously long: ask every member whether it is still the primary.

        Args:
            node: as long as its Patroni says that all is well, the next doubts are heard ever
                less often (``pacing.Doubts``).
            again: for a reason that was answered before; it counts while its Patroni is silent.

        Returns:
            Whether it is being asked about.
        """
        if node in self._suspects:
            return True
        heard = self.view.get(node)
        if again and heard is not None and heard.status is not None:
            return False
        if not self._doubts.admit(node, self._clock()):
            return False
        self._suspects.add(node)
        self._slow.add(node)
        self._search()
        return True

    def accept(self, node: str, timeline: int) -> None:
        """A session to ``node`` was accepted: what was thought of it before is void."""
        self._clear(node)
        self._note_timeline(node, timeline)
        if self.known is None:
            self.known = self.view.get(node)

    def prove(self, timeline: int, sent_s: float) -> None:
        """A commit that was sent at ``sent_s`` was acknowledged on ``timeline``, by a standby too
        where the primary waits for any: until then nobody committed on a later one."""
        self.proven[timeline] = max(self.proven.get(timeline, sent_s), sent_s)

    def exclude(self, node: str) -> None:
        """``node`` belongs to another cluster: ignore its claims until it is not the primary."""
        self._foreign.add(node)
        self._timelines.pop(node, None)

    def hurry(self, holder: str | None) -> None:
        """The leader key changed: ask all now, and quickly for as long as a promotion takes.

        Args:
            holder: who has it, None if the key is gone; as ``leader_watch.LeaderChanged``.
        """
        if self.primary is None or self.primary.name != holder:
            self._hurry_until_s = self._clock() + HURRY_S
            self.wake()

    def wake(self) -> None:
        """Something happened: ask all members now."""
        self._alarm.set()
        self._alarm = anyio.Event()

    async def sample(self) -> Sample | None:
        """Where the primary's WAL is now, asked on purpose; None when it does not say.

        Callers that ask at the same time share one question: many reads do not make a storm.
        """
        if self.primary is None:
            return None
        member = self.primary
        if (asking := self._sampling) is not None:
            await asking.wait()
            if self._sampled is not asking:  # the asker has given up
                return await self.sample()
        else:
            asking = self._sampling = anyio.Event()
            try:
                self._hear(member, await self.ask(member))
                self._sampled = asking
            finally:
                self._sampling = None
                asking.set()
        newest = self.samples[-1] if self.samples else None
        return newest if newest is not None and newest.node == member.name else None

    def _start(self, member: Member) -> None:
        """Begin to ask ``member``."""
        assert self._group is not None, "run comes first"
        scope = self._pollers[member.name] = anyio.CancelScope()
        self._group.start_soon(self._poll, member, scope)

    def _forget(self, node: str) -> None:
        """Drop what was heard of ``node``, and end the questions to it."""
        if (poller := self._pollers.pop(node, None)) is not None:
            poller.cancel()
        self.view.pop(node, None)
        self._heard.pop(node, None)
        self._clear(node)
        self._foreign.discard(node)
        self._doubts.forget(node)

    def _clear(self, node: str) -> None:
        """Nothing is held against ``node`` any more."""
        self._suspects.discard(node)
        self._slow.discard(node)

    def _search(self) -> None:
        self._heard.clear()
        self._search_began_s = self._clock()
        self.wake()

    async def _poll(self, member: Member, scope: anyio.CancelScope) -> None:
        with scope:
            while True:
                alarm = self._alarm
                self._hear(member, await self.ask(member))
                if self._alarm is not alarm:  # while it was being asked
                    await anyio.sleep(ASKED_INTERVAL_S_MIN)
                else:
                    await self._wait_turn(alarm)

    async def _wait_turn(self, alarm: anyio.Event) -> None:
        """Pause as long as the present pace says, which may change meanwhile: a doubt that is
        answered at once causes no second question."""
        waited_s, jitter = 0.0, random.uniform(0.5, 1.5)
        while (left_s := self._pause_s() * jitter - waited_s) > 0:
            with anyio.move_on_after(left_s):
                await alarm.wait()
                return
            waited_s += left_s

    def _pause_s(self) -> float:
        now_s = self._clock()
        if now_s < self._hurry_until_s:
            return min(SEARCH_INTERVAL_S, self._interval_s)
        if self.primary is None or self._is_doubted:
            # A doubt that is unfounded ends with the first answer of the primary's Patroni.
            first_s = min(SEARCH_INTERVAL_S, self._interval_s)
            elapsed_s = now_s - self._search_began_s
            return search_pause_s(elapsed_s, first_s=first_s, most_s=SEARCH_INTERVAL_S_MAX)
        return self._interval_s

    def _hear(self, member: Member, answer: RestAnswer) -> None:
        """Take an answer in, and draw the conclusion."""
        if self.members.get(member.name) is not member:  # it is gone, or somewhere else
            return
        if answer.is_of_another_cluster(self.known):  # at the address of one that left
            answer = RestAnswer(asked_s=answer.asked_s, elapsed_s=answer.elapsed_s)
        self.view[member.name] = answer
        self._take_sample(member, answer)
        if answer.asked_s < self._search_began_s:
            return
        if _serves(answer) and member.name in self._slow:
            self._clear(member.name)  # a silent third member must not keep it in doubt
        if answer.status is not None and not answer.is_primary:
            self._clear(member.name)  # what it claims after that is news
            self._foreign.discard(member.name)  # it may be made again, as a replica of ours
        self._heard[member.name] = RestAnswer() if member.name in self._foreign else answer
        chosen = choose_primary(
            self._heard,
            members=self.members,
            suspects=self._suspects,
            timeline_min=self.timeline_min,
        )
        self._conclude(member, answer, chosen)

    def _take_sample(self, member: Member, answer: RestAnswer) -> None:
        """Keep where the WAL of a primary ends; not of one on an obsolete timeline, which may
        claim the role long after another has taken writes."""
        timeline, lsn_bytes = answer.timeline, answer.lsn_bytes
        if not answer.is_primary or answer.in_recovery or timeline is None or lsn_bytes is None:
            return
        if timeline >= self.timeline_min:
            self.samples.append(
                Sample(
                    node=member.name,
                    asked_s=answer.asked_s,
                    timeline=timeline,
                    lsn_bytes=lsn_bytes,
                )
            )

    def _conclude(self, member: Member, answer: RestAnswer, chosen: str | None) -> None:
        current = None if self.primary is None else self.primary.name
        if current is None:
            if chosen is not None:
                self._become(chosen)
        elif chosen == current:
            if _serves(self.view[chosen]):
                self._clear(chosen)
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
        # The holder of the leader lock on a timeline makes all lower ones obsolete.
        self._note_timeline(chosen, self.view[chosen].timeline or 0)
        self.primary = self.members[chosen]
        for listener in self._listeners:
            listener.primary_found(chosen)
        self._found.set()
        self._found = anyio.Event()

    def _note_timeline(self, node: str, timeline: int) -> None:
        self._timelines[node] = max(self._timelines.get(node, 0), timeline)
