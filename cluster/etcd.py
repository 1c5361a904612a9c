"""etcd, the distributed configuration store (DCS): one member a host with the role ``etcd``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import anyio
import httpcore

from cluster.substrate import Substrate, Unit

UNIT = "etcd"
CLIENT_PORT = 2379
PEER_PORT = 2380
HEARTBEAT_MS = 100
ELECTION_MS = 1000
"""etcd's own defaults, which suit a round trip of up to 10 ms (etcd docs, tuning)."""
ANSWER_TIMEOUT_S = 2.0
"""etcd gives a linearizable read 1 s before it says that it is not healthy."""


def render_config(substrate: Substrate, host: str) -> dict[str, object]:
    """The configuration file of the member on ``host`` (etcd docs, configuration file)."""
    topology = substrate.topology
    address = substrate.address(host)
    members = ",".join(
        f"{member.name}=http://{substrate.address(member.name)}:{PEER_PORT}"
        for member in topology.hosts_with("etcd")
    )
    return {
        "name": host,
        "data-dir": str(substrate.data_folder(host) / "etcd"),
        "listen-peer-urls": f"http://0.0.0.0:{PEER_PORT}",
        "initial-advertise-peer-urls": f"http://{address}:{PEER_PORT}",
        "listen-client-urls": f"http://0.0.0.0:{CLIENT_PORT}",
        "advertise-client-urls": f"http://{address}:{CLIENT_PORT}",
        "initial-cluster": members,
        "initial-cluster-state": "new",
        "initial-cluster-token": topology.cluster.scope,
        "heartbeat-interval": HEARTBEAT_MS,
        "election-timeout": ELECTION_MS,
        "pre-vote": True,
        # Patroni speaks HTTP to etcd; with a configuration file etcd 3.4 leaves the gateway off,
        # and answers "404 page not found".
        "enable-grpc-gateway": True,
        "logger": "zap",
        "log-level": "warn",
        "log-outputs": ["stderr"],
    }


def etcd_unit(program: Path, config: Path) -> Unit:
    """The process of a member."""
    environment: Mapping[str, str] = {"GOMAXPROCS": "2"}
    return Unit(name=UNIT, argv=(str(program), "--config-file", str(config)), env=environment)


class EtcdRest:
    """etcd's HTTP interface, over the consoles of its hosts."""

    def __init__(self, console: httpcore.AsyncNetworkBackend) -> None:
        # None is kept, and there is no limit: a silent member holds up nobody but itself.
        self._pool = httpcore.AsyncConnectionPool(
            network_backend=console, max_connections=None, max_keepalive_connections=0
        )

    async def is_healthy(self, host: str, *, timeout_s: float = ANSWER_TIMEOUT_S) -> bool:
        """The member on ``host`` knows a leader: a linearizable read worked there."""
        answer = await self._ask(host, CLIENT_PORT, "/health", timeout_s)
        # From etcd 3.5 on there is a ``reason`` beside it.
        return isinstance(answer, dict) and answer.get("health") == "true"

    async def has_members(self, host: str) -> bool:
        """The member on ``host`` tells its peers who belongs to the cluster."""
        return await self._ask(host, PEER_PORT, "/members", ANSWER_TIMEOUT_S) is not None

    async def _ask(self, host: str, port: int, path: str, timeout_s: float) -> object | None:
        """What etcd answers on ``path``, as JSON; None while it does not answer well."""
        try:
            with anyio.fail_after(timeout_s):
                answer = await self._pool.request("GET", f"http://{host}:{port}{path}")
        except (TimeoutError, httpcore.NetworkError, httpcore.ProtocolError):
            return None
        return json.loads(answer.content) if answer.status == 200 else None

    async def aclose(self) -> None:
        """Close what is open."""
        await self._pool.aclose()
