"""etcd, the distributed configuration store (DCS): one member a host with the role ``etcd``."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpcore

from cluster.substrates.base import Process, Substrate
from cluster.topology.wan import etcd_timing

UNIT = "etcd"
CLIENT_PORT = 2379
PEER_PORT = 2380
ANSWER_TIMEOUT_S = 2.0
"""etcd gives a linearizable read 1 s before it says that it is not healthy."""
LOGIN_TIMEOUT_S = 5.0
"""etcd hashes passwords with bcrypt, which takes 0.1 s, and much more on a busy machine."""
LOGIN_WANTED = (
    b"user name is empty",
    b"invalid auth token",
    b"revision of auth store is old",
    b"permission denied",
)
"""What etcd says to a question without a token, or with one that has expired or is older than the
last change of a user (etcd, ``api/v3rpc/rpctypes/error.go``)."""

STATE_KEY = "initial-cluster-state"
"""``new``: the member makes the cluster with the others; ``existing``: it joins one that is there.
Counts only where the member has no data (etcd docs, clustering)."""


def data_dir(substrate: Substrate, host: str) -> Path:
    """Where the member on ``host`` keeps its data."""
    return substrate.data_folder(host) / "etcd"


def peer_url(substrate: Substrate, host: str) -> str:
    """Where the other members reach the member on ``host``."""
    return f"http://{substrate.address(host)}:{PEER_PORT}"


INITIAL_CLUSTER_KEY = "initial-cluster"
"""Who makes the cluster; of a member that joins one: who belongs to it, itself included. Counts
only where the member has no data."""

FORCE_KEY = "force-new-cluster"
"""A member that starts with it drops all others and goes on alone, with its data. Counts at every
start: take it out afterwards (etcd docs, configuration options, "unsafe")."""


def members_with(substrate: Substrate, host: str) -> tuple[str, ...]:
    """Every host of the etcd that ``host`` belongs to."""
    return tuple(one.name for one in substrate.topology.cluster_of(host).hosts_with("etcd"))


def initial_cluster(substrate: Substrate, hosts: Iterable[str]) -> str:
    """Members and where they are, as etcd's option of that name has it."""
    return ",".join(f"{host}={peer_url(substrate, host)}" for host in hosts)


def render_config(substrate: Substrate, host: str) -> dict[str, object]:
    """The configuration file of the member on ``host`` (etcd docs, configuration file)."""
    topology = substrate.topology.cluster_of(host)
    address = substrate.address(host)
    timing = etcd_timing(topology.rtt_ms_max("etcd"), has_witnesses=topology.cluster.witness)
    return {
        "name": host,
        "data-dir": str(data_dir(substrate, host)),
        "listen-peer-urls": f"http://0.0.0.0:{PEER_PORT}",
        "initial-advertise-peer-urls": peer_url(substrate, host),
        "listen-client-urls": f"http://0.0.0.0:{CLIENT_PORT}",
        "advertise-client-urls": f"http://{address}:{CLIENT_PORT}",
        INITIAL_CLUSTER_KEY: initial_cluster(substrate, members_with(substrate, host)),
        STATE_KEY: "new",
        "initial-cluster-token": topology.cluster.scope,
        "heartbeat-interval": timing.heartbeat_ms,
        "election-timeout": timing.election_ms,
        "pre-vote": True,
        # Patroni speaks HTTP to etcd; with a configuration file etcd 3.4 leaves the gateway off,
        # and answers "404 page not found".
        "enable-grpc-gateway": True,
        "logger": "zap",
        "log-level": "warn",
        "log-outputs": ["stderr"],
    }


def etcd_unit(program: Path, config: Path) -> Process:
    """The process of a member."""
    environment: Mapping[str, str] = {"GOMAXPROCS": "2"}
    return Process(name=UNIT, argv=(str(program), "--config-file", str(config)), env=environment)


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdLogin:
    """Who asks an etcd that has users."""

    user: str
    password: str = field(repr=False)


class EtcdRest:
    """etcd's HTTP interface, over the consoles of its hosts.

    Args:
        console: reaches the hosts.
        login: who asks: a member that refuses a question for want of a token is asked for one.
            None: etcd has no users.
    """

    def __init__(
        self, console: httpcore.AsyncNetworkBackend, login: EtcdLogin | None = None
    ) -> None:
        self._console = console
        self._login = login
        self._tokens: dict[str, str] = {}
        # None is kept, and there is no limit: a silent member delays only itself.
        self._pool = httpcore.AsyncConnectionPool(
            network_backend=console, max_connections=None, max_keepalive_connections=0
        )

    def without_login(self) -> EtcdRest:
        """The same members, asked by nobody in particular; to be closed by the caller."""
        return EtcdRest(self._console)

    async def is_healthy(self, host: str, *, timeout_s: float = ANSWER_TIMEOUT_S) -> bool:
        """The member on ``host`` knows a leader: a linearizable read worked there."""
        answer = await self._ask(host, CLIENT_PORT, "/health", timeout_s)
        # From etcd 3.5 on there is a ``reason`` beside it.
        return isinstance(answer, dict) and answer.get("health") == "true"

    async def has_members(self, host: str) -> bool:
        """The member on ``host`` tells its peers who belongs to the cluster."""
        return await self._ask(host, PEER_PORT, "/members", ANSWER_TIMEOUT_S) is not None

    async def answers(self, host: str, *, timeout_s: float = ANSWER_TIMEOUT_S) -> bool:
        """The member on ``host`` runs and serves: its version needs no other member."""
        return await self._ask(host, CLIENT_PORT, "/version", timeout_s) is not None

    async def call(
        self, host: str, path: str, body: dict[str, object], *, timeout_s: float = ANSWER_TIMEOUT_S
    ) -> dict[str, Any] | None:
        """One call of the gRPC gateway (etcd docs, gRPC gateway); None: it did not answer well.

        Its 64-bit numbers come as strings.
        """
        answer = await self._ask(host, CLIENT_PORT, path, timeout_s, json.dumps(body).encode())
        return answer if isinstance(answer, dict) else None

    async def stream(
        self, host: str, path: str, *, timeout_s: float
    ) -> tuple[dict[str, Any], ...] | None:
        """A call that answers with several results, one JSON object a line."""
        content = await self._content(host, CLIENT_PORT, path, timeout_s, b"{}")
        if content is None:
            return None
        return tuple(json.loads(line)["result"] for line in content.splitlines() if line.strip())

    async def value(self, host: str, key: str) -> str | None:
        """The value of a key, as the member on ``host`` has it; None: there is none, or no answer
        (etcd docs, gRPC gateway: keys and values are base64)."""
        answer = await self.call(host, "/v3/kv/range", {"key": b64encode(key.encode()).decode()})
        found = None if answer is None else answer.get("kvs")
        return b64decode(found[0]["value"]).decode() if found else None

    async def _ask(
        self, host: str, port: int, path: str, timeout_s: float, body: bytes | None = None
    ) -> object | None:
        """What etcd answers on ``path``, as JSON; None while it does not answer well."""
        content = await self._content(host, port, path, timeout_s, body)
        return None if content is None else json.loads(content)

    async def _content(
        self, host: str, port: int, path: str, timeout_s: float, body: bytes | None
    ) -> bytes | None:
        try:
            with anyio.fail_after(timeout_s):
                answer = await self._request(host, port, path, body)
            if self._login is not None and wants_login(answer.content):
                with anyio.fail_after(LOGIN_TIMEOUT_S):
                    await self._log_in(host, self._login)
                with anyio.fail_after(timeout_s):
                    answer = await self._request(host, port, path, body)
        except (TimeoutError, httpcore.NetworkError, httpcore.ProtocolError):
            return None
        return answer.content if answer.status == 200 else None

    async def _request(
        self, host: str, port: int, path: str, body: bytes | None
    ) -> httpcore.Response:
        method = "GET" if body is None else "POST"
        token = self._tokens.get(host)
        return await self._pool.request(
            method,
            f"http://{host}:{port}{path}",
            headers=None if token is None else {"Authorization": token},
            content=body,
        )

    async def _log_in(self, host: str, login: EtcdLogin) -> None:
        """Get a token of the member on ``host``; without success there is none."""
        self._tokens.pop(host, None)
        said = json.dumps({"name": login.user, "password": login.password}).encode()
        answer = await self._request(host, CLIENT_PORT, "/v3/auth/authenticate", said)
        if answer.status == 200:
            self._tokens[host] = json.loads(answer.content)["token"]

    async def aclose(self) -> None:
        """Close what is open."""
        await self._pool.aclose()


def wants_login(content: bytes) -> bool:
    """An answer of etcd's gateway refuses a question for want of a token that counts. Pure."""
    return content.startswith(b"{") and any(words in content for words in LOGIN_WANTED)
