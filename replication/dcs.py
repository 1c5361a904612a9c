"""The DCS as a second opinion: etcd says at once when the leader key changes.

Patroni's members are asked in a rhythm; this only says *when* to ask. It is never believed by
itself: who holds the leader key may not have been promoted yet, and etcd may be on the wrong side
of a cut. Without it everything works, a little later.

Spoken is etcd's JSON gateway (etcd docs, "Watch keys" of the gRPC gateway), because that needs
nothing but HTTP: an application gets no gRPC, and no second package that calls itself ``etcd``
(docs/decisions/0007-second-opinion.md).
"""

from __future__ import annotations

import base64
import json
import random
import socket
from collections.abc import AsyncIterator, Callable, Sequence

import anyio
import httpcore

from replication.settings import Dcs
from replication.tls import Tls

RECONNECT_S = 0.5
"""Before a watch that ended is begun anew; with jitter."""

CONNECT_DEADLINE_S = 2.0

_ALIVE = (
    # A watch is silent for hours. A peer that lost its power must be noticed all the same.
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 2),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)

LeaderChanged = Callable[[str | None], None]
"""Called with the holder of the leader key, None when the key is gone."""


class LeaderWatch:
    """Follows the leader key in every member of etcd.

    Args:
        dcs: where it is.
    """

    def __init__(self, dcs: Dcs) -> None:
        self._dcs = dcs
        uses_tls = any(endpoint.startswith("https:") for endpoint in dcs.endpoints)
        self._ssl_context = (dcs.tls or Tls()).ssl_context() if uses_tls else None

    async def follow(self, changed: LeaderChanged) -> None:
        """Watch every member of etcd until cancelled; a change may be told once by each."""
        async with anyio.create_task_group() as watches:
            for endpoint in self._dcs.endpoints:
                watches.start_soon(self._watch, endpoint, changed)

    async def _watch(self, endpoint: str, changed: LeaderChanged) -> None:
        while True:
            try:
                async with httpcore.AsyncConnectionPool(
                    ssl_context=self._ssl_context, socket_options=_ALIVE
                ) as pool:
                    async for holder in _changes(pool, endpoint, leader_key(self._dcs)):
                        changed(holder)
            except (OSError, httpcore.NetworkError, httpcore.ProtocolError):
                pass
            except httpcore.TimeoutException:
                pass
            await anyio.sleep(RECONNECT_S * random.uniform(0.5, 1.5))


def leader_key(dcs: Dcs) -> str:
    """``/service/<scope>/leader`` (Patroni manual, "DCS")."""
    return f"/{dcs.namespace.strip('/')}/{dcs.scope}/leader"


async def _changes(
    pool: httpcore.AsyncConnectionPool, endpoint: str, key: str
) -> AsyncIterator[str | None]:
    request = {"create_request": {"key": base64.b64encode(key.encode()).decode()}}
    async with pool.stream(
        "POST",
        f"{endpoint.rstrip('/')}/v3/watch",
        content=json.dumps(request).encode(),
        extensions={"timeout": {"connect": CONNECT_DEADLINE_S}},
    ) as response:
        pending = b""
        async for chunk in response.aiter_stream():
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                for holder in read_events(line):
                    yield holder


def read_events(line: bytes) -> Sequence[str | None]:
    """The holders of the key that one line of the watch tells, in their order.

    A line that is no JSON, or that tells of nothing (the watch was created), has none.
    """
    try:
        result = json.loads(line)["result"]
        events = result.get("events", [])
        return [_holder(event) for event in events]
    except (ValueError, LookupError, TypeError, AttributeError):
        return []


def _holder(event: dict[str, object]) -> str | None:
    """``type`` is absent for a PUT: it is the enumeration's zero."""
    kv = event["kv"]
    if event.get("type", "PUT") == "DELETE" or not isinstance(kv, dict):
        return None
    return base64.b64decode(str(kv.get("value", ""))).decode()
