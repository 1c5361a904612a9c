"""OpenTelemetry, if its API is there: spans of units of work and reads, and metrics.

``Storage(..., observers=telemetry.observers())``. Without the package ``opentelemetry-api`` nothing
is emitted. docs/operate/telemetry.md has the names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from replication.observability.events import Observer

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider


def observers(
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    dbname: str | None = None,
) -> tuple[Observer, ...]:
    """Observers for ``Storage``; empty without OpenTelemetry.

    Call it once for each storage: what it returns knows which unit of work it is in.

    Args:
        tracer_provider: OpenTelemetry's global one if None.
        meter_provider: OpenTelemetry's global one if None.
        dbname: the database, for the attribute ``db.namespace``.
    """
    try:
        from replication.observability.otel_metrics import Metrics  # noqa: PLC0415
        from replication.observability.otel_spans import Spans  # noqa: PLC0415
    except ImportError:
        return ()
    return (Spans(tracer_provider, dbname), Metrics(meter_provider, dbname))
