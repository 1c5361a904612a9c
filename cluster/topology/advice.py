"""What is legal in a topology, and yet a known trap. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.topology.model import Role, Site, Topology


def advice(topology: Topology) -> list[str]:
    """One sentence a trap, for people; empty when none is known.

    It says what the loss of a whole site would do (Patroni docs, HA multi datacenter); it is no
    proof that the rest survives: that is what drills are for.
    """
    return [*_etcd(topology), *_postgres(topology), *_copies(topology), *_timing(topology)]


def _count(site: Site, role: Role) -> int:
    return sum(role in host.roles for host in site.hosts)


def _etcd(topology: Topology) -> Iterator[str]:
    members = len(topology.hosts_with("etcd"))
    majority = members // 2 + 1
    if members % 2 == 0:
        yield (
            f"{members} etcd members survive the loss of {members - majority}, which "
            f"{members - 1} would as well: an even number only adds something that can fail"
        )
    for site in topology.sites:
        there = _count(site, "etcd")
        if members - there < majority:
            yield (
                f"site {site.name} has {there} of {members} etcd members: without it there is no "
                "majority, so nobody can be elected and the cluster stops"
            )


def _postgres(topology: Topology) -> Iterator[str]:
    nodes = len(topology.nodes)
    for site in topology.sites:
        left = nodes - _count(site, "postgres")
        if left == 0:
            yield f"site {site.name} has every PostgreSQL: without it there is no data"
        elif left == 1 and nodes > 1 and topology.cluster.durability == "quorum":
            yield (
                f"without site {site.name} one PostgreSQL is left: with durability quorum it "
                "acknowledges nothing until a replica is back"
            )


def _copies(topology: Topology) -> Iterator[str]:
    """Where the copies of an acknowledged commit can all sit."""
    copies = topology.cluster.synchronous_node_count + 1
    if topology.cluster.durability != "quorum":
        return
    for site in topology.sites:
        there = _count(site, "postgres")
        if copies <= there < len(topology.nodes):
            yield (
                f"site {site.name} has {there} PostgreSQL and a commit needs {copies} copies, "
                "which may all be there: when the site is lost, nobody else may take over without "
                f"losing commits; synchronous_node_count = {there} forces a copy elsewhere"
            )


def _timing(topology: Topology) -> Iterator[str]:
    settings = topology.cluster
    if settings.loop_wait_s + 2 * settings.retry_timeout_s == settings.ttl_s:
        yield (
            "loop_wait_s + 2 × retry_timeout_s is exactly ttl_s (as in Patroni's defaults): a "
            "primary that loses etcd gives up at the very moment when its key may expire"
        )
