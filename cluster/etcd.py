"""etcd, the distributed configuration store (DCS): one member a host with the role ``etcd``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cluster.substrate import Substrate, Unit

UNIT = "etcd"
CLIENT_PORT = 2379
PEER_PORT = 2380
HEARTBEAT_MS = 100
ELECTION_MS = 1000
"""etcd's own defaults, which suit a round trip of up to 10 ms (etcd docs, tuning)."""


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
