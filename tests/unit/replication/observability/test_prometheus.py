"""The storage layer's events, counted; no sockets."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from replication.failures import Action
from replication.observability.events import (
    AttemptBegan,
    AttemptFailed,
    CircuitClosed,
    CircuitOpened,
    DoubtResolved,
    Event,
    MemberChanged,
    PoolWaited,
    PrimaryFound,
    PrimaryLost,
    ReadEnded,
    SessionOpened,
    UnitBegan,
    UnitEnded,
    UnitEnding,
)
from replication.observability.metric_names import STORAGE_METRICS
from replication.observability.prometheus import OUTCOMES, RESULTS, StorageMetrics

EVERY_ACTION = [action.name for action in Action]


def ended(outcome: UnitEnding, *, resolved: bool = False, elapsed_s: float = 0.01) -> UnitEnded:
    return UnitEnded(
        unit_id="a",
        outcome=outcome,
        error=None,
        sqlstate=None,
        node="db-a",
        attempts=1,
        elapsed_s=elapsed_s,
        resolved=resolved,
    )


def failed(action: str) -> AttemptFailed:
    return AttemptFailed(unit_id="a", node="db-a", number=1, sqlstate=None, action=action)


def found(node: str, timeline: int, previous: str | None) -> PrimaryFound:
    return PrimaryFound(node=node, timeline=timeline, previous=previous, search_s=7.0)


class Told:
    """Metrics after some events."""

    def __init__(self, events: Sequence[Event]) -> None:
        self.registry = CollectorRegistry()
        metrics = StorageMetrics(cluster="patients", registry=self.registry)
        for event in events:
            metrics.observe(event)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, {"cluster": "patients", **labels})


def test_units_by_outcome_and_their_durations() -> None:
    told = Told([ended("applied"), ended("applied"), ended("not-applied", elapsed_s=31.0)])
    assert told.value("bascule_storage_units_total", outcome="applied") == 2
    assert told.value("bascule_storage_units_total", outcome="not_applied") == 1
    assert told.value("bascule_storage_units_total", outcome="unknown") == 0
    assert told.value("bascule_storage_unit_duration_seconds_count") == 3
    assert told.value("bascule_storage_unit_duration_seconds_bucket", le="30.0") == 2


def test_a_commit_in_doubt_is_counted_once_and_then_its_answer() -> None:
    resolved = DoubtResolved(unit_id="a", node="db-b", state="applied", elapsed_s=9.0)
    told = Told([failed("IN_DOUBT"), resolved, ended("applied", resolved=True)])
    assert told.value("bascule_storage_in_doubt_total") == 1
    assert told.value("bascule_storage_in_doubt_resolved_total", state="applied") == 1
    assert told.value("bascule_storage_in_doubt_resolved_total", state="void") == 0
    assert told.value("bascule_storage_attempts_total", result="in_doubt") == 1
    assert told.value("bascule_storage_attempts_total", result="committed") == 0


@pytest.mark.parametrize("action", EVERY_ACTION)
def test_every_action_is_a_result_that_is_listed(action: str) -> None:
    told = Told([failed(action)])
    assert action.lower() in RESULTS
    assert told.value("bascule_storage_attempts_total", result=action.lower()) == 1


def test_the_first_primary_is_no_failover() -> None:
    told = Told([found("db-a", 3, None)])
    assert told.value("bascule_storage_failovers_seen_total") == 0
    assert told.value("bascule_storage_reroute_seconds_count") == 0


@pytest.mark.parametrize(
    ("node", "timeline", "failovers"),
    [("db-b", 2, 1), ("db-b", 1, 1), ("db-a", 2, 1), ("db-a", 1, 0)],
)
def test_a_failover_is_another_node_or_a_higher_timeline(
    node: str, timeline: int, failovers: int
) -> None:
    told = Told([found("db-a", 1, None), found(node, timeline, "db-a")])
    assert told.value("bascule_storage_failovers_seen_total") == failovers
    assert told.value("bascule_storage_reroute_seconds_sum") == 7.0


def test_reads_waits_and_the_circuit() -> None:
    reads = [
        ReadEnded(node="db-a", source="primary", error=None, elapsed_s=0.1),
        ReadEnded(node=None, source=None, error="NoReplica", elapsed_s=5.0),
    ]
    opened = CircuitOpened(reason="no primary", for_s=5.0)
    told = Told([*reads, PoolWaited(waited_s=0.2), opened])
    assert told.value("bascule_storage_reads_total", source="primary") == 1
    assert told.value("bascule_storage_reads_total", source="none") == 1
    assert told.value("bascule_storage_pool_wait_seconds_sum") == 0.2
    assert told.value("bascule_storage_circuit_open") == 1
    assert Told([opened, CircuitClosed()]).value("bascule_storage_circuit_open") == 0


def test_no_event_makes_a_series_that_was_not_there() -> None:
    """Cardinality: all series exist from the start, whatever ids, nodes and errors come by."""
    outcomes: list[UnitEnding] = ["applied", "not-applied", "unknown", "already-applied", "error"]
    events: list[Event] = [
        UnitBegan(unit_id="a", durability="quorum"),
        AttemptBegan(unit_id="a", node="db-a", number=1),
        *(failed(action) for action in EVERY_ACTION),
        *(ended(outcome) for outcome in outcomes),
        DoubtResolved(unit_id="a", node="db-a", state="void", elapsed_s=1.0),
        ReadEnded(node="db-b", source="replica", error=None, elapsed_s=0.1),
        PrimaryLost(node="db-a", reason="silent"),
        found("db-b", 2, "db-a"),
        SessionOpened(node="db-b", elapsed_s=0.1),
        PoolWaited(waited_s=0.0),
    ]
    assert len(OUTCOMES) == len(outcomes)
    assert series(Told([]).registry) == series(Told(events).registry)


def series(registry: CollectorRegistry) -> set[tuple[str, frozenset[tuple[str, str]]]]:
    return {
        (sample.name, frozenset(sample.labels.items()))
        for family in registry.collect()
        for sample in family.samples
    }


def test_what_is_registered_is_what_the_catalogue_says() -> None:
    registry = Told([]).registry
    shown = {family.name: (family.type, family.documentation) for family in registry.collect()}
    assert shown == {
        metric.name.removesuffix("_total"): (metric.kind, metric.help) for metric in STORAGE_METRICS
    }


def test_promtool_finds_nothing_to_say() -> None:
    text = generate_latest(Told([ended("applied")]).registry)
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_members_that_come_move_and_leave_are_counted() -> None:
    told = Told([MemberChanged(node="db-c", change="added", host="10.0.0.3", port=5432)] * 2)
    name = "bascule_storage_member_changes_total"
    for change, count in (("added", 2), ("moved", 0), ("dropped", 0)):
        labels = {"cluster": "patients", "change": change}
        assert told.registry.get_sample_value(name, labels) == count
