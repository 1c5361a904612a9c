"""Spans and metrics, by OpenTelemetry's SDK; the events are written by hand."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence

import anyio
import anyio.lowlevel
import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from replication.observability import opentelemetry
from replication.observability.events import (
    AttemptBegan,
    AttemptFailed,
    CircuitClosed,
    CircuitOpened,
    DoubtResolved,
    Event,
    Observers,
    PoolWaited,
    PrimaryFound,
    PrimaryLost,
    ReadEnded,
    SessionOpened,
    UnitBegan,
    UnitEnded,
    UnitEnding,
)


class Recorded:
    """What was told to an SDK that keeps it in memory."""

    def __init__(self) -> None:
        self._spans = InMemorySpanExporter()
        self._metrics = InMemoryMetricReader()
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self._meters = MeterProvider([self._metrics], shutdown_on_exit=False)
        self.observers = Observers(
            opentelemetry.observers(
                tracer_provider=self.tracers, meter_provider=self._meters, dbname="warehouse"
            )
        )

    def tell(self, *events: Event) -> None:
        for event in events:
            self.observers.tell(event)

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        """Those that have ended, in the order of ending."""
        return self._spans.get_finished_spans()

    def points(self, name: str) -> list[tuple[Mapping[str, object], float]]:
        """Attributes and value (of a histogram: its sum) of each point of a metric."""
        data = self._metrics.get_metrics_data()
        assert data is not None
        return [
            (dict(point.attributes or {}), getattr(point, "sum", getattr(point, "value", None)))
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]


def began(unit_id: str = "order-17") -> UnitBegan:
    return UnitBegan(unit_id=unit_id, durability="quorum")


def attempt(number: int, node: str = "db-a", unit_id: str = "order-17") -> AttemptBegan:
    return AttemptBegan(unit_id=unit_id, node=node, number=number)


def ended(
    outcome: UnitEnding = "applied",
    *,
    unit_id: str = "order-17",
    error: str | None = None,
    sqlstate: str | None = None,
    attempts: int = 1,
    resolved: bool = False,
) -> UnitEnded:
    return UnitEnded(
        unit_id=unit_id,
        outcome=outcome,
        error=error,
        sqlstate=sqlstate,
        node="db-b",
        attempts=attempts,
        elapsed_s=1.5,
        resolved=resolved,
    )


LOST = AttemptFailed(unit_id="order-17", node="db-a", number=1, sqlstate="57P01", action="reroute")
RESOLVED = DoubtResolved(unit_id="order-17", node="db-b", state="applied", elapsed_s=1.0)


def test_a_unit_of_work_through_a_failover() -> None:
    recorded = Recorded()
    recorded.tell(began(), attempt(1), LOST, attempt(2, "db-b"), RESOLVED)
    recorded.tell(ended(attempts=2, resolved=True))
    first, second, unit = recorded.spans
    assert [span.name for span in recorded.spans] == ["transaction", "transaction", "unit of work"]
    assert unit.kind is SpanKind.INTERNAL
    assert unit.status.status_code is StatusCode.UNSET
    assert dict(unit.attributes or {}) == {
        "db.system.name": "postgresql",
        "db.namespace": "warehouse",
        "bascule.unit.id": "order-17",
        "bascule.durability": "quorum",
        "bascule.outcome": "applied",
        "bascule.attempts": 2,
        "bascule.resolved": True,
        "bascule.node": "db-b",
    }
    assert [(event.name, dict(event.attributes or {})) for event in unit.events] == [
        ("doubt resolved", {"bascule.state": "applied", "bascule.node": "db-b"})
    ]
    assert first.kind is SpanKind.CLIENT
    assert first.status.status_code is StatusCode.ERROR
    assert dict(first.attributes or {}) == {
        "db.system.name": "postgresql",
        "db.namespace": "warehouse",
        "db.operation.name": "transaction",
        "bascule.node": "db-a",
        "bascule.attempt": 1,
        "bascule.action": "reroute",
        "error.type": "57P01",
        "db.response.status_code": "57P01",
    }
    assert second.status.status_code is StatusCode.UNSET
    assert {span.parent.span_id for span in (first, second) if span.parent} == {
        unit.context.span_id
    }


def test_a_unit_that_failed() -> None:
    recorded = Recorded()
    recorded.tell(began(), attempt(1), LOST)
    recorded.tell(ended("not-applied", error="DeadlineExceeded", sqlstate="57P01"))
    unit = recorded.spans[-1]
    assert unit.status.status_code is StatusCode.ERROR
    assert unit.status.description is None
    assert (unit.attributes or {})["error.type"] == "DeadlineExceeded"
    assert (unit.attributes or {})["db.response.status_code"] == "57P01"


def test_what_runs_inside_shows_up_below() -> None:
    """And after it, the application's own span is the current one again."""
    recorded = Recorded()
    tracer = recorded.tracers.get_tracer("application")
    with tracer.start_as_current_span("request") as request:
        recorded.tell(began(), attempt(1))
        with tracer.start_as_current_span("inside"):
            pass
        recorded.tell(began("inner"), ended(unit_id="inner"))
        recorded.tell(ended())
        assert trace.get_current_span() is request
    parents = {span.name: span.parent.span_id for span in recorded.spans if span.parent is not None}
    ids = {
        (span.attributes or {}).get("bascule.unit.id"): span.context.span_id
        for span in recorded.spans
        if span.name == "unit of work"
    }
    assert parents["inside"] == ids["order-17"]
    inner = next(span for span in recorded.spans if span.context.span_id == ids["inner"])
    assert inner.parent is not None
    assert inner.parent.span_id == ids["order-17"]
    assert parents["transaction"] == ids["order-17"]


def test_units_that_run_at_once_are_kept_apart() -> None:
    """Even under one id: the second call waits for the first one's row."""
    recorded = Recorded()

    async def run(turns: Sequence[Event]) -> None:
        for event in turns:
            recorded.tell(event)
            await anyio.lowlevel.checkpoint()

    async def both() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(run, [began(), attempt(1), ended()])
            group.start_soon(run, [began(), attempt(1), attempt(2), ended(attempts=2)])

    anyio.run(both)
    units = {
        span.context.span_id: (span.attributes or {})["bascule.attempts"]
        for span in recorded.spans
        if span.name == "unit of work"
    }
    below = [
        units[span.parent.span_id]
        for span in recorded.spans
        if span.name == "transaction" and span.parent is not None
    ]
    assert sorted(units.values()) == [1, 2]
    assert sorted(below) == [1, 2, 2]


def test_reads() -> None:
    recorded = Recorded()
    recorded.tell(ReadEnded(node="db-b", source="replica", error=None, elapsed_s=0.25))
    recorded.tell(ReadEnded(node=None, source=None, error="ReadFailed", elapsed_s=30.0))
    served, failed = recorded.spans
    assert served.end_time is not None
    assert served.start_time is not None
    assert served.end_time - served.start_time == 250_000_000
    assert (served.attributes or {})["bascule.source"] == "replica"
    assert failed.status.status_code is StatusCode.ERROR
    points = recorded.points("db.client.operation.duration")
    assert sorted((str(found["bascule.source"]), sum_s) for found, sum_s in points) == [
        ("none", 30.0),
        ("replica", 0.25),
    ]


def test_metrics() -> None:
    recorded = Recorded()
    recorded.tell(began(), attempt(1), LOST, attempt(2, "db-b"), RESOLVED, ended(attempts=2))
    recorded.tell(
        PrimaryFound(node="db-a", timeline=1, previous=None, search_s=0.5),
        PrimaryLost(node="db-a", reason="gone"),
        PrimaryFound(node="db-b", timeline=2, previous="db-a", search_s=20.0),
        SessionOpened(node="db-b", elapsed_s=0.01),
        PoolWaited(waited_s=0.2),
        CircuitOpened(reason="nothing works", for_s=5.0),
        CircuitClosed(),
    )
    common = {"db.system.name": "postgresql", "db.namespace": "warehouse"}
    pool = {**common, "db.client.connection.pool.name": "bascule"}
    duration = {**common, "db.operation.name": "unit of work", "bascule.outcome": "applied"}
    assert recorded.points("db.client.operation.duration") == [(duration, 1.5)]
    assert recorded.points("bascule.attempts") == [(common, 2)]
    failure = {**common, "bascule.action": "reroute", "error.type": "57P01"}
    assert recorded.points("bascule.attempt.failures") == [(failure, 1)]
    assert recorded.points("bascule.doubts.resolved") == [
        ({**common, "bascule.state": "applied"}, 1)
    ]
    search = {**common, "bascule.moved": True}
    assert recorded.points("bascule.primary.search.duration") == [(search, 20.0)]
    assert recorded.points("db.client.connection.create_time") == [(pool, 0.01)]
    assert recorded.points("db.client.connection.wait_time") == [(pool, 0.2)]
    assert recorded.points("bascule.circuit.openings") == [(common, 1)]


@pytest.fixture
def without_api(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("replication.observability.otel_spans", "replication.observability.otel_metrics"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)


@pytest.mark.usefixtures("without_api")
def test_without_the_api_nobody_watches() -> None:
    make: Callable[[], tuple[object, ...]] = opentelemetry.observers
    assert make() == ()
    assert not Observers(opentelemetry.observers()).are_watching
