"""Hosts that a fault can strike only where something runs: reasons to refuse the others. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from chaos.faults.base import FaultParams
from cluster.topology.model import HostRole, Topology

Impossible = Callable[[FaultParams, Topology, Sequence[str]], str | None]

PROGRAMS: dict[HostRole, str] = {
    "postgres": "PostgreSQL",
    "etcd": "etcd",
    "client": "load",
    "haproxy": "HAProxy",
    "pgbouncer": "PgBouncer",
}


def only_with(role: HostRole, key: str) -> Impossible:
    """The ``impossible`` of the fault ``key``, which strikes hosts with this role."""

    def why_not(params: FaultParams, topology: Topology, hosts: Sequence[str]) -> str | None:
        having = {host.name for host in topology.hosts_with(role)}
        without = [host for host in hosts if host not in having]
        if not without:
            return None
        return (
            f"{key} would find no {PROGRAMS[role]}: in the topology {topology.name} "
            f"{without[0]} has none"
        )

    return why_not
