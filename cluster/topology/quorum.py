"""Whether a cluster can serve while some of its hosts are out of reach: quorum arithmetic. Pure.

Three things are needed, in this order: a majority of etcd, a PostgreSQL that leads or may be
elected, and, where a commit waits for a replica, a replica that acknowledges it.

What a topology promises (``promises``) and the prediction of a drill use this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from cluster.topology.model import Topology
from cluster.topology.tags import NO_TAGS, TagsOf, synchronous


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The relevant facts of a cluster: which host has what, and what a commit waits for."""

    nodes: tuple[str, ...]
    """The hosts with PostgreSQL."""
    etcd: tuple[str, ...]
    """The hosts with etcd."""
    clients: Mapping[str, str]
    """The hosts with a client, and the site of each."""
    waits_for_standby: bool
    """A commit is acknowledged only when a standby has it, in every case: by Patroni's strict mode,
    or by the storage layer, which calls no other one ``ok``."""
    synchronous_node_count: int = 1
    """How many standbys must have a commit, as long as there are that many."""
    named_standbys: bool = False
    """A commit waits for all of so many standbys that Patroni has named (``synchronous_mode`` on),
    and for nobody else; only they may take over. Which ones they are nobody knows beforehand."""
    failsafe_mode: bool = False
    """A primary that has lost etcd goes on while it reaches every other member (Patroni
    documentation, DCS Failsafe Mode)."""
    tags: TagsOf = field(default_factory=dict)
    """Of the hosts that have some: who may lead, be waited for, and streams from whom."""

    def may_lead(self, node: str) -> bool:
        """It may become the primary."""
        return self.tags.get(node, NO_TAGS).may_lead

    def may_be_read(self, node: str) -> bool:
        """It may serve reads while it is not the primary."""
        return not self.tags.get(node, NO_TAGS).noloadbalance


def shape_of(topology: Topology) -> Shape:
    """The relevant facts of a topology: of the cluster that leads, and of every client. A standby
    cluster is nobody's promise, as it serves nothing until somebody promotes it."""
    main = topology.main
    return Shape(
        nodes=main.nodes,
        etcd=tuple(host.name for host in main.hosts_with("etcd")),
        clients={
            host.name: topology.site_of(host.name).name for host in topology.hosts_with("client")
        },
        waits_for_standby=topology.cluster.durability == "quorum",
        synchronous_node_count=topology.cluster.synchronous_node_count,
        named_standbys=topology.cluster.durability == "quorum"
        and topology.cluster.synchronous_mode == "on",
        failsafe_mode=topology.cluster.failsafe_mode,
        tags=main.tags,
    )


def voters(shape: Shape, primary: str, known: AbstractSet[str]) -> frozenset[str]:
    """The replicas that have a say in who leads next: with durability quorum those that a commit
    may wait for, else all that may lead. Of them some are named, where Patroni names standbys.

    Args:
        shape: the cluster.
        primary: who leads, or led.
        known: the nodes that it reaches, or reached when it was lost.
    """
    if not shape.waits_for_standby:
        return frozenset(node for node in known - {primary} if shape.may_lead(node))
    there = known & set(shape.nodes)
    return synchronous(shape.tags, primary, there, shape.synchronous_node_count)


def votes_needed(shape: Shape, voters: int) -> int:
    """How many of ``voters`` replicas must be in reach for one of them to be elected.

    Every set of that size has a member with every acknowledged commit (patroni/quorum.py:
    ``quorum`` is ``len(active) - numsync`` votes beside the candidate's own). Of named standbys one
    alone may take over (patroni/ha.py, ``is_healthiest_node``); but only if so many replicas are in
    reach is one of the named, whoever they are, among them.
    """
    if not shape.waits_for_standby:
        return 1
    return voters - min(shape.synchronous_node_count, voters) + 1


def candidates(
    shape: Shape, down: AbstractSet[str], primary: str, known: AbstractSet[str]
) -> frozenset[str]:
    """The replicas in reach that may be elected and are sure to be given the votes, if anybody is.

    One that is no voter may be elected too, where it happens to have as much WAL as they (patroni/
    ha.py, ``_is_healthiest_node``); nobody should count on that.
    """
    return frozenset(node for node in voters(shape, primary, known) - down if shape.may_lead(node))


def why_nobody_leads(
    shape: Shape, down: AbstractSet[str], *, primary: str, known: AbstractSet[str]
) -> str:
    """Why no replica can be elected; empty when one can.

    Args:
        shape: the cluster.
        down: the hosts that are out of reach, the lost primary's among them.
        primary: the lost one.
        known: the replicas that Patroni knew when it was lost.
    """
    no_majority = why_no_majority(shape, down)
    if no_majority:
        return no_majority
    able = {node for node in known if shape.may_lead(node)}
    if not known:
        return "there is no other PostgreSQL that could take over"
    if not able:
        return f"nobody else may lead: {_listed(known)} {_have(known)} the tag nofailover"
    if not able - down:
        return "every PostgreSQL that could take over is out of reach"
    return _why_no_votes(shape, down, primary, known)


def _why_no_votes(
    shape: Shape, down: AbstractSet[str], primary: str, known: AbstractSet[str]
) -> str:
    """Why nobody of those that may lead is sure to have every acknowledged commit."""
    electing = voters(shape, primary, known)
    if not electing:
        return "no replica counts by its tags (nosync, replicatefrom), so that none may be elected"
    left = electing - down
    needed = votes_needed(shape, len(electing))
    if len(left) < needed and shape.named_standbys:
        named = min(shape.synchronous_node_count, len(electing))
        whom = "one standby" if named == 1 else f"{named} standbys"
        return (
            f"replicas in reach: {len(left)} of {len(electing)}, and a commit waits for {whom} "
            "that Patroni has named, of whom none may be among them: nobody else may take over"
        )
    if len(left) < needed:
        return (
            f"replicas in reach: {len(left)} of {len(electing)}, and {needed} are needed to know "
            "that one of them has every acknowledged commit"
        )
    if not candidates(shape, down, primary, known):
        able = {node for node in known - down if shape.may_lead(node)}
        return (
            f"{_listed(left)} may not lead (nofailover), and may have commits that nobody of the "
            f"others ({_listed(able)}) has"
        )
    return ""


def why_no_majority(shape: Shape, down: AbstractSet[str]) -> str:
    """Why etcd cannot decide, so that no member may lead; empty when it can."""
    lost = len(down & set(shape.etcd))
    members = len(shape.etcd)
    if not lost or members - lost >= members // 2 + 1:
        return ""
    be = "is" if lost == 1 else "are"
    return f"{lost} of {members} etcd members {be} out of reach: no majority is left, nobody leads"


def why_primary_gives_up(shape: Shape, down: AbstractSet[str]) -> str:
    """Why a primary that is in reach may not go on leading; empty when it may."""
    if shape.failsafe_mode and not down & set(shape.nodes):
        return ""
    return why_no_majority(shape, down)


def why_nobody_acknowledges(shape: Shape, down: AbstractSet[str], primary: str) -> str:
    """Why no commit of the primary is acknowledged; empty when commits are.

    Any replica in reach will do, in the end: where none is left that counts by its tags, strict
    mode takes whoever streams from the primary (patroni/ha.py, ``_process_quorum_replication``:
    ``synchronous_standby_names`` is ``*``), and one always does.
    """
    replicas = set(shape.nodes) - {primary}
    if not shape.waits_for_standby or replicas - down:
        return ""
    if len(shape.nodes) == 1:
        return "commits wait for a replica, and there is none"
    return (
        f"of {len(shape.nodes)} PostgreSQL only one can be reached, and with durability quorum"
        " it acknowledges nothing until a replica is back"
    )


def _listed(nodes: AbstractSet[str]) -> str:
    return " and ".join(sorted(nodes))


def _have(nodes: AbstractSet[str]) -> str:
    return "has" if len(nodes) == 1 else "have"


def client_of_sites(shape: Shape) -> Mapping[str, str]:
    """The host that each site's load comes from: the first of those with a client."""
    found: dict[str, str] = {}
    for host, site in shape.clients.items():
        found.setdefault(site, host)
    return found


def stranded_sites(shape: Shape, down: AbstractSet[str]) -> tuple[str, ...]:
    """The sites whose client cannot reach any member."""
    return tuple(site for site, host in client_of_sites(shape).items() if host in down)
