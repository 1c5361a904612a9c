"""What an alert rule is, as data, and how its durations are written. Values only.

A rule's expression is PromQL with two placeholders, so that one rule serves production and a drill:
``$threshold`` (overridable) and ``$window`` (a range, divided by the scale like every ``for``).
"""

from __future__ import annotations

from dataclasses import dataclass
from string import Template
from typing import Literal

AlertSeverity = Literal["critical", "warning", "info"]
"""critical: an operator is called now. warning: an operator looks today. info: it is recorded."""

ThresholdUnit = Literal["bytes", "seconds"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """The number that an expression compares with, and where it comes from."""

    value: float
    unit: ThresholdUnit
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRule:
    """One alert.

    Args:
        name: as Prometheus shows it (CamelCase, prefix ``Bascule``).
        expr: PromQL; ``$threshold`` and ``$window`` are filled in.
        for_s: how long the expression must hold, in seconds, without a gap.
        for_source: why that long.
        severity: who is told, and how soon.
        summary: one line; may use Prometheus's ``{{ $labels.x }}``.
        description: what is seen and what it means; may use ``{{ $value }}``.
        runbook: the stem of its page in ``docs/operate/runbooks``.
        threshold: None if the expression has no number to tune.
        window_s: the range that ``$window`` stands for, in seconds.
        when_absent: which of its series vanish, when, and which alert fires then instead.
    """

    name: str
    expr: str
    for_s: float
    for_source: str
    severity: AlertSeverity
    summary: str
    description: str
    runbook: str
    when_absent: str
    threshold: Threshold | None = None
    window_s: float | None = None

    def expression(self, *, scale: float = 1.0, threshold: float | None = None) -> str:
        """The PromQL with everything filled in.

        Args:
            scale: divides the window.
            threshold: instead of the rule's own.

        Raises:
            ValueError: a threshold is given, and the rule has none.
        """
        if threshold is not None and self.threshold is None:
            raise ValueError(f"{self.name} has no threshold to change")
        words = {}
        if self.threshold is not None:
            words["threshold"] = number(self.threshold.value if threshold is None else threshold)
        if self.window_s is not None:
            words["window"] = duration(self.window_s / scale)
        return Template(self.expr).substitute(words)


def number(value: float) -> str:
    """A number as PromQL reads it, whole where it is whole."""
    return str(int(value)) if value == int(value) else repr(value)


def duration(seconds: float) -> str:
    """A duration as Prometheus reads it (manual, "Querying basics"), at least a millisecond."""
    left_ms = max(1, round(seconds * 1000))
    parts = []
    for unit, size_ms in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        count, left_ms = divmod(left_ms, size_ms)
        if count:
            parts.append(f"{count}{unit}")
    if left_ms:
        parts.append(f"{left_ms}ms")
    return "".join(parts)
