"""What a cluster lacks to be whole, in words. Pure: from its answers to a sentence.

A cluster is whole when

- every member answers, one of them is the primary, and every other one streams from it, on its
  timeline;
- every replica has received and replayed what the primary had written when it was asked, but for
  ``behind_bytes_max`` bytes at most, and its Patroni has seen that it runs: Patroni would accept
  each of them in a switchover;
- with durability quorum, the primary counts every replica as synchronous, and the sync key, which
  says who may be promoted, names every one of them; with named standbys (``synchronous_mode`` on),
  as many of them as there must be;
- every member of etcd is healthy.

All code that reports whole, healthy, recovered or protected calls ``missing_of_whole``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cluster.patroni.rest import MemberAnswer
from cluster.topology.model import ClusterSettings

PRIMARY_ROLES = ("primary", "master", "leader")
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


def missing_of_whole(look: Look, settings: ClusterSettings) -> str | None:
    """What a cluster lacks to be whole, in words; None when nothing is missing."""
    needed = standbys_needed(settings, len(look.members) - 1)
    shortfall = missing_of_members(look.members, standbys=needed)
    if shortfall is not None:
        return shortfall
    primary = find_primary(look.members)
    assert primary is not None  # missing_of_members has found it
    for node in _replicas(look.members, primary):
        member = look.members[node]
        if member is not None and member.state not in RUNNING_STATES:
            return f"{node} streams, but its Patroni says that it is {member.state}"
    for words in _behind_words(look.members, primary, behind_bytes_max(settings)):
        return words
    if needed:
        replicas = [node for node in look.members if node != primary]
        if look.sync_key is None:
            return f"{primary} does not say who is in the sync key"
        absent = [node for node in replicas if node not in look.sync_key]
        if len(replicas) - len(absent) < needed:
            return f"the sync key, which says who may be promoted, lacks {', '.join(absent)}"
    sick = [host for host, is_healthy in look.etcd.items() if not is_healthy]
    return f"etcd is not healthy on {', '.join(sick)}" if sick else None


def standbys_needed(settings: ClusterSettings, replicas: int) -> int:
    """How many of its replicas the primary of a whole cluster counts as synchronous."""
    if settings.durability != "quorum":
        return 0
    named = settings.synchronous_mode == "on"
    return min(settings.synchronous_node_count, replicas) if named else replicas


def missing_of_members(members: Mapping[str, MemberAnswer | None], *, standbys: int) -> str | None:
    """What ``members`` lack to stream as they should, in words; None when nothing is missing.

    It does not say that they have caught up: ``missing_of_whole`` does.

    Args:
        members: every member's answer.
        standbys: so many replicas must be counted in the primary's synchronous_standby_names.
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
    streaming = {
        row.application_name: row.sync_state for row in leader.replication if row.state == STREAMING
    }
    for node, member in members.items():
        if node == primary or member is None:
            continue
        if node not in streaming:
            return f"{node} does not stream from {primary} ({member.state})"
        if member.timeline != leader.timeline:
            return f"{node} is on timeline {member.timeline}, the primary on {leader.timeline}"
    waiting = [node for node, state in streaming.items() if state not in SYNC_STATES]
    if len(streaming) - len(waiting) < standbys:
        return f"{waiting[0]} streams, but {primary} does not count it as synchronous yet"
    return None


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
