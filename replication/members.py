"""What the members say of themselves, and who is the primary by that.

Patroni's REST API answers ``GET /primary`` with 200 only where the member runs as primary and
holds the leader lock (Patroni manual, "Patroni REST API"); whatever the status, the body has the
member's role, state, timeline and WAL position. An answer is a hint and no more: a connection is
accepted only after the server itself has said that it is not in recovery (``wire``).
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, replace

import anyio
import httpcore

from replication.wire import Address

ASK_DEADLINE_S = 1.0
"""A member that has not answered by then counts as silent. Patroni answers from memory in a few
milliseconds, so this is generous on any link within a country."""


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
    """What a member's Patroni said; ``status`` is None when it said nothing in time.

    ``lsn_bytes``: a primary's WAL position, or how far a replica has replayed. ``streams``: the
    replica receives WAL by streaming. ``asked_s``: when the question was sent, on the asker's
    clock; ``elapsed_s``: how long the answer took.
    """

    status: int | None = None
    timeline: int | None = None
    lsn_bytes: int | None = None
    streams: bool = False
    asked_s: float = 0.0
    elapsed_s: float = 0.0

    @property
    def is_primary(self) -> bool:
        """It runs as primary and holds the leader lock, as it says."""
        return self.status == 200


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
        if answer.is_primary and (answer.timeline is None or answer.timeline >= timeline_min)
    }
    trusted = [name for name in claims if name not in suspects]
    if not trusted and any(name not in answers for name in members):
        return None
    return max(trusted or claims, key=lambda name: claims[name], default=None)


class RestClient:
    """Asks one member at a time; ``ask`` never raises and never takes longer than its deadline.

    Args:
        deadline_s: for one answer.
        ssl_context: for members whose ``rest_url`` is https; the system's authorities if None.
        clock: monotonic seconds, for ``RestAnswer.asked_s``.
    """

    def __init__(
        self,
        *,
        deadline_s: float = ASK_DEADLINE_S,
        ssl_context: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._deadline_s = deadline_s
        self._clock = clock
        # No connection is kept: questions are rare, and one kept to a host that lost its power
        # would cost the next question its whole deadline. And no limit, or ten silent members would
        # use up the connections, and the others would wait until they count as silent too.
        self._pool = httpcore.AsyncConnectionPool(
            max_connections=None, max_keepalive_connections=0, ssl_context=ssl_context
        )

    async def ask(self, member: Member) -> RestAnswer:
        """One ``GET /primary``."""
        asked_s = self._clock()
        try:
            with anyio.fail_after(self._deadline_s):
                response = await self._pool.request("GET", f"{member.rest_url}/primary")
        except (TimeoutError, OSError, httpcore.NetworkError, httpcore.ProtocolError):
            return RestAnswer(asked_s=asked_s, elapsed_s=self._clock() - asked_s)
        answer = parse_answer(response.status, response.content)
        return replace(answer, asked_s=asked_s, elapsed_s=self._clock() - asked_s)

    async def history(self, member: Member) -> tuple[tuple[int, int], ...] | None:
        """``GET /history``: (timeline, the LSN in bytes at which it ended), oldest first.

        None when the member does not answer, or with something else.
        """
        try:
            with anyio.fail_after(self._deadline_s):
                response = await self._pool.request("GET", f"{member.rest_url}/history")
            return tuple((int(line[0]), int(line[1])) for line in json.loads(response.content))
        except (
            *(TimeoutError, OSError, httpcore.NetworkError, httpcore.ProtocolError),
            *(ValueError, TypeError, LookupError, RecursionError),
        ):
            return None

    async def aclose(self) -> None:
        """Close what is open."""
        await self._pool.aclose()


def parse_answer(status: int, body: bytes) -> RestAnswer:
    """A member's answer; fields that are missing (it is starting, say) are None."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    fields = document if isinstance(document, dict) else {}
    xlog = fields.get("xlog")
    positions = xlog if isinstance(xlog, dict) else {}
    return RestAnswer(
        status=status,
        timeline=_integer(fields.get("timeline")),
        lsn_bytes=_integer(positions.get("location", positions.get("replayed_location"))),
        streams=fields.get("replication_state") == "streaming",
    )


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
