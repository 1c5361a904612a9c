"""Where the load gets in that goes through a proxy: one door a host that has it."""

from __future__ import annotations

from dataclasses import replace

from chaos.workloads.config import ProxyDoor
from cluster.proxies import haproxy, pgbouncer
from cluster.substrates.base import Substrate
from cluster.topology.proxies import ProxyRole


def doors_of(substrate: Substrate, through: ProxyRole, dbname: str) -> tuple[ProxyDoor, ...]:
    """The doors of all sites, in the order of the topology.

    Args:
        substrate: has the hosts.
        through: which proxy.
        dbname: the database of the load.
    """
    found = []
    for host in substrate.topology.hosts_with(through):
        door = ProxyDoor(
            site=substrate.topology.site_of(host.name).name,
            host=substrate.address(host.name),
            primary_port=haproxy.PRIMARY_PORT,
            primary_dbname=dbname,
            replicas_port=haproxy.REPLICAS_PORT,
            replicas_dbname=dbname,
        )
        if through == "pgbouncer":
            door = replace(
                door,
                primary_port=pgbouncer.PORT,
                replicas_port=pgbouncer.PORT,
                replicas_dbname=f"{dbname}{pgbouncer.REPLICAS}",
            )
        found.append(door)
    return tuple(found)
