"""The storage layer's own metrics, for OpenTelemetry. Imports OpenTelemetry's API.

Names and units follow the semantic conventions for database clients where these have one.
Attributes have few values: never the id of a unit of work.
"""

from __future__ import annotations

from opentelemetry import metrics
from opentelemetry.metrics import MeterProvider
from opentelemetry.util.types import AttributeValue

from replication.observability.events import (
    AttemptBegan,
    AttemptFailed,
    CircuitOpened,
    DoubtResolved,
    Event,
    MemberChanged,
    PoolWaited,
    PrimaryFound,
    ReadEnded,
    SessionOpened,
    UnitEnded,
)
from replication.observability.otel_spans import SCOPE

DURATION_BUCKETS_S = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10)
"""What the semantic conventions advise for ``db.client.operation.duration``."""

SEARCH_BUCKETS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60)
"""A switchover takes a second or two, a failover up to half a minute."""

_POOL = {"db.client.connection.pool.name": "bascule"}


class Metrics:
    """An observer."""

    def __init__(self, provider: MeterProvider | None, dbname: str | None) -> None:
        meter = metrics.get_meter(SCOPE, meter_provider=provider)
        self._common: dict[str, AttributeValue] = {"db.system.name": "postgresql"}
        if dbname is not None:
            self._common["db.namespace"] = dbname
        self._duration = meter.create_histogram(
            "db.client.operation.duration",
            unit="s",
            description="Duration of units of work, with all of their attempts, and of reads.",
            explicit_bucket_boundaries_advisory=DURATION_BUCKETS_S,
        )
        self._attempts = meter.create_counter(
            "bascule.attempts", unit="{attempt}", description="Transactions that were begun."
        )
        self._failures = meter.create_counter(
            "bascule.attempt.failures",
            unit="{attempt}",
            description="Transactions that did not end in an acknowledged commit.",
        )
        self._resolved = meter.create_counter(
            "bascule.doubts.resolved",
            unit="{commit}",
            description="Commits in doubt of which the id row said what became.",
        )
        self._searches = meter.create_histogram(
            "bascule.primary.search.duration",
            unit="s",
            description="From the loss of a primary to the first session to one.",
            explicit_bucket_boundaries_advisory=SEARCH_BUCKETS_S,
        )
        self._opening = meter.create_histogram(
            "db.client.connection.create_time",
            unit="s",
            description="The time that it took to create a new connection.",
        )
        self._waiting = meter.create_histogram(
            "db.client.connection.wait_time",
            unit="s",
            description="The time that it took to obtain an open connection from the pool.",
        )
        self._circuits = meter.create_counter(
            "bascule.circuit.openings",
            unit="{opening}",
            description="How often units of work were refused for a while.",
        )

        self._member_changes = meter.create_counter(
            "bascule.member.changes",
            unit="{member}",
            description="Members that were added, moved or dropped while the storage was open.",
        )

    def __call__(self, event: Event) -> None:
        """Take note of ``event``."""
        match event:
            case UnitEnded():
                found = {"db.operation.name": "unit of work", "bascule.outcome": event.outcome}
                self._duration.record(event.elapsed_s, self._with(found, event.error))
            case ReadEnded():
                found = {"db.operation.name": "read", "bascule.source": event.source or "none"}
                self._duration.record(event.elapsed_s, self._with(found, event.error))
            case AttemptBegan():
                self._attempts.add(1, self._common)
            case AttemptFailed():
                found = {"bascule.action": event.action}
                self._failures.add(1, self._with(found, event.sqlstate or "connection"))
            case DoubtResolved():
                self._resolved.add(1, {**self._common, "bascule.state": event.state})
            case _:
                self._around(event)

    def _around(self, event: Event) -> None:
        """Events outside of units of work."""
        match event:
            case PrimaryFound(previous=None):
                pass  # the first one was not lost before
            case PrimaryFound():
                moved = event.previous != event.node
                self._searches.record(event.search_s, {**self._common, "bascule.moved": moved})
            case SessionOpened():
                self._opening.record(event.elapsed_s, {**self._common, **_POOL})
            case PoolWaited():
                self._waiting.record(event.waited_s, {**self._common, **_POOL})
            case MemberChanged():
                self._member_changes.add(1, {**self._common, "bascule.change": event.change})
            case CircuitOpened():
                self._circuits.add(1, self._common)
            case _:
                pass

    def _with(self, found: dict[str, str], error: str | None) -> dict[str, AttributeValue]:
        attributes = {**self._common, **found}
        return attributes if error is None else {**attributes, "error.type": error}
