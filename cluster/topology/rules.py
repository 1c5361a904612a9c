"""What makes a topology impossible, beyond the type of every key. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.errors import Problem
from cluster.topology.model import HostRole, Topology
from cluster.topology.proxies import problems_of_proxies
from cluster.topology.settings import problems_of_settings, problems_of_witness
from cluster.topology.tags import problems_of_tags
from cluster.topology.wan import problems_of_wan

SITES_MAX = 60
HOSTS_MAX = 200
"""The lab's addresses are 10.77.<site>.<host> (cluster/substrates/lab/network.py); beyond this no
machine would raise them anyway."""

RESERVED_HOSTS = ("wan", "localhost")
ROUTER_PREFIX = "router-"
"""Names of the lab's own namespaces (cluster/substrates/lab/network.py)."""

_NEEDED: dict[HostRole, str] = {
    "etcd": "without it nobody can be elected",
    "postgres": "without it there is no cluster",
    "client": "without it there is no load, and nothing to judge",
}


def problems_of_topology(topology: Topology) -> Iterator[Problem]:
    """Everything that is wrong with a topology whose keys all have the right type."""
    yield from _problems_of_size(topology)
    yield from _problems_of_names(topology)
    yield from _problems_of_roles(topology)
    yield from problems_of_wan(topology.wan, (site.name for site in topology.sites))
    yield from _problems_of_tags(topology)
    yield from _problems_of_standby(topology)
    yield from problems_of_proxies(
        topology.proxies,
        haproxy=len(topology.hosts_with("haproxy")),
        pgbouncer=len(topology.hosts_with("pgbouncer")),
    )
    nodes = len(topology.main.nodes)
    if nodes > 0:
        yield from problems_of_settings(topology.cluster, node_count=nodes)
        yield from problems_of_witness(topology.cluster, sites=len(topology.witness_hosts))


def _problems_of_size(topology: Topology) -> Iterator[Problem]:
    if len(topology.sites) > SITES_MAX:
        words = f"expected at most {SITES_MAX} sites; found {len(topology.sites)}"
        yield Problem(key="site", words=words)
    if len(topology.hosts) > HOSTS_MAX:
        words = f"expected at most {HOSTS_MAX} hosts in all sites; found {len(topology.hosts)}"
        yield Problem(key="site", words=words)


def _problems_of_names(topology: Topology) -> Iterator[Problem]:
    """Sites and hosts share one space of names: commands name them alike."""
    taken: dict[str, str] = {}
    for place, name in _names(topology):
        if name in taken:
            words = (
                f"{name} is already the name of {taken[name]}; every site and host needs its own"
            )
            yield Problem(key=f"{place}.name", words=words)
        taken.setdefault(name, place)
        is_host = ".host[" in place
        if is_host and (name in RESERVED_HOSTS or name.startswith(ROUTER_PREFIX)):
            words = (
                f"{name} is reserved: a host may not be called {', '.join(RESERVED_HOSTS)} or "
                f"{ROUTER_PREFIX}…, which the lab needs itself"
            )
            yield Problem(key=f"{place}.name", words=words)


def _names(topology: Topology) -> Iterator[tuple[str, str]]:
    """The place and the name of every site, then of every host."""
    for number, site in enumerate(topology.sites):
        yield f"site[{number}]", site.name
    for number, site in enumerate(topology.sites):
        for index, host in enumerate(site.hosts):
            yield f"site[{number}].host[{index}]", host.name


def _problems_of_tags(topology: Topology) -> Iterator[Problem]:
    """Tags that contradict one another, or leave nobody to lead."""
    places: dict[str, str] = {}
    for place, name in _names(topology):
        if ".host[" in place:
            places.setdefault(name, place)
    yield from problems_of_tags(topology.tags, frozenset(topology.nodes), places)


def _problems_of_roles(topology: Topology) -> Iterator[Problem]:
    for role, why in _NEEDED.items():
        if not topology.main.hosts_with(role):
            yield Problem(key="site", words=f"no host has the role {role}: {why}")
    if len(topology.main.hosts_with("etcd")) == 2:
        yield Problem(
            key="site",
            words="2 hosts have the role etcd: a majority of 2 is both, so the loss of either "
            "stops the cluster, which is worse than having 1; expected 1, 3 or more",
        )


def _problems_of_standby(topology: Topology) -> Iterator[Problem]:
    """What a standby cluster lacks to be one."""
    standby = topology.standby
    if standby is None:
        return
    places = [f"site[{number}]" for number, site in enumerate(topology.sites) if site.standby]
    key = f"{places[0]}.standby"
    if not topology.main.sites:
        words = "every site is of the standby cluster, and there is no cluster that it could follow"
        yield Problem(key=key, words=words)
        return
    members = len(standby.hosts_with("etcd"))
    if members in {0, 2}:
        words = f"expected an etcd of its own, with 1, 3 or more members; found {members}"
        yield Problem(key=key, words=words)
    needed = 2 if topology.cluster.durability == "quorum" else 1
    if len(standby.nodes) < needed:
        words = (
            f"expected {needed} PostgreSQL or more in the standby cluster, which must acknowledge "
            f"commits with durability {topology.cluster.durability} once it is promoted; found "
            f"{len(standby.nodes)}"
        )
        yield Problem(key=key, words=words)
    for host in topology.hosts:
        source = host.tags.replicatefrom
        own = topology.cluster_of(host.name).nodes
        if source is not None and source in topology.nodes and source not in own:
            words = f"{host.name} replicates from {source}, which belongs to the other cluster"
            yield Problem(key=key, words=words)
