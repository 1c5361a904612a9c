"""The storage layer's own metrics: an observer that counts events for prometheus_client.

    metrics = StorageMetrics(cluster="patients")
    # give metrics.observe to the storage layer as an observer

Register it once a process and cluster. No label takes values from outside of a fixed list, so an
application's metrics do not grow with its members, its units of work or its errors.
"""

from __future__ import annotations

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from replication.observability import metric_names
from replication.observability.events import (
    AttemptFailed,
    CircuitClosed,
    CircuitOpened,
    DoubtResolved,
    Event,
    MemberChanged,
    PoolWaited,
    PrimaryFound,
    ReadEnded,
    UnitEnded,
)
from replication.observability.metric_names import Metric

OUTCOMES = ("applied", "not_applied", "unknown", "already_applied", "error")
RESULTS = ("committed", "retry", "back_off", "reroute", "in_doubt", "give_up")
STATES = ("applied", "void")
SOURCES = ("primary", "replica", "none")
CHANGES = ("added", "moved", "dropped")

UNIT_BUCKETS_S = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
"""From a small write on one site (milliseconds) to one that waits for a failover at Patroni's
defaults (half a minute)."""

REROUTE_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 15, 20, 25, 30, 45, 60, 120)
"""A switchover takes about 2 s, a failover 5 to 30 s by the settings."""

POOL_WAIT_BUCKETS_S = (0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30)


class StorageMetrics:
    """Counts the events of the storage layer.

    Args:
        cluster: the label ``cluster`` of every series, Patroni's scope.
        registry: where the metrics are registered.
    """

    def __init__(self, *, cluster: str, registry: CollectorRegistry = REGISTRY) -> None:
        self._cluster = cluster
        self._timeline = 0
        self._units = self._counter(metric_names.STORAGE_UNITS, registry, OUTCOMES)
        self._attempts = self._counter(metric_names.STORAGE_ATTEMPTS, registry, RESULTS)
        self._in_doubt = self._counter(metric_names.STORAGE_IN_DOUBT, registry)
        self._resolved = self._counter(metric_names.STORAGE_IN_DOUBT_RESOLVED, registry, STATES)
        self._failovers = self._counter(metric_names.STORAGE_FAILOVERS, registry)
        self._reads = self._counter(metric_names.STORAGE_READS, registry, SOURCES)
        changes = metric_names.STORAGE_MEMBER_CHANGES
        self._member_changes = self._counter(changes, registry, CHANGES)
        self._duration = self._histogram(
            metric_names.STORAGE_UNIT_DURATION, registry, UNIT_BUCKETS_S
        )
        self._reroute = self._histogram(metric_names.STORAGE_REROUTE, registry, REROUTE_BUCKETS_S)
        self._wait = self._histogram(metric_names.STORAGE_POOL_WAIT, registry, POOL_WAIT_BUCKETS_S)
        metric = metric_names.STORAGE_CIRCUIT_OPEN
        gauge = Gauge(metric.name, metric.help, metric.labels, registry=registry)
        self._circuit = gauge.labels(cluster)

    def observe(self, event: Event) -> None:
        """The observer."""
        match event:
            case UnitEnded():
                self._count(self._units, event.outcome)
                self._duration.observe(event.elapsed_s)
                if event.outcome == "applied" and not event.resolved:
                    self._count(self._attempts, "committed")
            case AttemptFailed():
                self._count(self._attempts, event.action)
                if _word(event.action) == "in_doubt":
                    self._count(self._in_doubt)
            case DoubtResolved():
                self._count(self._resolved, event.state)
            case PrimaryFound():
                self._found(event)
            case ReadEnded():
                self._count(self._reads, event.source or "none")
            case PoolWaited():
                self._wait.observe(event.waited_s)
            case MemberChanged():
                self._count(self._member_changes, event.change)
            case CircuitOpened():
                self._circuit.set(1)
            case CircuitClosed():
                self._circuit.set(0)
            case _:
                pass

    def _found(self, event: PrimaryFound) -> None:
        if event.previous is None:
            self._timeline = event.timeline
            return
        self._reroute.observe(event.search_s)
        if event.previous != event.node or event.timeline > self._timeline:
            self._count(self._failovers)
        self._timeline = event.timeline

    def _count(self, counter: Counter, *values: str) -> None:
        counter.labels(self._cluster, *map(_word, values)).inc()

    def _counter(
        self, metric: Metric, registry: CollectorRegistry, values: tuple[str, ...] = ()
    ) -> Counter:
        """A counter that shows 0 from the start: ``rate`` cannot see a series' first step."""
        counter = Counter(metric.name, metric.help, metric.labels, registry=registry)
        if not values:
            counter.labels(self._cluster)
        for value in values:
            counter.labels(self._cluster, value)
        return counter

    def _histogram(
        self, metric: Metric, registry: CollectorRegistry, buckets: tuple[float, ...]
    ) -> Histogram:
        histogram = Histogram(
            metric.name, metric.help, metric.labels, registry=registry, buckets=buckets
        )
        return histogram.labels(self._cluster)


def _word(name: str) -> str:
    """``IN_DOUBT`` and ``not-applied`` as label values."""
    return name.lower().replace("-", "_")
