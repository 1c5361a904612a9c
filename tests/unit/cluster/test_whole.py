"""When a cluster is whole: streaming, caught up, counted, and with its DCS."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cluster.patroni.rest import MemberAnswer, Replication, Xlog
from cluster.topology.load import builtin_topologies
from cluster.topology.model import ClusterSettings
from cluster.topology.tags import Tags
from cluster.whole import (
    BEHIND_BYTES_MAX,
    Look,
    furthest_behind_bytes,
    missing_of_standby,
    missing_of_whole,
    named_ahead,
    nodes_behind,
)

SETTINGS: ClusterSettings = next(
    one.cluster for one in builtin_topologies() if one.name == "three-sites"
)
ASYNC = replace(SETTINGS, durability="async")
WRITTEN = 900 * 1024 * 1024
P, A, B = "db-paris", "db-orsay", "db-lyon"


def primary(*, sync: str = "quorum", streams: tuple[str, ...] = (A, B)) -> MemberAnswer:
    rows = tuple(
        Replication(application_name=node, state="streaming", sync_state=sync) for node in streams
    )
    return MemberAnswer(
        state="running", role="primary", timeline=2, xlog=Xlog(location=WRITTEN), replication=rows
    )


def replica(
    *,
    received: int | None = WRITTEN,
    replayed: int | None = WRITTEN,
    timeline: int = 2,
    paused: bool = False,
) -> MemberAnswer:
    xlog = Xlog(received_location=received, replayed_location=replayed, paused=paused)
    return MemberAnswer(state="streaming", role="replica", timeline=timeline, xlog=xlog)


def look(
    *,
    p: MemberAnswer | None = None,
    a: MemberAnswer | None = None,
    sync_key: frozenset[str] | None = frozenset({A, B}),
    etcd: tuple[bool, ...] = (True, True, True),
) -> Look:
    members: dict[str, MemberAnswer | None] = {
        P: p or primary(),
        A: a or replica(),
        B: replica(),
    }
    hosts = ("dcs-paris", "dcs-orsay", "dcs-lyon")
    return Look(members=members, sync_key=sync_key, etcd=dict(zip(hosts, etcd, strict=True)))


MIB = 1024 * 1024
LAGS = WRITTEN - 4 * MIB
WHOLE = [
    look(),
    look(a=replica(received=WRITTEN + MIB, replayed=WRITTEN + MIB)),  # asked after the primary
    look(a=replica(replayed=WRITTEN - BEHIND_BYTES_MAX)),
    look(a=replica(received=WRITTEN - BEHIND_BYTES_MAX, replayed=WRITTEN - BEHIND_BYTES_MAX)),
    look(a=replica(received=0)),  # a receiver that has just started, and nothing was written since
    look(a=replica(received=None)),
]
NOT_WHOLE = [
    (look(a=replica(replayed=LAGS)), r"db-orsay has not replayed 4\.0 MiB of the WAL of db-paris;"),
    (look(a=replica(received=LAGS, replayed=LAGS)), r"db-orsay has not received 4\.0 MiB"),
    (look(a=replica(received=LAGS, replayed=LAGS - MIB)), r"has not received 4\.0 MiB"),
    (look(a=replica(replayed=LAGS, paused=True)), r"\(its replay is paused\); .* 128 KiB at most"),
    (look(a=replica(replayed=WRITTEN - BEHIND_BYTES_MAX - 1)), "has not replayed 128 KiB"),
    (look(a=replica(received=None, replayed=None)), "nobody knows how far db-orsay is behind"),
    (look(a=replica().model_copy(update={"xlog": None})), "nobody knows how far db-orsay"),
    (look(p=primary().model_copy(update={"xlog": None})), "nobody knows how far"),
    (look(a=replica(timeline=1)), "db-orsay is on timeline 1, the primary on 2"),
    (
        look(a=replica().model_copy(update={"state": "starting"})),
        "db-orsay streams, but its Patroni says that it is starting",
    ),
    (look(p=primary(streams=(B,))), "db-orsay does not stream from db-paris"),
    (look(p=primary(sync="potential")), "db-orsay streams, but db-paris does not count it"),
    (look(sync_key=frozenset({B})), "the sync key, which says who may be promoted, lacks db-orsay"),
    (look(sync_key=frozenset({B, "db-gone"})), "lacks db-orsay"),
    (look(sync_key=None), "db-paris does not say who is in the sync key"),
    (look(etcd=(True, False, True)), "etcd is not healthy on dcs-orsay"),
    (look(p=replica()), "there is no primary"),
    (look(a=primary()), "db-paris and db-orsay say that they are the primary"),
]


@pytest.mark.parametrize("found", WHOLE)
def test_what_is_whole(found: Look) -> None:
    assert missing_of_whole(found, SETTINGS) is None
    assert missing_of_whole(found, ASYNC) is None


@pytest.mark.parametrize(("found", "words"), NOT_WHOLE)
def test_what_is_not_whole_and_why(found: Look, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(missing_of_whole(found, SETTINGS))


def test_without_quorum_nobody_asks_who_is_synchronous() -> None:
    found = look(p=primary(sync="async"), sync_key=None)
    assert missing_of_whole(found, ASYNC) is None
    assert missing_of_whole(found, SETTINGS) is not None


def test_who_may_be_promoted_with_less_lag_is_whole_with_less_lag() -> None:
    strict = replace(SETTINGS, maximum_lag_on_failover_bytes=512)
    found = look(a=replica(replayed=WRITTEN - 513))
    assert "has not replayed 513 bytes" in (missing_of_whole(found, strict) or "")
    assert "lacks 512 bytes at most" in (missing_of_whole(found, strict) or "")
    assert missing_of_whole(look(a=replica(replayed=WRITTEN - 512)), strict) is None


def test_who_is_behind_is_asked_again_and_what_it_lacks_is_told() -> None:
    found = look(a=replica(replayed=LAGS)).members
    assert nodes_behind(found, BEHIND_BYTES_MAX) == [A]
    assert furthest_behind_bytes(found) == 4 * MIB
    assert furthest_behind_bytes(look().members) == 0
    assert furthest_behind_bytes(look(a=replica(replayed=None)).members) is None
    assert furthest_behind_bytes(look(p=replica()).members) is None


def test_of_named_standbys_as_many_as_there_must_be_are_enough() -> None:
    named = replace(SETTINGS, synchronous_mode="on")
    rows = (
        Replication(application_name=A, state="streaming", sync_state="sync"),
        Replication(application_name=B, state="streaming", sync_state="async"),
    )
    one = look(p=primary().model_copy(update={"replication": rows}), sync_key=frozenset({A}))
    assert missing_of_whole(one, named) is None
    assert missing_of_whole(one, replace(named, synchronous_node_count=2)) is not None
    words = missing_of_whole(one, SETTINGS)
    assert words == f"{B} streams, but {P} does not count it as synchronous yet"
    assert missing_of_whole(replace(one, sync_key=frozenset()), named) is not None


def test_a_cascading_replica_streams_from_its_source_and_is_not_counted() -> None:
    tags = {B: Tags(replicatefrom=A)}
    source = replica().model_copy(
        update={
            "replication": (Replication(application_name=B, state="streaming", sync_state="async"),)
        }
    )
    whole = look(p=primary(streams=(A,)), a=source, sync_key=frozenset({A}))
    assert missing_of_whole(whole, SETTINGS, tags) is None
    assert missing_of_whole(whole, SETTINGS) == f"{B} does not stream from {P} (streaming)"
    astray = look(p=primary(streams=(A, B)), sync_key=frozenset({A}))
    assert missing_of_whole(astray, SETTINGS, tags) == f"{B} does not stream from {A} (streaming)"


def test_a_replica_without_a_vote_streams_and_is_never_counted() -> None:
    rows = (
        Replication(application_name=A, state="streaming", sync_state="quorum"),
        Replication(application_name=B, state="streaming", sync_state="async"),
    )
    one = look(p=primary().model_copy(update={"replication": rows}), sync_key=frozenset({A}))
    assert missing_of_whole(one, SETTINGS, {B: Tags(nosync=True)}) is None
    assert missing_of_whole(one, SETTINGS, {B: Tags(nofailover=True)}) is None
    assert missing_of_whole(one, SETTINGS) is not None
    two = replace(SETTINGS, synchronous_node_count=2)
    assert missing_of_whole(one, two, {B: Tags(nofailover=True)}) is not None  # then it has to be


L1, L2 = "db-lyon-1", "db-lyon-2"
LED: dict[str, MemberAnswer | None] = {
    P: primary(streams=(A, B, L1)),
    A: replica(),
    B: replica(),
    L1: replica().model_copy(
        update={
            "role": "standby_leader",
            "replication": (
                Replication(application_name=L2, state="streaming", sync_state="async"),
            ),
        }
    ),
    L2: replica(),
}
STANDBY_LACKS: list[tuple[dict[str, MemberAnswer | None], bool, str]] = [
    ({L2: None}, True, "no answer from db-lyon-2, of the standby cluster"),
    ({P: None}, True, "there is no primary that the standby cluster could follow"),
    ({L1: replica()}, True, "the standby cluster has no standby leader"),
    ({L2: LED[L1]}, True, "db-lyon-1 and db-lyon-2 say that they are the standby leader"),
    (
        {P: primary(streams=(A, B))},  # it streams from a replica, which answered first
        True,
        "db-lyon-1, of the standby cluster, does not stream from db-paris",
    ),
    (
        {L2: replica(timeline=1)},
        True,
        "db-lyon-2, of the standby cluster, is on timeline 1, the primary on 2",
    ),
    ({L2: replica(received=LAGS, replayed=LAGS)}, True, "db-lyon-2 has not received 4.0 MiB"),
    ({}, False, "the standby cluster's etcd is not healthy on dcs-lyon"),
]


def missing_behind(other: dict[str, MemberAnswer | None], *, etcd: bool = True) -> str | None:
    return missing_of_standby({**LED, **other}, (L1, L2), {"dcs-lyon": etcd}, BEHIND_BYTES_MAX)


def test_a_standby_cluster_that_follows_is_whole_and_its_leader_is_no_second_primary() -> None:
    assert missing_behind({}) is None
    leads = {node: LED[node] for node in (P, A, B)}
    assert missing_of_whole(replace(look(), members=leads), SETTINGS) is None


@pytest.mark.parametrize(("other", "etcd", "words"), STANDBY_LACKS)
def test_what_a_standby_cluster_lacks_is_told(
    other: dict[str, MemberAnswer | None], etcd: bool, words: str
) -> None:
    found = missing_behind(other, etcd=etcd)
    assert found is not None
    assert found.startswith(words)


def test_a_standby_is_named_before_the_key_says_so() -> None:
    """Patroni adds one to the names first; it takes one away from the key first."""
    members = {P: primary(sync="sync"), A: replica(), B: replica()}
    assert named_ahead(members, frozenset({A})) == {B}
    assert named_ahead(members, frozenset({A, B})) == set()
    assert named_ahead({**members, B: None}, frozenset({A})) == set()  # it is being taken away
    assert named_ahead({**members, P: None}, frozenset({A})) == set()
    assert named_ahead(members, None) == set()
    alone = {**members, P: primary(sync="sync", streams=(A,))}
    assert named_ahead(alone, frozenset()) == {A}
