"""Asks every member's Patroni and PostgreSQL, some ten times a second, and keeps what was heard.

- A question begins every ``INTERVAL_S``, whether or not the one before was answered: a packet that
  was lost costs one answer, not the seconds until TCP sends it again. The answer to a question that
  a later one overtook tells of a lost packet, not of a slow member, and no round trip is taken from
  it.
- Patroni closes each connection after its answer (HTTP/1.0), so that every question also proves the
  way to it. ``GET /liveness`` costs it no query; its state is asked by ``GET /primary`` once a
  second, and at every turn while the port of its PostgreSQL does not answer: whether Patroni
  knows already is what matters then.
- PostgreSQL is asked by the start of an encrypted connection, which its postmaster's child answers
  with one byte before anything else (PostgreSQL manual, "Message Flow", "GSSAPI Session
  Encryption"; version 12 or later). An ``SSLRequest`` would do too, but a server with TLS writes a
  line into its log when the client then hangs up (``be_tls_open_server``).
"""

from __future__ import annotations

import math
import struct
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

import anyio
import anyio.abc

from replication.patroni.answers import read_status
from replication.patroni.client import UNANSWERED, Http
from replication.witness.keys import AnnouncedMember
from replication.witness.knock import KnockedPort, Silence
from replication.witness.model import MemberHeard, PatroniHeard, PostgresHeard

INTERVAL_S = 0.1
"""Between two questions of a kind to a member: three fit into the shortest patience."""

QUESTION_DEADLINE_S = 2.0
"""An answer that comes later counts as none."""

OPEN_MAX = 25
"""Questions of a kind to a member that are unanswered at the same time: more than fit into their
deadline."""

ACCEPTED_LATELY_S = 0.25
"""A connection that was asked for within this time and accepted shows that the host's kernel lives:
two intervals and a round trip. Shorter than the shortest patience for a host that is silent."""

STATE_INTERVAL_S = 1.0
"""Between two questions for Patroni's state while all is well: each costs its server a query."""

ROUND_TRIPS_KEPT_S = 10.0

FORGOTTEN_AFTER_S = 600.0
"""A member whose key has been gone for that long was taken out of the cluster: Patroni's keys live
for a ``ttl``, 30 s by default."""

LIVENESS = b"GET /liveness HTTP/1.0\r\n\r\n"
HTTP_PORT = 80

GSSENC_REQUEST = struct.pack("!ii", 8, 80877104)
"""The start of a connection that asks whether the server encrypts by GSSAPI."""


@dataclass(slots=True)
class _RoundTrips:
    """The worst of the last ``ROUND_TRIPS_KEPT_S``."""

    _kept: deque[tuple[float, float]] = field(default_factory=deque)

    def add(self, now_s: float, took_s: float) -> None:
        """Keep one; smaller ones before it can never be the worst again."""
        while self._kept and self._kept[-1][1] <= took_s:
            self._kept.pop()
        self._kept.append((now_s, took_s))
        while self._kept[0][0] < now_s - ROUND_TRIPS_KEPT_S:
            self._kept.popleft()

    @property
    def worst_s(self) -> float:
        """0 when there is none."""
        return self._kept[0][1] if self._kept else 0.0


class _Sense:
    """What one kind of question to one member has given."""

    def __init__(self) -> None:
        self.answered_s: float | None = None
        self.round_trips = _RoundTrips()
        self._newest_s = -math.inf

    def answered(self, asked_s: float, now_s: float) -> bool:
        """Note an answer; whether no later question was answered before it."""
        self.answered_s = now_s
        return self.ended(asked_s, now_s)

    def ended(self, asked_s: float, now_s: float | None = None) -> bool:
        """Note the end of a question; whether it is the newest that has ended."""
        if asked_s < self._newest_s:
            return False
        self._newest_s = asked_s
        if now_s is not None:
            self.round_trips.add(now_s, now_s - asked_s)
        return True


class _Open:
    """The questions of one kind that are open."""

    def __init__(self, ask: Callable[[float], Awaitable[None]]) -> None:
        self._ask = ask
        self._count = 0

    def begin(self, questions: anyio.abc.TaskGroup, now_s: float) -> None:
        """Ask once more, unless too many are unanswered."""
        if self._count < OPEN_MAX:
            self._count += 1
            questions.start_soon(self._one, now_s)

    async def _one(self, now_s: float) -> None:
        try:
            await self._ask(now_s)
        finally:
            self._count -= 1


class MemberWatch:
    """Watches one member until cancelled.

    Args:
        member: where it is; without an address of Patroni it keeps the last one.
        http: asks Patroni.
        clock: monotonic seconds.
    """

    def __init__(self, member: AnnouncedMember, http: Http, clock: Callable[[], float]) -> None:
        self.member = member
        self.scope = anyio.CancelScope()
        self.named_s = clock()
        """When the cluster last named it."""
        self._http = http
        self._clock = clock
        self._patroni_door, self._postgres_door = _doors(member, clock)
        self._asked_since_s = clock()
        self._patroni, self._postgres = _Sense(), _Sense()
        self._state: str | None = None
        self._role: str | None = None
        self._is_streaming = False
        self._refused_since_s: float | None = None
        self._mute_since_s: float | None = None
        self._accepted_s: float | None = None
        self._state_asked_s: float | None = None
        self._state_due_s = -math.inf

    def begin_again(self) -> None:
        """This witness slept: what it missed meanwhile says nothing about the member."""
        self._asked_since_s = self._clock()
        self._refused_since_s = self._mute_since_s = None

    def moved(self, member: AnnouncedMember) -> None:
        """Ask it there from now on; an address that it lacks stays the one that is known."""
        known = self.member
        self.member = replace(
            member,
            rest_url=member.rest_url or known.rest_url,
            host=member.host or known.host,
            port=member.port if member.host else known.port,
        )
        was, now = ((one.rest_url, one.host, one.port) for one in (known, self.member))
        if was != now:
            self._patroni_door, self._postgres_door = _doors(self.member, self._clock)

    @property
    def heard(self) -> MemberHeard:
        """What was heard so far."""
        return MemberHeard(
            name=self.member.name,
            site=self.member.site,
            asked_since_s=self._asked_since_s,
            patroni=PatroniHeard(
                answered_s=self._patroni.answered_s,
                state=self._state,
                state_asked_s=self._state_asked_s,
                role=self._role,
                is_streaming=self._is_streaming,
                round_trip_s=self._patroni.round_trips.worst_s,
            ),
            postgres=PostgresHeard(
                answered_s=self._postgres.answered_s,
                accepted_s=self._accepted_s,
                refused_since_s=self._refused_since_s,
                mute_since_s=self._mute_since_s if self._is_mute() else None,
                round_trip_s=self._postgres.round_trips.worst_s,
            ),
        )

    async def run(self) -> None:
        """Ask, until cancelled (by ``scope`` too)."""
        with self.scope:
            await self._ask()

    async def _ask(self) -> None:
        liveness, postgres, state = (
            _Open(ask) for ask in (self._ask_liveness, self._ask_postgres, self._ask_state)
        )
        async with anyio.create_task_group() as questions:
            while True:
                now_s = self._clock()
                liveness.begin(questions, now_s)
                postgres.begin(questions, now_s)
                port_is_dead = self._refused_since_s is not None or self._is_mute()
                if now_s >= self._state_due_s or port_is_dead:
                    self._state_due_s = now_s + STATE_INTERVAL_S
                    state.begin(questions, now_s)
                await anyio.sleep(INTERVAL_S)

    async def _ask_liveness(self, asked_s: float) -> None:
        """Patroni lives if it answers, whatever: 503 says that its loop is late."""
        try:
            if self._patroni_door is not None:
                await self._patroni_door.knock(LIVENESS, deadline_s=QUESTION_DEADLINE_S)
            elif self.member.rest_url is not None:
                url = f"{self.member.rest_url}/liveness"
                await self._http.get(url, deadline_s=QUESTION_DEADLINE_S)
            else:
                return
        except (Silence, *UNANSWERED):
            self._patroni.ended(asked_s)
        else:
            self._patroni.answered(asked_s, self._clock())

    async def _ask_state(self, asked_s: float) -> None:
        if self.member.rest_url is None:
            return
        try:
            answer = await self._http.get(
                f"{self.member.rest_url}/primary", deadline_s=QUESTION_DEADLINE_S
            )
        except UNANSWERED:
            return
        said = read_status(answer.status, answer.body)
        self._patroni.answered_s = self._clock()
        if said is not None and (self._state_asked_s is None or asked_s >= self._state_asked_s):
            self._state_asked_s = asked_s
            self._state, self._role = said.state, said.role
            self._is_streaming = said.streams is True

    async def _ask_postgres(self, asked_s: float) -> None:
        if self._postgres_door is None:
            return

        def accepted() -> None:
            self._accepted_s = max(self._accepted_s or asked_s, asked_s)
            if self._mute_since_s is None:
                self._mute_since_s = asked_s

        try:
            await self._postgres_door.knock(
                GSSENC_REQUEST, deadline_s=QUESTION_DEADLINE_S, accepted=accepted
            )
        except Silence as silence:
            if not self._postgres.ended(asked_s):
                return
            if not silence.refused:
                self._refused_since_s = None
            elif self._refused_since_s is None:
                self._refused_since_s = self._clock()
        else:
            if self._postgres.answered(asked_s, self._clock()):
                self._refused_since_s = self._mute_since_s = None

    def _is_mute(self) -> bool:
        """Connections are accepted, still a moment ago, and nothing comes of them.

        A host that loses its power accepts nothing more: the connections that it had accepted
        before say nothing about it.
        """
        return (
            self._mute_since_s is not None
            and self._refused_since_s is None
            and self._accepted_s is not None
            and self._clock() - self._accepted_s < ACCEPTED_LATELY_S
        )


def _doors(
    member: AnnouncedMember, clock: Callable[[], float]
) -> tuple[KnockedPort | None, KnockedPort | None]:
    """To its Patroni, where that speaks plain HTTP, and to its PostgreSQL."""
    patroni = None
    if member.rest_url is not None and (url := urlsplit(member.rest_url)).scheme == "http":
        patroni = KnockedPort(url.hostname or "", url.port or HTTP_PORT, clock=clock)
    if member.host is None:
        return patroni, None
    return patroni, KnockedPort(member.host, member.port, clock=clock)


class Watcher:
    """Watches every member that the cluster names, and for a while those that it has named.

    Args:
        http: asks Patroni.
        clock: monotonic seconds.
    """

    def __init__(self, http: Http, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._http = http
        self._clock = clock
        self._watches: dict[str, MemberWatch] = {}

    @property
    def heard(self) -> tuple[MemberHeard, ...]:
        """Every member as it was heard."""
        return tuple(watch.heard for watch in self._watches.values())

    def begin_again(self) -> None:
        """This witness slept: nothing that it missed counts as silence."""
        for watch in self._watches.values():
            watch.begin_again()

    def follow(self, members: Mapping[str, AnnouncedMember], tasks: anyio.abc.TaskGroup) -> None:
        """Watch new members in ``tasks``, and ask known ones where they are now.

        A member whose key is gone is asked on, for ``FORGOTTEN_AFTER_S``: it may be the one that
        died.
        """
        now_s = self._clock()
        for name, member in members.items():
            watch = self._watches.get(name)
            if watch is None:
                watch = self._watches[name] = MemberWatch(member, self._http, self._clock)
                tasks.start_soon(watch.run)
            else:
                watch.moved(member)
            watch.named_s = now_s
        for name, watch in list(self._watches.items()):
            if now_s - watch.named_s > FORGOTTEN_AFTER_S:
                watch.scope.cancel()
                del self._watches[name]

    def rest_urls(self) -> dict[str, str]:
        """Where each member's Patroni is, as far as it was ever known."""
        known = {name: watch.member.rest_url for name, watch in self._watches.items()}
        return {name: url for name, url in known.items() if url is not None}
