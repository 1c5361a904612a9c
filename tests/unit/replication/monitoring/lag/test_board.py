"""How a cluster is seen, answer by answer: handwritten stories; no sockets, times made up."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from replication.monitoring.exporter.families import OTHER_SLOTS, SLOTS_MAX, bounded_slots, families
from replication.monitoring.exporter.metrics import EXPORTER_METRICS
from replication.monitoring.lag.board import LagBoard
from replication.monitoring.lag.sql_answer import Slot, SqlAnswer, Standby
from replication.monitoring.lag.standing import Standing, standing
from replication.patroni.answers import PatroniAnswer, read_status
from replication.patroni.members import Member

A, B, C = "db-a", "db-b", "db-c"
CLUSTER_ID = 7


def member(name: str) -> Member:
    return Member(name=name, rest_url="http://x", host="x", port=1, site=name[-1])


def sql_primary(position: int, *rows: Standby, timeline: int = 1) -> SqlAnswer:
    return SqlAnswer(
        in_recovery=False,
        position=position,
        timeline=timeline,
        checkpoint_timeline=timeline,
        received=None,
        replayed=None,
        streams=False,
        synchronous_standby_names="",
        standbys=rows,
        slots=(),
        conflicts=(),
        missing=(),
        system_identifier=CLUSTER_ID,
    )


def sql_replica(received: int, replayed: int, *, timeline: int | None = 1) -> SqlAnswer:
    return replace(
        sql_primary(0),
        in_recovery=True,
        position=None,
        timeline=timeline,
        received=received,
        replayed=replayed,
        streams=timeline is not None,
    )


def row(name: str, position: int, state: str = "streaming", sync_state: str = "async") -> Standby:
    return Standby(name=name, state=state, sync_state=sync_state, positions=(position,) * 4)


def patroni(status: int = 503, **said: object) -> PatroniAnswer:
    answer = read_status(status, json.dumps({"state": "running", **said}).encode())
    assert answer is not None
    return answer


class Story:
    """A board, and a clock that goes on by a second with every answer."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.board = LagBoard([member(A), member(B), member(C)], began_s=self.now_s)

    def sql(self, name: str, answer: SqlAnswer | None, number: int | None = None) -> None:
        self.now_s += 1
        times = {"began_s": self.now_s - 0.1, "ended_s": self.now_s}
        self.board.hear_sql(name, answer, **times, number=number)

    def rest(self, name: str, answer: PatroniAnswer | None) -> None:
        self.now_s += 1
        self.board.hear_patroni(name, answer, began_s=self.now_s - 0.1, ended_s=self.now_s)

    def beat(self, name: str, before: int | None) -> int:
        self.now_s += 1
        number = self.board.beats.next(self.now_s)
        self.board.hear_beat(name, number, before, now_s=self.now_s)
        return number

    def of(self, name: str) -> Standing:
        found = standing(self.board, name, now_s=self.now_s)
        assert found is not None
        return found

    def replay_lag(self, name: str) -> int | None:
        lag = self.of(name).lag_bytes
        return None if lag is None else lag["replay"]

    def samples(self) -> dict[str, list[tuple[dict[str, str], float]]]:
        pages = families(self.board, cluster="patients", version="1", now_s=self.now_s, wall_s=1e9)
        return {
            family.name: [(sample.labels, sample.value) for sample in family.samples]
            for family in pages
        }


def test_nothing_is_said_of_what_nobody_knows() -> None:
    story = Story()
    assert story.of(B) == Standing(lag_bytes=None, lag_s=None, streams=False, sync_state=None)
    story.sql(A, sql_primary(1000))
    assert story.of(B) == Standing(lag_bytes=None, lag_s=None, streams=False, sync_state="")
    assert standing(story.board, A, now_s=story.now_s) is None


def test_the_primarys_row_counts_while_there_is_one() -> None:
    story = Story()
    story.sql(B, sql_replica(900, 900))
    story.sql(A, sql_primary(1000, row(B, 950)))
    assert story.replay_lag(B) == 50


def test_without_a_row_its_own_word_counts() -> None:
    """Received equals replayed, and it is behind all the same."""
    story = Story()
    story.sql(A, sql_primary(1000, row(B, 1000)))
    story.sql(A, sql_primary(5000))
    story.sql(B, sql_replica(1000, 1000, timeline=None))
    assert story.replay_lag(B) == 4000
    assert not story.of(B).streams
    story.sql(A, sql_primary(6000))
    assert story.replay_lag(B) == 5000


def test_a_dead_replica_keeps_its_last_position_and_falls_behind() -> None:
    story = Story()
    story.sql(A, sql_primary(1000, row(B, 990)))
    story.sql(B, None)
    story.rest(B, None)
    lags = []
    for position in (1000, 2000, 3000):
        story.sql(A, sql_primary(position))
        lags.append(story.replay_lag(B))
    assert lags == [10, 1010, 2010]


def test_patronis_word_serves_where_sql_does_not_answer() -> None:
    story = Story()
    story.rest(A, patroni(200, role="primary", timeline=1, xlog={"location": 1000}))
    xlog = {"received_location": 800, "replayed_location": 700}
    said = patroni(role="replica", timeline=1, xlog=xlog, replication_state="streaming")
    story.rest(B, said)
    assert story.of(B).lag_bytes == {"sent": 200, "write": 200, "flush": 200, "replay": 300}
    assert story.of(B).streams


def test_a_standby_that_has_just_connected_keeps_what_was_known() -> None:
    story = Story()
    story.sql(A, sql_primary(1000, row(B, 900)))
    connecting = Standby(name=B, state="startup", sync_state="async", positions=None)
    story.sql(A, sql_primary(1500, connecting))
    assert story.replay_lag(B) == 600


def test_of_two_connections_of_one_replica_the_further_counts() -> None:
    story = Story()
    story.sql(A, sql_primary(1000, row(B, 400), row(B, 900, sync_state="quorum")))
    assert story.replay_lag(B) == 100
    assert story.of(B).sync_state == "quorum"


def test_a_connection_that_carries_nothing_any_more_does_not_count() -> None:
    """PostgreSQL keeps the row, and counts the standby, until wal_sender_timeout."""
    story = Story()
    for position in range(1000, 1012):
        rows = row(B, 1000, sync_state="quorum"), row(C, position, sync_state="quorum")
        story.sql(A, sql_primary(position, *rows))
    assert not story.of(B).streams
    assert story.of(C).streams
    assert [value for _, value in story.samples()["bascule_sync_standbys"]] == [1.0]
    story.sql(A, sql_primary(1020, row(B, 1001, sync_state="quorum")))
    assert story.of(B).streams, "it takes something again"


def test_a_standby_with_nothing_to_flush_is_not_stalled() -> None:
    story = Story()
    for _ in range(30):
        story.sql(A, sql_primary(1000, row(B, 1000, sync_state="sync")))
    assert story.of(B).streams
    assert [value for _, value in story.samples()["bascule_sync_standbys"]] == [1.0]


def test_without_a_primary_nobody_falls_behind_and_nothing_vanishes() -> None:
    story = Story()
    story.sql(A, sql_primary(1000, row(B, 990)))
    story.sql(A, None)
    story.rest(A, None)
    story.sql(B, sql_replica(990, 990, timeline=None))
    assert story.replay_lag(B) == 10
    assert story.of(B).sync_state is None
    assert standing(story.board, A, now_s=story.now_s) is None


def test_after_a_failover_the_former_primary_is_a_replica_that_is_behind() -> None:
    """It had 1200 on timeline 1, which ended at 1100; what is beyond is not the cluster's WAL."""
    story = Story()
    story.sql(A, sql_primary(1200, row(B, 1100)))
    story.sql(A, None)
    story.sql(B, sql_primary(1500, timeline=2))
    assert standing(story.board, B, now_s=story.now_s) is None
    assert story.replay_lag(A) == 300
    story.board.timeline_ends = {1: 1100}
    assert story.replay_lag(A) == 400


def test_a_stale_primary_is_counted_and_measures_nobody() -> None:
    story = Story()
    story.sql(B, sql_primary(1500, row(C, 1500), timeline=2))
    story.sql(A, sql_primary(9000, row(C, 20), timeline=1))
    assert story.board.reference is not None
    assert story.board.reference.member == B
    assert standing(story.board, A, now_s=story.now_s) is None
    assert story.replay_lag(C) == 0
    assert story.samples()["bascule_writable_members"] == [({"cluster": "patients"}, 2.0)]
    story.sql(B, None)
    story.sql(A, sql_primary(9500, row(C, 30), timeline=1))
    assert story.board.reference.member == B
    assert story.replay_lag(C) == 0


def test_seconds_through_a_failover() -> None:
    story = Story()
    story.sql(A, sql_primary(1000))
    for before in (None, 1, 2):
        story.beat(A, before)
    story.sql(B, sql_replica(0, 0), number=2)
    story.sql(C, sql_replica(0, 0), number=3)
    assert story.of(B).lag_s == 2.0
    assert story.of(C).lag_s == 0
    story.sql(A, None)
    story.sql(C, sql_primary(1000, timeline=2))
    story.sql(B, sql_replica(0, 0), number=3)
    assert story.of(B).lag_s == 0
    story.beat(C, 3)
    story.sql(B, sql_replica(0, 0), number=3)
    assert story.of(B).lag_s == 1.0
    assert story.of(A).lag_s == 1.0, "the dead former primary lacks what the new one has written"


def test_a_replica_whose_heartbeat_cannot_be_read_any_more_falls_behind() -> None:
    story = Story()
    story.sql(A, sql_primary(1000))
    story.beat(A, None)
    story.sql(B, sql_replica(0, 0), number=1)
    story.beat(A, 1)
    story.sql(B, sql_replica(0, 0), number=None)
    assert story.of(B).lag_s == 1.0


def test_an_old_role_is_not_kept() -> None:
    story = Story()
    story.rest(A, patroni(200, role="primary"))
    assert story.samples()["bascule_primaries"] == [({"cluster": "patients"}, 1.0)]
    story.rest(A, None)
    samples = story.samples()
    assert samples["bascule_primaries"] == [({"cluster": "patients"}, 0.0)]
    roles = {s["role"]: value for s, value in samples["bascule_member_role"] if s["member"] == A}
    assert roles == {"primary": 0, "replica": 0, "standby_leader": 0, "unknown": 1}
    failures = samples["bascule_exporter_probe_failures"]
    assert [value for s, value in failures if s["member"] == A and s["what"] == "rest"] == [1.0]


def test_failsafe_and_pause_are_said_by_any_member() -> None:
    story = Story()
    assert story.samples()["bascule_failsafe_active"] == []
    story.rest(A, patroni())
    story.rest(B, patroni(failsafe_mode_is_active=True, pause=True))
    assert [value for _, value in story.samples()["bascule_failsafe_active"]] == [1.0]
    assert [value for _, value in story.samples()["bascule_cluster_paused"]] == [1.0]


def test_the_age_is_that_of_the_oldest_answer() -> None:
    story = Story()
    for name in (A, B, C):
        story.rest(name, None)
        story.sql(name, None)
    story.sql(A, None)
    [(_, value)] = story.samples()["bascule_exporter_last_probe_timestamp_seconds"]
    assert value == 1e9 - 6


@pytest.mark.parametrize("count", [0, SLOTS_MAX, SLOTS_MAX + 1, 10 * SLOTS_MAX])
def test_slots_have_a_bounded_number_of_series(count: int) -> None:
    slots = tuple(
        Slot(name=f"s{n:04}", active=n != count - 1, retained_bytes=n) for n in range(count)
    )
    shown = bounded_slots(slots)
    assert len(shown) == min(count, SLOTS_MAX + 1)
    if count > SLOTS_MAX:
        assert shown[-1] == Slot(name=OTHER_SLOTS, active=False, retained_bytes=count - 1)


def test_a_slot_without_wal_has_no_size() -> None:
    story = Story()
    lost = Slot(name="lost", active=False, retained_bytes=None)
    story.sql(A, replace(sql_primary(1000), slots=(lost,)))
    assert story.samples()["bascule_slot_retained_bytes"] == []
    assert [value for _, value in story.samples()["bascule_slot_active"]] == [0.0]


def test_families_are_those_of_the_catalogue_and_so_are_their_labels() -> None:
    story = Story()
    story.rest(A, patroni(200, role="primary", dcs_last_seen=5))
    slot = Slot(name="s", active=True, retained_bytes=1)
    story.sql(A, replace(sql_primary(1000, row(B, 900)), slots=(slot,)))
    story.beat(A, None)
    story.sql(B, replace(sql_replica(0, 0), conflicts=(("snapshot", 2),)), number=0)
    story.board.dcs_up, story.board.dcs_quorum = {"http://etcd:2379": True}, True
    story.board.synchronous_mode = True
    samples = story.samples()
    assert set(samples) == {m.name.removesuffix("_total") for m in EXPORTER_METRICS}
    for metric in EXPORTER_METRICS:
        found = samples[metric.name.removesuffix("_total")]
        assert found, f"{metric.name} has no series in this story"
        assert all(tuple(labels) == metric.labels for labels, _ in found)


def test_a_member_that_comes_is_unknown_and_one_that_leaves_is_gone() -> None:
    story = Story()
    for name in (A, B, C):
        story.rest(name, patroni())
        story.sql(name, sql_replica(5, 5))
    story.now_s += 100
    story.board.put(member("db-d"), now_s=story.now_s)
    story.board.drop(C)
    assert list(story.board.records) == [A, B, "db-d"]
    assert story.board.records["db-d"].patroni is None
    # That it has not been asked yet does not make the probes stand still since the beginning.
    for name in (A, B):
        story.rest(name, patroni())
        story.sql(name, sql_replica(5, 5))
    assert story.board.oldest_s > story.board.began_s + 100
