"""Who is the primary: every member is asked at once, and a silent one delays nobody but itself.

Patroni's REST API answers ``GET /primary`` with 200 only where the member runs as primary and
holds the leader lock (Patroni manual, "Patroni REST API"); the body has the timeline. An answer
is a hint and no more: a connection is accepted only after the server itself has said that it is
not in recovery (``wire``).
"""

from __future__ import annotations

import json
import random
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import anyio
import httpcore

from replication.wire import Address

ASK_DEADLINE_S = 1.0
"""A member that has not answered by then counts as silent. Patroni answers from memory in a few
milliseconds, so this is generous on any link within a country."""

ASK_INTERVAL_S = 0.2
"""Between two questions to one member while no primary is known (half to one and a half times
this, by chance, so that many clients do not ask in step)."""


def ask_pause_s() -> float:
    """``ASK_INTERVAL_S`` with jitter."""
    return ASK_INTERVAL_S * random.uniform(0.5, 1.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A PostgreSQL of the cluster: where its Patroni answers, and where it takes connections.

    ``site``: where it stands, if that is known; reads prefer their own site, and durability
    ``all_sites`` counts by it.
    """

    name: str
    rest_url: str
    host: str
    port: int
    site: str | None = None

    @property
    def address(self) -> Address:
        """Where it takes connections."""
        return Address(node=self.name, host=self.host, port=self.port)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestAnswer:
    """What a member's Patroni said; ``status`` is None when it said nothing in time."""

    status: int | None = None
    timeline: int | None = None


Ask = Callable[[Member], Awaitable[RestAnswer]]


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
            member was heard: an old primary may hold on to its opinion longer than to its life.
        timeline_min: the highest timeline seen so far; a claim of a lower one is out of date.
    """
    claims = {
        name: answer.timeline or 0
        for name, answer in answers.items()
        if answer.status == 200 and (answer.timeline is None or answer.timeline >= timeline_min)
    }
    trusted = [name for name in claims if name not in suspects]
    if not trusted and any(name not in answers for name in members):
        return None
    return max(trusted or claims, key=lambda name: claims[name], default=None)


async def find_primary(
    members: Sequence[Member],
    ask: Ask,
    *,
    suspects: Collection[str] = (),
    timeline_min: int = 0,
    pause_s: Callable[[], float] = ask_pause_s,
) -> Member:
    """Ask every member, each in its own rhythm, until one is the primary; the first wins.

    Has no deadline of its own: the caller sets one. ``suspects`` and ``timeline_min`` are those of
    ``choose_primary``; ``pause_s`` is drawn anew between two questions to one member.
    """
    by_name = {member.name: member for member in members}
    answers: dict[str, RestAnswer] = {}
    found: list[Member] = []

    async with anyio.create_task_group() as group:

        async def poll(member: Member) -> None:
            while True:
                answers[member.name] = await ask(member)
                chosen = choose_primary(
                    answers, members=by_name, suspects=suspects, timeline_min=timeline_min
                )
                if chosen is not None:
                    found.append(by_name[chosen])
                    group.cancel_scope.cancel()
                await anyio.sleep(pause_s())

        for member in members:
            group.start_soon(poll, member)
    return found[0]


class RestClient:
    """Asks one member at a time; ``ask`` never raises and never takes longer than its deadline."""

    def __init__(self, *, deadline_s: float = ASK_DEADLINE_S) -> None:
        self._deadline_s = deadline_s
        # No connection is kept: questions are rare, and one kept to a host that lost its power
        # would cost the next question its whole deadline.
        self._pool = httpcore.AsyncConnectionPool(max_keepalive_connections=0)

    async def ask(self, member: Member) -> RestAnswer:
        """One ``GET /primary``."""
        try:
            with anyio.fail_after(self._deadline_s):
                response = await self._pool.request("GET", f"{member.rest_url}/primary")
        except (TimeoutError, OSError, httpcore.NetworkError, httpcore.ProtocolError):
            return RestAnswer()
        return RestAnswer(status=response.status, timeline=parse_timeline(response.content))

    async def aclose(self) -> None:
        """Close what is open."""
        await self._pool.aclose()


def parse_timeline(body: bytes) -> int | None:
    """The timeline in a member's answer; None where there is none (it is starting, say)."""
    try:
        document = json.loads(body)
    except ValueError:
        return None
    timeline = document.get("timeline") if isinstance(document, dict) else None
    return timeline if isinstance(timeline, int) else None
