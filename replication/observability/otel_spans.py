"""Spans of units of work, their attempts, and reads. Imports OpenTelemetry's API.

A unit of work is an internal span, each of its attempts a client span below it; while it runs it is
the current span, so that the spans of the function are its children. Attributes follow the semantic
conventions for database clients (``db.*``, ``error.type``); other names begin with ``bascule.``.
They contain no SQL, no parameters and no message of an error, since those may quote values.
"""

from __future__ import annotations

import time
from contextvars import ContextVar, Token
from dataclasses import dataclass

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider
from opentelemetry.util.types import AttributeValue

from replication.observability.events import (
    AttemptBegan,
    AttemptFailed,
    DoubtResolved,
    Event,
    ReadEnded,
    UnitBegan,
    UnitEnded,
)

SCOPE = "bascule.replication"


@dataclass(slots=True)
class _Unit:
    """The unit of work that runs in this task."""

    span: Span
    token: Token[Context]
    outer: _Unit | None
    attempt: Span | None = None

    def end_attempt(self) -> None:
        if self.attempt is not None:
            self.attempt.end()
            self.attempt = None


class Spans:
    """An observer. The events of a unit of work come in the task that runs it, so the task's
    context knows which unit they belong to, whatever its id."""

    def __init__(self, provider: TracerProvider | None, dbname: str | None) -> None:
        self._tracer = trace.get_tracer(SCOPE, tracer_provider=provider)
        self._common: dict[str, AttributeValue] = {"db.system.name": "postgresql"}
        if dbname is not None:
            self._common["db.namespace"] = dbname
        self._unit: ContextVar[_Unit | None] = ContextVar("bascule_unit", default=None)

    def __call__(self, event: Event) -> None:
        """Take note of ``event``."""
        match event:
            case UnitBegan():
                self._begin(event)
            case ReadEnded():
                self._read(event)
            case _:
                unit = self._unit.get()
                if unit is not None:
                    self._inside(unit, event)

    def _begin(self, event: UnitBegan) -> None:
        span = self._tracer.start_span(
            "unit of work",
            kind=SpanKind.INTERNAL,
            attributes={
                **self._common,
                "bascule.unit.id": event.unit_id,
                "bascule.durability": event.durability,
            },
        )
        token = context.attach(trace.set_span_in_context(span))
        self._unit.set(_Unit(span, token, self._unit.get()))

    def _inside(self, unit: _Unit, event: Event) -> None:
        match event:
            case AttemptBegan():
                unit.end_attempt()
                unit.attempt = self._tracer.start_span(
                    "transaction",
                    context=trace.set_span_in_context(unit.span),
                    kind=SpanKind.CLIENT,
                    attributes={
                        **self._common,
                        "db.operation.name": "transaction",
                        "bascule.node": event.node,
                        "bascule.attempt": event.number,
                    },
                )
            case AttemptFailed() if unit.attempt is not None:
                unit.attempt.set_attribute("bascule.action", event.action)
                _fail(unit.attempt, error=event.sqlstate or "connection", sqlstate=event.sqlstate)
                unit.end_attempt()
            case DoubtResolved():
                unit.span.add_event(
                    "doubt resolved", {"bascule.state": event.state, "bascule.node": event.node}
                )
            case UnitEnded():
                self._end(unit, event)
            case _:
                pass

    def _end(self, unit: _Unit, event: UnitEnded) -> None:
        unit.end_attempt()
        unit.span.set_attributes(
            {
                "bascule.outcome": event.outcome,
                "bascule.attempts": event.attempts,
                "bascule.resolved": event.resolved,
            }
        )
        if event.node is not None:
            unit.span.set_attribute("bascule.node", event.node)
        if event.error is not None:
            _fail(unit.span, error=event.error, sqlstate=event.sqlstate)
        unit.span.end()
        self._unit.set(unit.outer)
        context.detach(unit.token)

    def _read(self, event: ReadEnded) -> None:
        """The event comes when the read is over, so its beginning is computed from its end."""
        end_ns = time.time_ns()
        span = self._tracer.start_span(
            "read",
            kind=SpanKind.CLIENT,
            start_time=end_ns - round(event.elapsed_s * 1e9),
            attributes={**self._common, "db.operation.name": "read"},
        )
        if event.node is not None:
            span.set_attribute("bascule.node", event.node)
        if event.source is not None:
            span.set_attribute("bascule.source", event.source)
        if event.error is not None:
            _fail(span, error=event.error, sqlstate=None)
        span.end(end_ns)


def _fail(span: Span, *, error: str, sqlstate: str | None) -> None:
    span.set_attribute("error.type", error)
    if sqlstate is not None:
        span.set_attribute("db.response.status_code", sqlstate)
    span.set_status(Status(StatusCode.ERROR))
