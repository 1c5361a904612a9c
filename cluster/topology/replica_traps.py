"""Known traps in what the replicas are for: their tags, their slots, their way back. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.topology.model import Topology
from cluster.topology.quorum import Shape, voters
from cluster.topology.tags import streaming_from
from cluster.topology.trap import Trap

TAGS = "Patroni documentation, YAML configuration: tags"
SLOTS = "PostgreSQL manual, Replication Slots, and max_slot_wal_keep_size"

ANYBODY = (
    "patroni/postgresql/sync.py, current_state; patroni/ha.py, _process_quorum_replication; "
    "patroni issues 789 and 1699"
)

MAX_SLOT_WAL_KEEP_SIZE = "max_slot_wal_keep_size"
NO_LIMIT = ("-1", "-1MB")


def replica_traps(topology: Topology, shape: Shape) -> Iterator[Trap]:
    """Every trap of them that is known."""
    yield from _priorities(topology)
    yield from _one_voter(topology, shape)
    yield from _cascading(topology)
    yield from _slots(topology)
    yield from _rewind(topology)
    yield from _logs(topology)


def _priorities(topology: Topology) -> Iterator[Trap]:
    nodes = [host for host in topology.hosts_with("postgres") if host.tags.may_lead]
    failover = {host.tags.failover_priority or 1 for host in nodes}
    if len(failover) > 1:
        yield Trap(
            key="failover-priority-is-a-tie-break",
            words="failover_priority decides only between replicas that have received exactly the "
            "same WAL, and with quorum commit only a voter's is heeded: under load the one that "
            "has received most leads, whatever its priority",
            remedy="nofailover keeps the lead from a node; where it shall be, a switchover puts it",
            source=f"{TAGS}; patroni/ha.py, _is_healthiest_node",
        )
    settings = topology.cluster
    named = settings.durability == "quorum" and settings.synchronous_mode == "on"
    asked = {host.tags.sync_priority for host in topology.hosts_with("postgres")} - {None, 0}
    if asked and not named:
        yield Trap(
            key="sync-priority-needs-named-standbys",
            words="sync_priority chooses the standbys that Patroni names (synchronous_mode on); "
            "here none are named, so that it changes nothing",
            remedy='leave it out, or take synchronous_mode = "on"',
            source=f"{TAGS}; Patroni release notes, 4.1.0",
        )


def _one_voter(topology: Topology, shape: Shape) -> Iterator[Trap]:
    """By their tags so few replicas count that the loss of one holds commits up."""
    nodes = frozenset(shape.nodes)
    if not shape.waits_for_standby or not shape.tags:
        return
    for primary in filter(shape.may_lead, shape.nodes):
        counted = voters(shape, primary, nodes)
        left = nodes - counted
        spare = streaming_from(shape.tags, primary, left)
        if not counted:
            yield Trap(
                key="nobody-counts",
                words=f"while {primary} leads, no replica counts by its tags (nosync, "
                "replicatefrom): a commit waits for any that streams, and when the primary is lost "
                "nobody may take over",
                remedy="leave a replica that may lead without nosync and replicatefrom",
                source=ANYBODY,
            )
        elif spare and len(counted) <= shape.synchronous_node_count:
            next_ones = voters(shape, primary, left | {primary})
            then = f"counts {_listed(next_ones)}"
            if not next_ones:
                then = f"takes anybody ({_listed(spare)}), of whom nobody may take over then"
            yield Trap(
                key="commits-wait-for-one",
                words=f"while {primary} leads, commits wait for {_listed(counted)} alone; when that"
                f" is lost, they stand still until its key expires (ttl_s = "
                f"{topology.cluster.ttl_s}), and Patroni {then}",
                remedy="leave more replicas without nosync, nofailover and replicatefrom than "
                "synchronous_node_count",
                source=ANYBODY,
                is_note=True,
            )


def _cascading(topology: Topology) -> Iterator[Trap]:
    pairs = [(host.name, host.tags.replicatefrom) for host in topology.hosts]
    pairs = [(host, upstream) for host, upstream in pairs if upstream is not None]
    if not pairs:
        return
    said = ", ".join(f"{host} from {upstream}" for host, upstream in pairs)
    host, upstream = pairs[0]
    yield Trap(
        key="cascading-replica",
        words=f"cascading replicas ({said}) are never synchronous while their source is there, and "
        f"depend on it: {host} gets nothing while {upstream} stands still, and turns to the "
        "primary only once the source's key has expired",
        remedy="let a replica that a commit or a failover must count on stream from the primary",
        source=f"{TAGS}: replicatefrom; patroni issue 3369",
        is_note=True,
    )


def _slots(topology: Topology) -> Iterator[Trap]:
    settings = topology.cluster
    if len(topology.nodes) < 2:
        return
    if not settings.use_slots:
        yield Trap(
            key="no-slots",
            words="without slots the primary keeps wal_keep_size of WAL for a replica that is "
            "away, and no more: after a longer absence it has to be copied anew",
            remedy="use_slots = true, with max_slot_wal_keep_size as the limit",
            source=SLOTS,
            is_note=True,
        )
    elif settings.postgresql.get(MAX_SLOT_WAL_KEEP_SIZE, "-1") in NO_LIMIT:
        yield Trap(
            key="slot-without-limit",
            words="the slot of a replica that is away keeps all WAL from there on, for "
            f"{settings.member_slots_ttl_s} s (member_slots_ttl_s), and longer where it comes and "
            "goes: it fills the primary's disk, and a primary that cannot write WAL stops",
            remedy=f"[cluster.postgresql] {MAX_SLOT_WAL_KEEP_SIZE}, well below what the disk has "
            "room for: a replica that lacks more is copied anew (scenarios slot-fills-disk and "
            "slot-with-limit)",
            source=f"{SLOTS}; patroni issues 1941 and 3641",
            is_note=True,
        )


def _rewind(topology: Topology) -> Iterator[Trap]:
    if topology.cluster.use_pg_rewind or len(topology.nodes) < 2:
        return
    yield Trap(
        key="no-rewind",
        words="without pg_rewind an old primary whose WAL has diverged does not come back: it "
        "stays out until somebody copies it anew",
        remedy="use_pg_rewind = true (it needs checksums or wal_log_hints)",
        source="Patroni documentation, YAML configuration: use_pg_rewind; patroni issues 941 and "
        "1679",
        is_note=True,
    )


def _logs(topology: Topology) -> Iterator[Trap]:
    """Where PostgreSQL is told to keep its logs; by default they lie outside of PGDATA here."""
    directory = topology.cluster.postgresql.get("log_directory", "..")
    if topology.cluster.postgresql.get("logging_collector") != "on":
        return
    if directory.startswith(("/", "..")) or len(topology.nodes) < 2:
        return
    yield Trap(
        key="logs-below-pgdata",
        words=f"the logs lie below PGDATA (log_directory = {directory}): when an old primary is "
        "rewound or a member copied anew, what it had logged is gone",
        remedy='log_directory = "../log", or none, and ship the logs (scenarios '
        "trail-survives-rewind and trail-lost-by-rewind)",
        source="PostgreSQL manual, log_directory, and pg_rewind: How It Works",
        is_note=True,
    )


def _listed(nodes: frozenset[str]) -> str:
    return " and ".join(sorted(nodes))
