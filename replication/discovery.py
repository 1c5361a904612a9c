"""Who the members are: every endpoint of Patroni's REST API is asked, and the first answer wins.

``GET /cluster`` (Patroni manual, "Patroni REST API", monitoring endpoints) is answered by any
member, but only from the DCS: while that is lost, Patroni closes the connection without an answer,
and the members have to be known otherwise.
"""

from __future__ import annotations

import random
import ssl
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

import anyio
import httpcore
from pydantic import BaseModel, ConfigDict, ValidationError

from replication.members import Member
from replication.problems import without_user_info
from replication.rest_urls import base_url
from replication.tls import Tls

QUESTION_DEADLINE_S = 3.0
"""For one answer; then the question is put again. Patroni reads the DCS before it answers, so this
is longer than that for ``GET /primary``, which it answers from memory."""

ASK_INTERVAL_S = 0.2
"""Between two questions to one endpoint (half to one and a half times this, by chance)."""

SITE_TAG = "site"
"""The tag that says where a member stands (``tags`` in Patroni's configuration; ours, not its)."""


def ask_pause_s() -> float:
    """``ASK_INTERVAL_S`` with jitter."""
    return ASK_INTERVAL_S * random.uniform(0.5, 1.5)


class DiscoveryError(Exception):
    """Nobody said who the members are.

    Args:
        answers: the last thing that was heard of each endpoint.
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


class NoMembers(ValueError):
    """The answer names no member that can be connected to; the text says why."""


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
        pause_s: drawn anew between two questions to one endpoint.

    Returns:
        The members that have an address, in the order of their names.

    Raises:
        DiscoveryError: nobody did before the deadline.
        ValueError: an endpoint is no such address.
        ConfigError: the system's authorities are not to be found.
    """
    answers = dict.fromkeys(map(base_url, endpoints), "said nothing")
    found: list[tuple[Member, ...]] = []
    if ssl_context is None and any(endpoint.startswith("https:") for endpoint in answers):
        ssl_context = Tls().ssl_context()
    # No connection is kept: nothing is asked again once there is an answer.
    async with httpcore.AsyncConnectionPool(
        ssl_context=ssl_context, max_keepalive_connections=0
    ) as pool:
        with anyio.move_on_after(deadline_s):
            async with anyio.create_task_group() as group:

                async def ask(endpoint: str) -> None:
                    while True:
                        members, answers[endpoint] = await _ask(pool, endpoint)
                        if members:
                            found.append(members)
                            group.cancel_scope.cancel()
                        await anyio.sleep(pause_s())

                for endpoint in answers:
                    group.start_soon(ask, endpoint)
    if not found:
        raise DiscoveryError(answers, deadline_s=deadline_s)
    return found[0]


class _ClusterMember(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    name: str
    api_url: str | None = None
    host: str | None = None
    port: int | None = None
    tags: dict[str, object] = {}


class _Cluster(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    members: list[_ClusterMember]


def parse_cluster(body: bytes) -> tuple[Member, ...]:
    """The members in an answer to ``GET /cluster``.

    Left out is who has no address: of its PostgreSQL, which is known once that has started for
    the first time, or of its REST API. Patroni lists members by name.

    Raises:
        NoMembers: it is no such answer, or all were left out.
    """
    try:
        cluster = _Cluster.model_validate_json(body)
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise NoMembers(f"answered no list of members{f' ({where})' if where else ''}") from error
    members = tuple(
        Member(
            name=one.name,
            rest_url=_rest_url(one.api_url),
            host=one.host,
            port=one.port,
            site=_site(one.tags.get(SITE_TAG)),
        )
        for one in cluster.members
        if one.host and one.port and one.api_url
    )
    if not members:
        raise NoMembers(f"knows {len(cluster.members)} members, none with an address yet")
    return members


async def _ask(pool: httpcore.AsyncConnectionPool, endpoint: str) -> tuple[tuple[Member, ...], str]:
    """The members, and in words what was said."""
    try:
        with anyio.fail_after(QUESTION_DEADLINE_S):
            response = await pool.request("GET", f"{endpoint}/cluster")
    except TimeoutError:
        return (), f"was silent for {QUESTION_DEADLINE_S:g} s"
    except httpcore.ConnectError as error:
        return (), f"took no connection ({error})"
    except (OSError, UnicodeError, httpcore.NetworkError, httpcore.ProtocolError) as error:
        return (), f"broke off ({without_user_info(str(error)) or type(error).__name__})"
    if response.status != 200:
        return (), f"answered with status {response.status}"
    try:
        return parse_cluster(response.content), "answered"
    except NoMembers as error:
        return (), str(error)


def _rest_url(api_url: str) -> str:
    """Patroni announces ``http://host:8008/patroni``; the endpoints lie beside that path."""
    parts = urlsplit(api_url)
    return f"{parts.scheme}://{parts.netloc}"


def _site(tag: object) -> str | None:
    # YAML takes ``site: 75`` for a number.
    return str(tag) if isinstance(tag, str | int) and str(tag) else None
