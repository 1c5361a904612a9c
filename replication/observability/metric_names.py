"""What defines a metric: its name, type, labels, meaning; and the storage layer's own metrics.

``replication.observability.prometheus`` and the exporter take names and labels from here and from
``replication.monitoring.exporter.metrics``, and docs/reference/metrics.md is written from both, so
they cannot differ. Names follow prometheus.io ("Metric and label naming"): application prefix, base
units, plural unit last, ``_total`` for counters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MetricKind = Literal["gauge", "counter", "histogram"]

CLUSTER = ("cluster",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric family. ``unit``: what a value counts; ``trap``: what a naive one gets wrong."""

    name: str
    kind: MetricKind
    labels: tuple[str, ...]
    unit: str
    help: str
    trap: str = ""


def gauge(name: str, labels: tuple[str, ...], unit: str, text: str, trap: str = "") -> Metric:
    """A value that goes up and down."""
    return Metric(name=name, kind="gauge", labels=labels, unit=unit, help=text, trap=trap)


def counter(name: str, labels: tuple[str, ...], unit: str, text: str, trap: str = "") -> Metric:
    """A value that only grows."""
    return Metric(name=name, kind="counter", labels=labels, unit=unit, help=text, trap=trap)


def histogram(name: str, text: str, trap: str = "") -> Metric:
    """Durations, of one cluster."""
    return Metric(name=name, kind="histogram", labels=CLUSTER, unit="seconds", help=text, trap=trap)


STORAGE_UNITS = counter(
    "bascule_storage_units_total",
    (*CLUSTER, "outcome"),
    "units of work",
    "Units of work that ended, by outcome: applied, not_applied, unknown, already_applied, error.",
)
STORAGE_ATTEMPTS = counter(
    "bascule_storage_attempts_total",
    (*CLUSTER, "result"),
    "transactions",
    "Transactions that ended: committed, or what their failure led to (retry, back_off, reroute,"
    " in_doubt, give_up).",
)
STORAGE_IN_DOUBT = counter(
    "bascule_storage_in_doubt_total",
    CLUSTER,
    "commits",
    "Commits whose fate had to be asked.",
)
STORAGE_IN_DOUBT_RESOLVED = counter(
    "bascule_storage_in_doubt_resolved_total",
    (*CLUSTER, "state"),
    "commits",
    "Commits in doubt whose id row answered: applied or void.",
    "One that was never resolved is an outcome unknown of bascule_storage_units_total.",
)
STORAGE_FAILOVERS = counter(
    "bascule_storage_failovers_seen_total",
    CLUSTER,
    "failovers",
    "Failovers and switchovers seen: another member became primary, or the timeline rose.",
)
STORAGE_READS = counter(
    "bascule_storage_reads_total",
    (*CLUSTER, "source"),
    "reads",
    "Reads that ended, by who served them: primary, replica, none.",
)
STORAGE_UNIT_DURATION = histogram(
    "bascule_storage_unit_duration_seconds",
    "From the call to the end of a unit of work, all attempts and questions included.",
    "Counts those that failed too: an outage is seen here, not hidden.",
)
STORAGE_REROUTE = histogram(
    "bascule_storage_reroute_seconds",
    "From the loss of the primary to the first session to the next one.",
)
STORAGE_POOL_WAIT = histogram(
    "bascule_storage_pool_wait_seconds",
    "How long those waited for a session to be free who had to wait for one.",
)
STORAGE_CIRCUIT_OPEN = gauge(
    "bascule_storage_circuit_open",
    CLUSTER,
    "0/1",
    "Whether units of work are refused at once, after repeated failure.",
)

STORAGE_MEMBER_CHANGES = counter(
    "bascule_storage_member_changes_total",
    (*CLUSTER, "change"),
    "members",
    "Members that were added, moved to another address, or dropped while the storage was open.",
)

STORAGE_METRICS: tuple[Metric, ...] = (
    STORAGE_UNITS,
    STORAGE_ATTEMPTS,
    STORAGE_IN_DOUBT,
    STORAGE_IN_DOUBT_RESOLVED,
    STORAGE_FAILOVERS,
    STORAGE_READS,
    STORAGE_UNIT_DURATION,
    STORAGE_REROUTE,
    STORAGE_POOL_WAIT,
    STORAGE_CIRCUIT_OPEN,
    STORAGE_MEMBER_CHANGES,
)
"""The metrics of an application that gives ``replication.observability.prometheus`` to its
``Storage``."""
