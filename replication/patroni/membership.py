"""Keeps the list of members up to date while it is in use: who came, who moved, who left.

Any member's Patroni names all members (``GET /cluster``). One is asked in a round while all is
well, and all at once while there is no primary. ``membership_rules`` decides what follows from an
answer.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

import anyio

from replication.observability.events import Change, MemberChanged
from replication.patroni.answers import Ask, Named, RestAnswer
from replication.patroni.members import Member
from replication.patroni.membership_rules import Absences, candidates
from replication.primary.pacing import ROLL_SEARCH_INTERVAL_S, search_pause_s

_log = logging.getLogger("replication")

LINGER_S = 0.5
"""How much longer the others may take once one has said who the members are, in a search."""

SAID_MAX = 100
"""At most this many different complaints are remembered; each is logged once."""


class MemberRegistry(Protocol):
    """The owner of the list: a ``Watch``, or an exporter."""

    @property
    def members(self) -> Mapping[str, Member]:
        """By name."""
        ...

    @property
    def known(self) -> RestAnswer | None:
        """An answer with the names of the cluster, once there is one."""
        ...

    @property
    def is_searching(self) -> bool:
        """There is no primary."""
        ...

    def is_answering(self, node: str) -> bool:
        """Whether its Patroni answered the last question, as the member of that name."""
        ...

    def put(self, member: Member) -> None:
        """It is a member, at this address."""
        ...

    def drop(self, node: str) -> None:
        """It is no longer a member, unless it is the primary in use."""
        ...


class Membership:
    """Asks who the members are, for as long as ``run`` runs.

    Args:
        registry: has the list.
        ask: asks a member for its role.
        ask_cluster: asks one Patroni who the members are, by its address; as
            ``RestClient.cluster``.
        tell: told of every change.
        listed: members that were listed by hand.
        endpoints: addresses of Patroni's REST API that are asked beside those of the members.
        interval_s: between two rounds while all is well; jitter is added.
        clock: monotonic seconds.
    """

    def __init__(  # noqa: PLR0913 (the parts it joins)
        self,
        registry: MemberRegistry,
        ask: Ask,
        ask_cluster: Callable[[str], Awaitable[tuple[Named | None, str]]],
        tell: Callable[[MemberChanged], None],
        *,
        listed: Sequence[Member] = (),
        endpoints: Sequence[str] = (),
        interval_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._ask = ask
        self._ask_cluster = ask_cluster
        self._tell = tell
        self._listed = {member.name: member for member in listed}
        self._endpoints = tuple(endpoints)
        self._interval_s = interval_s
        self._clock = clock
        self._absences = Absences()
        self._said: set[str] = set()
        self._alarm = anyio.Event()
        self._searches_since_s: float | None = None

    async def run(self) -> None:
        """Keep the list until cancelled. The list was made just now: begins with a pause."""
        while True:
            await self._wait_turn()
            try:
                named = await self._ask_round()
            except Exception:
                _log.exception("who the members are could not be asked, or not be understood")
                named = None
            now_s = self._clock()
            if named is None:
                self._absences.miss()
                continue
            self._absences.hear(self._registry.members, named, now_s)
            self._drop_leavers(now_s)

    def wake(self) -> None:
        """Something happened (the primary was lost, an unknown member leads): ask soon."""
        self._alarm.set()

    def primary_lost(self, node: str, reason: str) -> None:
        """As ``watch.Listener``."""
        self.wake()

    def primary_found(self, node: str) -> None:
        """As ``watch.Listener``."""

    async def _wait_turn(self) -> None:
        """Pause, long enough that frequent wake-ups do not make a storm."""
        await anyio.sleep(min(ROLL_SEARCH_INTERVAL_S, self._interval_s) * random.uniform(0.5, 1.0))
        since_s, jitter = self._clock(), random.uniform(0.5, 1.5)
        while (left_s := since_s + self._pause_s() * jitter - self._clock()) > 0:
            with anyio.move_on_after(left_s):
                await self._alarm.wait()
                break
        self._alarm = anyio.Event()

    def _pause_s(self) -> float:
        """Beside the least one."""
        if not self._registry.is_searching:
            self._searches_since_s = None
            return self._interval_s
        now_s = self._clock()
        if self._searches_since_s is None:
            self._searches_since_s = now_s
        pause_s = search_pause_s(
            now_s - self._searches_since_s, first_s=ROLL_SEARCH_INTERVAL_S, most_s=self._interval_s
        )
        return pause_s - ROLL_SEARCH_INTERVAL_S

    async def _ask_round(self) -> set[str] | None:
        """Ask, and take in who is new; the names in all answers, None if there was none."""
        sources = list(
            dict.fromkeys(
                (*self._endpoints, *(one.rest_url for one in self._registry.members.values()))
            )
        )
        random.shuffle(sources)
        names: set[str] = set()
        if not self._registry.is_searching:
            for source in sources:
                if await self._ask_one(source, names):
                    return names
            return None
        async with anyio.create_task_group() as group:

            async def ask(source: str) -> None:
                if await self._ask_one(source, names):
                    group.cancel_scope.deadline = anyio.current_time() + LINGER_S

            for source in sources:
                group.start_soon(ask, source)
        return names or None

    async def _ask_one(self, source: str, names: set[str]) -> bool:
        """Whether ``source`` said who the members are; they are added to ``names``."""
        named, _ = await self._ask_cluster(source)
        if named is None:
            return False
        if RestAnswer(scope=named.scope).is_of_another_cluster(self._registry.known):
            self._say(f"{source} belongs to another cluster ({named.scope}): it is not believed")
            return False
        for words in named.left_out:
            self._say(words)
        names.update(member.name for member in named.members)
        async with anyio.create_task_group() as group:
            for member in candidates(
                named.members,
                self._registry.members,
                listed=self._listed,
                is_answering=self._registry.is_answering,
            ):
                group.start_soon(self._look_for, member)
        return True

    async def _look_for(self, member: Member) -> None:
        """Take ``member`` in, at this address, if it answers there."""
        answer = await self._ask(member)
        if not answer.is_by(member.name) or answer.is_of_another_cluster(self._registry.known):
            return
        there = self._registry.members.get(member.name)
        is_elsewhere = there is not None and there.rest_url != member.rest_url
        if is_elsewhere and self._registry.is_answering(member.name):
            return  # it has spoken up meanwhile, where it was
        self._registry.put(member)
        self._tell_of(member, "added" if there is None else "moved")

    def _drop_leavers(self, now_s: float) -> None:
        for name in self._absences.leavers(
            self._registry.members,
            keep=self._listed,
            is_answering=self._registry.is_answering,
            now_s=now_s,
        ):
            member = self._registry.members[name]
            self._registry.drop(name)
            if name not in self._registry.members:
                self._tell_of(member, "dropped")

    def _tell_of(self, member: Member, change: Change) -> None:
        self._tell(
            MemberChanged(node=member.name, change=change, host=member.host, port=member.port)
        )

    def _say(self, words: str) -> None:
        if words not in self._said and len(self._said) < SAID_MAX:
            self._said.add(words)
            _log.warning("%s", words)
