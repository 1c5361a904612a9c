"""Who the members are: every endpoint of Patroni's REST API is asked, and the first answer wins.

This is for the opening; ``membership`` follows later changes, with the same question.

Patroni answers ``GET /cluster`` only from the DCS: while that is lost, the members have to be known
otherwise.
"""

from __future__ import annotations

import logging
import random
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing

import anyio

from replication.access.tls import Tls
from replication.patroni.answers import Named, read_cluster
from replication.patroni.client import RestClient
from replication.patroni.members import Member, base_url
from replication.primary.pacing import ROLL_SEARCH_INTERVAL_S, search_pause_s

_log = logging.getLogger("replication")

ASK_INTERVAL_S = 0.2
"""Between two questions to one endpoint (half to one and a half times this, by chance)."""


def ask_pause_s() -> float:
    """``ASK_INTERVAL_S`` with jitter."""
    return ASK_INTERVAL_S * random.uniform(0.5, 1.5)


class DiscoveryError(Exception):
    """No endpoint said who the members are.

    Args:
        answers: the last thing that was heard from each endpoint.
        deadline_s: how long they were asked.
    """

    def __init__(self, answers: Mapping[str, str], *, deadline_s: float) -> None:
        self.answers = dict(answers)
        self.deadline_s = deadline_s
        heard = "; ".join(f"{endpoint} {words}" for endpoint, words in self.answers.items())
        super().__init__(
            f"no endpoint named the members within {deadline_s:g} s:"
            f" {heard or 'no endpoint was given'}"
        )


async def discover(
    endpoints: Sequence[str],
    *,
    deadline_s: float,
    ssl_context: ssl.SSLContext | None = None,
    pause_s: Callable[[], float] = ask_pause_s,
) -> tuple[Member, ...]:
    """Ask all endpoints at once, each again and again, until one names the members.

    Args:
        endpoints: as ``https://db1:8008``; one that answers is enough.
        deadline_s: for everything together.
        ssl_context: for https; None trusts the system's authorities.
        pause_s: drawn between two questions to one endpoint; it grows while there is no answer.

    Returns:
        The members that have an address, in the order of their names.

    Raises:
        DiscoveryError: none did before the deadline.
        ValueError: an endpoint is not such an address.
        ConfigError: the system's authorities cannot be found.
    """
    answers = dict.fromkeys(map(base_url, endpoints), "said nothing")
    found: list[Named] = []
    if ssl_context is None and any(endpoint.startswith("https:") for endpoint in answers):
        ssl_context = Tls().ssl_context()
    async with aclosing(RestClient(ssl_context=ssl_context)) as client:
        begun_s = anyio.current_time()
        with anyio.move_on_after(deadline_s):
            async with anyio.create_task_group() as group:

                async def ask(endpoint: str) -> None:
                    while True:
                        named, answers[endpoint] = await client.cluster(endpoint)
                        if named is not None:
                            found.append(named)
                            group.cancel_scope.cancel()
                        elapsed_s = anyio.current_time() - begun_s
                        first_s, most_s = pause_s(), ROLL_SEARCH_INTERVAL_S
                        await anyio.sleep(search_pause_s(elapsed_s, first_s=first_s, most_s=most_s))

                for endpoint in answers:
                    group.start_soon(ask, endpoint)
    if not found:
        raise DiscoveryError(answers, deadline_s=deadline_s)
    for words in found[0].left_out:
        _log.warning("%s", words)
    return found[0].members


def parse_cluster(body: bytes) -> tuple[Member, ...]:
    """The members in an answer to ``GET /cluster``; what was left out of it is not told.

    Raises:
        NoMembers: it is not such an answer, or all were left out.
    """
    return read_cluster(body).members
