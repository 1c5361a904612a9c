"""Known traps in topologies that are legal, each with its source and its remedy. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from cluster.topology.model import Site, Topology
from cluster.topology.quorum import (
    Shape,
    shape_of,
    voters,
    why_no_majority,
    why_nobody_acknowledges,
    why_nobody_leads,
)
from cluster.topology.replica_traps import replica_traps
from cluster.topology.trap import Trap
from cluster.topology.wan import etcd_timing, retry_timeout_s_min

SITES = "Patroni documentation, HA multi datacenter"
ETCD = "etcd documentation, FAQ: why an odd number of cluster members"
REPLICATION = "Patroni documentation, Replication modes"
SETTINGS = "Patroni documentation, Dynamic Configuration Settings"

ETCD_ELECTION_S = 3
"""An election of etcd takes 1 to 3 s with its default timeouts (heartbeat 100 ms, election 1 s)."""

LOGIN_RETRY_NOTED_S = 3
"""As much as HAProxy takes between two looks by Patroni's template: it matters no more."""


def traps(topology: Topology) -> tuple[Trap, ...]:
    """Every trap that is known, the most important first."""
    standby = topology.standby
    topology, shape = topology.main, shape_of(topology)
    return (
        *_etcd(topology, shape),
        *_postgres(topology, shape),
        *_copies(topology, shape),
        *_durability(topology, shape),
        *_not_strict(topology, shape),
        *_named(topology, shape),
        *replica_traps(topology, shape),
        *_timing(topology),
        *failsafe(shape),
        *_tokens(topology),
        *_standby(standby),
        *_proxies(topology),
    )


def advice(topology: Topology) -> list[str]:
    """One sentence for each trap that is no mere note."""
    return [f"{one.words}; {one.remedy}" for one in traps(topology) if not one.is_note]


def _hosts(site: Site) -> frozenset[str]:
    return frozenset(host.name for host in site.hosts)


def _etcd(topology: Topology, shape: Shape) -> Iterator[Trap]:
    members = len(shape.etcd)
    if members % 2 == 0:
        yield Trap(
            key="even-etcd",
            words=f"{members} etcd members survive the loss of {members - members // 2 - 1}, which "
            f"{members - 1} would as well: an even number only adds something that can fail",
            remedy=f"take {members - 1} or {members + 1}",
            source=ETCD,
        )
    witness = "" if len(topology.sites) > 2 else "; two sites need a third one as a witness"
    for site in topology.sites:
        if why_no_majority(shape, _hosts(site)):
            there = len(_hosts(site) & set(shape.etcd))
            yield Trap(
                key="etcd-majority-in-a-site",
                words=f"site {site.name} has {there} of {members} etcd members: without it there "
                "is no majority, so nobody can be elected and the cluster stops",
                remedy=f"spread etcd so that no site has a majority{witness}",
                source=SITES,
            )


def _postgres(topology: Topology, shape: Shape) -> Iterator[Trap]:
    for site in topology.sites:
        left = [node for node in shape.nodes if node not in _hosts(site)]
        if not left:
            yield Trap(
                key="every-postgres-in-a-site",
                words=f"site {site.name} has every PostgreSQL: without it there is no data",
                remedy="put a PostgreSQL into another site",
                source=SITES,
            )
        elif len(left) == 1 and why_nobody_acknowledges(shape, _hosts(site), left[0]):
            yield Trap(
                key="one-postgres-is-left",
                words=f"without site {site.name} one PostgreSQL is left: with durability quorum it "
                "acknowledges nothing until a replica is back",
                remedy="have two PostgreSQL left without any one site: two in each of two sites, "
                "or one in each of three",
                source=REPLICATION,
            )


def _copies(topology: Topology, shape: Shape) -> Iterator[Trap]:
    """Where the copies of an acknowledged commit can all sit."""
    no_dcs = replace(shape, etcd=())  # that is another trap
    copies = topology.cluster.synchronous_node_count + 1
    for site in topology.sites:
        there = [node for node in shape.nodes if node in _hosts(site)]
        leading = next(filter(shape.may_lead, there), None)
        if leading is None or len(there) == len(shape.nodes):
            continue
        replicas = frozenset(shape.nodes) - {leading}
        copied = len(voters(shape, leading, replicas) & set(there)) >= copies - 1
        if copied and why_nobody_leads(no_dcs, _hosts(site), primary=leading, known=replicas):
            yield Trap(
                key="every-copy-in-a-site",
                words=f"site {site.name} has {len(there)} PostgreSQL and a commit needs {copies} "
                "copies, which may all be there: when the site is lost, nobody else may take over "
                "without losing commits",
                remedy=f"synchronous_node_count = {len(there)} forces a copy elsewhere",
                source="patroni issues 1915 and 1565",
            )


def _durability(topology: Topology, shape: Shape) -> Iterator[Trap]:
    if shape.waits_for_standby or len(shape.nodes) < 2:
        return
    yield Trap(
        key="async",
        words="with durability async a commit is acknowledged before a replica has it: when the "
        "primary is lost, commits that no replica has are lost with it",
        remedy='durability = "quorum" waits for a replica',
        source=REPLICATION,
    )
    lag_bytes = topology.cluster.maximum_lag_on_failover_bytes
    yield Trap(
        key="maximum-lag-on-failover",
        words=f"a replica that is up to {lag_bytes:,} bytes of WAL behind may be promoted "
        "(maximum_lag_on_failover), by a position that the primary wrote up to loop_wait before: "
        "a failover loses what it lacks; one that is further behind is not promoted, and if all "
        "are, nobody is",
        remedy="set maximum_lag_on_failover_bytes to what you can bear to lose",
        source=SETTINGS,
        is_note=True,
    )


def _not_strict(topology: Topology, shape: Shape) -> Iterator[Trap]:
    """Quorum commit that ends when it is needed most."""
    if not shape.waits_for_standby or topology.cluster.synchronous_mode_strict:
        return
    yield Trap(
        key="not-strict",
        words="synchronous_mode_strict is off: once no replica streams from the primary, Patroni "
        "switches synchronous replication off, and what is acknowledged from then on is on the "
        "primary alone",
        remedy="synchronous_mode_strict = true acknowledges nothing then; an application that uses "
        "the storage layer with durability quorum is told so in either case",
        source=f"{REPLICATION}; patroni issue 397",
    )


def _named(topology: Topology, shape: Shape) -> Iterator[Trap]:
    """What it costs that a commit waits for standbys by name."""
    if not shape.named_standbys or len(shape.nodes) < 3:
        return
    count = shape.synchronous_node_count
    whom = "the standby" if count == 1 else "each standby"
    ttl_s, loop_wait_s = topology.cluster.ttl_s, topology.cluster.loop_wait_s
    yield Trap(
        key="named-standby",
        words=f"a commit waits for {whom} that Patroni has named (synchronous_mode on), although "
        "other replicas stream: when one is lost, commits stand still until its key has expired "
        f"and Patroni names another, up to ttl_s + loop_wait_s = {ttl_s + loop_wait_s} s",
        remedy='synchronous_mode = "quorum" waits for any of the replicas',
        source=REPLICATION,
        is_note=True,
    )


def failsafe(shape: Shape) -> Iterator[Trap]:
    """What failsafe_mode does not do."""
    if not shape.failsafe_mode:
        return
    yield Trap(
        key="failsafe-needs-every-member",
        words="without etcd the primary goes on only while every member answers it "
        "(failsafe_mode): one that is down as well ends the service",
        remedy="count on it for the loss of etcd alone, not of a site",
        source="Patroni documentation, DCS Failsafe Mode; patroni issues 3403 and 3572",
        is_note=True,
    )


def _tokens(topology: Topology) -> Iterator[Trap]:
    if topology.cluster.etcd_auth:
        yield Trap(
            key="etcd-tokens-in-memory",
            words="a member of etcd keeps the tokens of its users in its memory: after its restart "
            "every client must log in again, in the middle of a failover too, and etcd hashes each "
            "password slowly (bcrypt, some 0.1 s)",
            remedy="see that whatever asks etcd logs in again by itself, as Patroni does; signed "
            "tokens (auth-token jwt) outlast a restart",
            source="etcd documentation, Role-based access control; auth-token",
            is_note=True,
        )


def _standby(standby: Topology | None) -> Iterator[Trap]:
    if standby is not None:
        yield Trap(
            key="nobody-fences-for-a-standby-cluster",
            words="the etcd of a standby cluster knows nothing of the primary that it follows: who "
            "promotes it while that one lives has two primaries, and no Patroni objects",
            remedy="write down how the old primary is kept down, before and after its power is "
            "back, and drill it (scenarios standby-cluster-promoted, standby-cluster-split)",
            source="Patroni documentation, Standby cluster; patroni issue 2460",
            is_note=True,
        )


def _timing(topology: Topology) -> Iterator[Trap]:
    settings = topology.cluster
    if settings.loop_wait_s + 2 * settings.retry_timeout_s == settings.ttl_s:
        yield Trap(
            key="no-second-to-spare",
            words="loop_wait_s + 2 × retry_timeout_s is exactly ttl_s (as in Patroni's defaults): "
            "a primary that loses etcd gives up at the very moment when its key may expire",
            remedy="a longer ttl_s, or a shorter retry_timeout_s, leaves it time",
            source=SETTINGS,
        )
    yield from _elections(topology)
    start_s = settings.primary_start_timeout_s
    if start_s > settings.ttl_s and len(topology.nodes) > 1:
        yield Trap(
            key="primary-start-timeout",
            words=f"a primary that crashes and does not start again keeps the lead for up to "
            f"{start_s} s (primary_start_timeout), although others could take over",
            remedy="primary_start_timeout_s = 0 fails over at once where it can be done without "
            "loss; some ttl give crash recovery its time",
            source=f"{SETTINGS}: primary_start_timeout; patroni issue 3121",
            is_note=True,
        )


def _proxies(topology: Topology) -> Iterator[Trap]:
    """What HAProxy and PgBouncer add to a failover."""
    settings = topology.proxies
    if topology.hosts_with("haproxy") and not settings.shutdown_sessions:
        yield Trap(
            key="sessions-stay",
            words="HAProxy leaves sessions on a primary that is gone (shutdown_sessions is off): "
            "clients wait for an answer that never comes, and its kernel acknowledges what they "
            "send, so that no TCP timeout of theirs helps",
            remedy="shutdown_sessions = true cuts them (on-marked-down shutdown-sessions)",
            source="haproxy.cfg of Patroni's repository; HAProxy configuration manual, "
            "on-marked-down; scenario sticky-sessions",
        )
    if topology.hosts_with("pgbouncer") and settings.login_retry_s > LOGIN_RETRY_NOTED_S:
        yield Trap(
            key="pgbouncer-login-retry",
            words=f"PgBouncer waits {settings.login_retry_s} s after a login that failed "
            "(server_login_retry), as all do while nobody leads: so much later it finds the new "
            "primary",
            remedy="login_retry_s = 1 asks sooner",
            source="pgbouncer.org, config: server_login_retry",
            is_note=True,
        )


def _elections(topology: Topology) -> Iterator[Trap]:
    """A primary must outlast an election of etcd, which takes longer the farther its members are
    apart."""
    retry_s = topology.cluster.retry_timeout_s
    rtt_ms = topology.rtt_ms_max("etcd")
    timing = etcd_timing(rtt_ms)
    least_s = retry_timeout_s_min(timing)
    if retry_s < least_s:
        yield Trap(
            key="election-outlasts-the-primary",
            words=f"etcd's members are up to {rtt_ms:g} ms apart, so their election timeout is "
            f"{timing.election_ms} ms and an election takes up to twice that; a primary gives up "
            f"its lead after retry_timeout_s = {retry_s}",
            remedy=f"with at least {least_s}, and ttl_s to match, an election demotes nobody",
            source=f"{SETTINGS}: retry_timeout; etcd documentation, Tuning",
        )
    elif retry_s <= ETCD_ELECTION_S:
        yield Trap(
            key="short-retry-timeout",
            words=f"a primary that cannot reach etcd for {retry_s} s (retry_timeout) gives up the "
            f"lead, and an election of etcd alone takes up to {ETCD_ELECTION_S} s",
            remedy=f"retry_timeout_s = {ETCD_ELECTION_S + 2} or more outlasts it",
            source=f"{SETTINGS}: retry_timeout; patroni issues 1195 and 3407",
            is_note=True,
        )
