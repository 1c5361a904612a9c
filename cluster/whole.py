"""What a cluster lacks to be whole, in words. Pure: from its answers to a sentence.

A cluster is whole when

- every member answers, one of them is the primary, and every other one streams from it, on its
  timeline; one with the tag ``replicatefrom`` streams from that member;
- every replica has received and replayed what the primary had written when it was asked, but for
  ``behind_bytes_max`` bytes at most, and its Patroni has seen that it runs: Patroni would accept
  each of them in a switchover;
- with durability quorum, the primary counts every replica as synchronous that its tags leave to it
  (``cluster.topology.tags.synchronous``), and the sync key, which says who may be promoted, names
  every one of them; with named standbys (``synchronous_mode`` on), as many of them as there must
  be;
- every member of etcd is healthy.

A standby cluster is whole when it has one standby leader, that one streams from the primary and the
others from it, all on the primary's timeline and as near to it as the replicas, and its own etcd is
healthy (``missing_of_standby``). Nothing counts it as synchronous.

All code that reports whole, healthy, recovered or protected calls ``missing_of_whole``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from cluster.patroni.rest import MemberAnswer
from cluster.topology.model import ClusterSettings
from cluster.topology.tags import (
    NOBODY,
    TagsOf,
    able_to_be_synchronous,
    streams_from,
    synchronous,
)

PRIMARY_ROLES = ("primary", "master", "leader")
STANDBY_LEADER = "standby_leader"
"""Who has the lead in a standby cluster: a replica, until the cluster is promoted."""
STREAMING = "streaming"
RUNNING_STATES = ("running", STREAMING)
"""Patroni says ``starting`` of a replica until it has seen that PostgreSQL takes connections
(``pg_isready``, once a second), even if it streams by then; until then it runs for no election
(patroni/ha.py, ``handle_long_action_in_progress``)."""
SYNC_STATES = ("quorum", "sync")

BEHIND_BYTES_MAX = 128 * 1024
"""How far behind a replica of a whole cluster may be. An eighth of what Patroni allows to a node it
promotes (``maximum_lag_on_failover``, 1 MiB by default): a replica is at work all the time, and a
switchover comes somewhat later than the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a cluster has said of itself."""

    members: Mapping[str, MemberAnswer | None]
    """Every member's answer; None: none came. A replica that seemed to be behind was asked again
    after the primary, so that what the primary has written since does not count."""
    sync_key: frozenset[str] | None
    """The standbys that the sync key names; None: unknown."""
    etcd: Mapping[str, bool]
    """Whether each member of etcd is healthy."""


def behind_bytes_max(settings: ClusterSettings) -> int:
    """How many bytes of WAL a replica may lack in a whole cluster with these settings."""
    return min(BEHIND_BYTES_MAX, settings.maximum_lag_on_failover_bytes)


def missing_of_whole(look: Look, settings: ClusterSettings, tags: TagsOf = NOBODY) -> str | None:
    """What a cluster lacks to be whole, in words; None when nothing is missing.

    Args:
        look: what it has said of itself.
        settings: those in force.
        tags: of its members; what a member does by its tags is not missing.
    """
    return next(_missing(look, settings, tags), None)


def _missing(look: Look, settings: ClusterSettings, tags: TagsOf) -> Iterator[str]:
    """Everything that it lacks, the most important first."""
    shortfall = missing_of_members(look.members, tags)
    primary = find_primary(look.members)
    if shortfall is not None or primary is None:
        yield shortfall or "there is no primary"
        return
    counting = standbys(settings, tags, primary, frozenset(look.members))
    needed = standbys_needed(settings, tags, primary, frozenset(look.members))
    leader = look.members[primary]
    uncounted = counting - (counted_by(leader) if leader else set())
    if len(counting) - len(uncounted) < needed:
        waiting = next(node for node in look.members if node in uncounted)
        yield f"{waiting} streams, but {primary} does not count it as synchronous yet"
    for node in _replicas(look.members, primary):
        member = look.members[node]
        if member is not None and member.state not in RUNNING_STATES:
            yield f"{node} streams, but its Patroni says that it is {member.state}"
    yield from _behind_words(look.members, primary, behind_bytes_max(settings))
    if needed and look.sync_key is None:
        yield f"{primary} does not say who is in the sync key"
    absent = [node for node in look.members if node in counting - (look.sync_key or frozenset())]
    if len(counting) - len(absent) < needed:
        yield f"the sync key, which says who may be promoted, lacks {', '.join(absent)}"
    sick = [host for host, is_healthy in look.etcd.items() if not is_healthy]
    if sick:
        yield f"etcd is not healthy on {', '.join(sick)}"


def missing_of_standby(
    members: Mapping[str, MemberAnswer | None],
    nodes: Collection[str],
    etcd: Mapping[str, bool],
    allowed_bytes: int,
) -> str | None:
    """What a standby cluster lacks to be whole, in words; None when nothing is missing.

    Args:
        members: what the members of both clusters say; there is one primary, of the other one.
        nodes: those of the standby cluster.
        etcd: whether each member of its etcd is healthy.
        allowed_bytes: how much of the primary's WAL one of them may lack.
    """
    primary = find_primary(members)
    mine = {node: members[node] for node in nodes}
    silent = [node for node, member in mine.items() if member is None]
    if silent:
        return f"no answer from {', '.join(silent)}, of the standby cluster"
    if primary is None:
        return "there is no primary that the standby cluster could follow"
    near = {primary: members[primary], **mine}
    sick = [host for host, is_healthy in etcd.items() if not is_healthy]
    lacking = [
        *_missing_of_following(members, primary, mine),
        *_behind_words(near, primary, allowed_bytes),
        *([f"the standby cluster's etcd is not healthy on {', '.join(sick)}"] if sick else []),
    ]
    return next(iter(lacking), None)


def _missing_of_following(
    members: Mapping[str, MemberAnswer | None],
    primary: str,
    mine: Mapping[str, MemberAnswer | None],
) -> Iterator[str]:
    """What the members of a standby cluster lack to follow the primary, all of which answer."""
    leaders = standby_leaders(mine)
    if len(leaders) != 1:
        several = f"{' and '.join(leaders)} say that they are the standby leader"
        yield several if leaders else "the standby cluster has no standby leader"
        return
    leads = members[primary]
    for node, member in mine.items():
        source = primary if node in leaders else leaders[0]
        if not _sends(members[source], node):
            yield f"{node}, of the standby cluster, does not stream from {source}"
        elif member and leads and member.timeline != leads.timeline:
            yield (
                f"{node}, of the standby cluster, is on timeline {member.timeline}, the primary on "
                f"{leads.timeline}"
            )


def standby_leaders(members: Mapping[str, MemberAnswer | None]) -> list[str]:
    """The members that run and lead a standby cluster."""
    return [
        node
        for node, member in members.items()
        if member is not None and member.role == STANDBY_LEADER and member.state in RUNNING_STATES
    ]


def standbys(
    settings: ClusterSettings, tags: TagsOf, primary: str, nodes: frozenset[str]
) -> frozenset[str]:
    """The replicas that may be synchronous in a whole cluster of these nodes."""
    if settings.durability != "quorum":
        return frozenset()
    return frozenset(able_to_be_synchronous(tags, primary, nodes))


def standbys_needed(
    settings: ClusterSettings, tags: TagsOf, primary: str, nodes: frozenset[str]
) -> int:
    """How many of them the primary of a whole cluster counts as synchronous."""
    if settings.durability != "quorum":
        return 0
    if settings.synchronous_mode == "on":
        able = able_to_be_synchronous(tags, primary, nodes)
        return min(settings.synchronous_node_count, len(able))
    return len(synchronous(tags, primary, nodes, settings.synchronous_node_count))


def counted_by(primary: MemberAnswer) -> set[str]:
    """The replicas that the primary counts in its synchronous_standby_names."""
    return {
        row.application_name
        for row in primary.replication
        if row.state == STREAMING and row.sync_state in SYNC_STATES
    }


def named_ahead(
    members: Mapping[str, MemberAnswer | None], sync_key: frozenset[str] | None
) -> set[str]:
    """The standbys that the primary counts already and the sync key does not name yet.

    Patroni adds a standby to synchronous_standby_names first, and to the key two seconds later; it
    takes one away in the other order (patroni/ha.py, ``_process_multisync_replication``). So only
    those that answer are being added.
    """
    primary = find_primary(members)
    leader = None if primary is None else members[primary]
    if leader is None or sync_key is None:
        return set()
    return {one for one in counted_by(leader) - sync_key if members.get(one) is not None}


def missing_of_members(
    members: Mapping[str, MemberAnswer | None], tags: TagsOf = NOBODY
) -> str | None:
    """What ``members`` lack to stream as they should, in words; None when nothing is missing.

    It does not say that they have caught up, or are counted: ``missing_of_whole`` does.
    """
    silent = [node for node, member in members.items() if member is None]
    if silent:
        return f"no answer from {', '.join(silent)}"
    primaries = _primaries(members)
    if len(primaries) != 1:
        several = f"{' and '.join(primaries)} say that they are the primary"
        return several if primaries else "there is no primary"
    [primary] = primaries
    leader = members[primary]
    assert leader is not None
    for node, member in members.items():
        if node == primary or member is None:
            continue
        source = streams_from(tags, node, primary, members.keys())
        if not _sends(members[source], node):
            return f"{node} does not stream from {source} ({member.state})"
        if member.timeline != leader.timeline:
            return f"{node} is on timeline {member.timeline}, the primary on {leader.timeline}"
    return None


def _sends(source: MemberAnswer | None, node: str) -> bool:
    """A member streams to another one, as it says itself."""
    rows = () if source is None else source.replication
    return any(row.application_name == node and row.state == STREAMING for row in rows)


def find_primary(members: Mapping[str, MemberAnswer | None]) -> str | None:
    """The member that runs as primary; None when there is none, or more than one."""
    primaries = _primaries(members)
    return primaries[0] if len(primaries) == 1 else None


def _primaries(members: Mapping[str, MemberAnswer | None]) -> list[str]:
    return [
        node
        for node, member in members.items()
        if member is not None and member.role in PRIMARY_ROLES and member.state == "running"
    ]


def furthest_behind_bytes(members: Mapping[str, MemberAnswer | None]) -> int | None:
    """What the replica that is furthest behind has still to replay; None if unknown."""
    primary = find_primary(members)
    if primary is None:
        return None
    behind = [_still_to(node, primary, members) for node in _replicas(members, primary)]
    known = [to_replay for _, to_replay in behind if to_replay is not None]
    return max(known, default=0) if len(known) == len(behind) else None


def behind_bytes(members: Mapping[str, MemberAnswer | None]) -> dict[str, int | None]:
    """By replica, what it has still to replay; None where a position is missing."""
    primary = find_primary(members)
    if primary is None:
        return {}
    return {node: _still_to(node, primary, members)[1] for node in _replicas(members, primary)}


def nodes_behind(members: Mapping[str, MemberAnswer | None], allowed_bytes: int) -> list[str]:
    """The replicas that lack more WAL than is allowed, or do not say how much."""
    primary = find_primary(members)
    if primary is None:
        return []
    return [
        node
        for node in _replicas(members, primary)
        if any(part is None or part > allowed_bytes for part in _still_to(node, primary, members))
    ]


def _behind_words(
    members: Mapping[str, MemberAnswer | None], primary: str, allowed_bytes: int
) -> Iterator[str]:
    for node in nodes_behind(members, allowed_bytes):
        to_receive, to_replay = _still_to(node, primary, members)
        if to_receive is None or to_replay is None:
            yield f"nobody knows how far {node} is behind: a WAL position is missing"
            continue
        received = to_receive <= allowed_bytes
        lacks = f"replayed {_size(to_replay)}" if received else f"received {_size(to_receive)}"
        member = members[node]
        paused = member is not None and member.xlog is not None and member.xlog.paused
        yield (
            f"{node} has not {lacks} of the WAL of {primary}"
            f"{' (its replay is paused)' if received and paused else ''};"
            f" a replica of a whole cluster lacks {_size(allowed_bytes)} at most"
        )


def _replicas(members: Mapping[str, MemberAnswer | None], primary: str) -> list[str]:
    return [node for node in members if node != primary]


def _still_to(
    node: str, primary: str, members: Mapping[str, MemberAnswer | None]
) -> tuple[int | None, int | None]:
    """Bytes that a replica has still to receive, and to replay; None where a position is missing.

    A receiver that has just started says where its WAL segment begins, which is before what has
    been replayed: so the later of both counts as received, as Patroni sees it.
    """
    leader, member = members[primary], members[node]
    if leader is None or leader.xlog is None or member is None or member.xlog is None:
        return None, None
    written, replayed = leader.xlog.location, member.xlog.replayed_location
    if written is None or replayed is None:
        return None, None
    received = max(member.xlog.received_location or 0, replayed)
    return max(0, written - received), max(0, written - replayed)


def _size(amount_bytes: int) -> str:
    if amount_bytes < 1024:
        return f"{amount_bytes} byte{'' if amount_bytes == 1 else 's'}"
    if amount_bytes < 1024 * 1024:
        return f"{amount_bytes / 1024:.0f} KiB"
    return f"{amount_bytes / (1024 * 1024):.1f} MiB"
