"""From the board to metric families, as prometheus_client writes them. Pure.

Nothing is kept between two scrapes, so no series outlives its member or slot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.core import Metric as Family

from replication.monitoring.exporter import metrics as names
from replication.monitoring.lag.board import LagBoard, Record
from replication.monitoring.lag.positions import STAGES
from replication.monitoring.lag.sql_answer import PERMISSIONS, Slot, standbys_required
from replication.monitoring.lag.standing import is_streamed_to, standing
from replication.observability.metric_names import Metric
from replication.patroni.answers import ROLES, STATES

SLOTS_MAX = 50
"""A cluster has one slot for each member and some for logical consumers. A program that creates
more and more slots must not create more and more series."""

OTHER_SLOTS = "_other"
SYNC_STATES = ("async", "potential", "sync", "quorum")

MetricSample = tuple[tuple[str, ...], float | None]
"""The values of a metric's labels, in their order, and its value: None where it is unknown."""


def families(
    board: LagBoard, *, cluster: str, version: str, now_s: float, wall_s: float
) -> Iterator[Family]:
    """All families of one scrape.

    Args:
        now_s: on the board's monotonic clock.
        wall_s: the same moment, in seconds since 1970.
    """
    of_cluster = (cluster,)
    to_wall_s = wall_s - now_s
    for metric, sample in _FROM_RECORD.items():
        yield family(
            metric,
            ((_labels(cluster, r), sample(r)) for r in board.records.values()),
        )
    yield family(names.MEMBER_ROLE, _roles(board, cluster))
    yield family(names.MEMBER_STATE, _states(board, cluster))
    yield family(names.RECOVERY_CONFLICTS, _conflicts(board, cluster))
    yield from _replicas(board, cluster, now_s)
    yield from _of_the_cluster(board, of_cluster, now_s)
    yield from _slots(board, of_cluster)
    yield family(names.DCS_MEMBER_UP, (((cluster, e), up) for e, up in board.dcs_up.items()))
    yield family(names.DCS_HAS_QUORUM, [(of_cluster, board.dcs_quorum)])
    beat_s = None if board.beat_s is None else board.beat_s + to_wall_s
    yield family(names.HEARTBEAT_LAST_WRITTEN, [(of_cluster, beat_s)])
    yield family(names.LAST_PROBE, [(of_cluster, board.oldest_s + to_wall_s)])
    yield family(names.BUILD_INFO, [((cluster, version), 1)])
    yield from _probes(board, cluster)


_FROM_RECORD: dict[Metric, Callable[[Record], float | None]] = {
    names.MEMBER_UP: lambda r: r.patroni is not None,
    names.MEMBER_SQL_UP: lambda r: r.sql is not None,
    names.MEMBER_IN_RECOVERY: lambda r: None if r.sql is None else r.sql.in_recovery,
    names.MEMBER_TIMELINE: lambda r: r.timeline,
    names.MEMBER_PENDING_RESTART: lambda r: (
        None if r.patroni is None else r.patroni.pending_restart
    ),
    names.MEMBER_DCS_LAST_SEEN: lambda r: None if r.patroni is None else r.patroni.dcs_last_seen_s,
}


def family(metric: Metric, samples: Iterable[MetricSample]) -> Family:
    """One family, with the samples that are known."""
    make = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = make(metric.name, metric.help, labels=metric.labels)
    for labels, value in samples:
        if value is not None:
            family.add_metric(labels, float(value))
    return family


def _labels(cluster: str, record: Record) -> tuple[str, str, str]:
    return cluster, record.member.name, record.member.site or ""


def _roles(board: LagBoard, cluster: str) -> Iterator[MetricSample]:
    for record in board.records.values():
        own = "unknown" if record.patroni is None else record.patroni.role
        for role in ROLES:
            yield (*_labels(cluster, record), role), role == own


def _states(board: LagBoard, cluster: str) -> Iterator[MetricSample]:
    for record in board.records.values():
        own = "unknown" if record.patroni is None else record.patroni.state
        for state in STATES:
            yield (*_labels(cluster, record), state), state == own


def _conflicts(board: LagBoard, cluster: str) -> Iterator[MetricSample]:
    for record in board.records.values():
        for cause, queries in () if record.sql is None else record.sql.conflicts:
            yield (*_labels(cluster, record), cause), queries


def _replicas(board: LagBoard, cluster: str, now_s: float) -> Iterator[Family]:
    in_bytes: list[MetricSample] = []
    in_seconds: list[MetricSample] = []
    receivers: list[MetricSample] = []
    sync_states: list[MetricSample] = []
    for name, record in board.records.items():
        found = standing(board, name, now_s=now_s)
        if found is None:
            continue
        labels = _labels(cluster, record)
        in_seconds.append((labels, found.lag_s))
        receivers.append((labels, found.streams))
        if found.lag_bytes is not None:
            in_bytes += [((*labels, stage), found.lag_bytes[stage]) for stage in STAGES]
        if found.sync_state is not None:
            own = found.sync_state
            sync_states += [((*labels, state), state == own) for state in SYNC_STATES]
    yield family(names.REPLICA_LAG_BYTES, in_bytes)
    yield family(names.REPLICA_LAG_SECONDS, in_seconds)
    yield family(names.WAL_RECEIVER_UP, receivers)
    yield family(names.REPLICA_SYNC_STATE, sync_states)


def _of_the_cluster(board: LagBoard, labels: tuple[str], now_s: float) -> Iterator[Family]:
    records = board.records.values()
    patronis = [r.patroni for r in records if r.patroni is not None]
    sqls = [r.sql for r in records if r.sql is not None]
    yield family(names.PRIMARIES, [(labels, sum(p.has_lock for p in patronis))])
    yield family(names.WRITABLE_MEMBERS, [(labels, sum(r.is_writable for r in records))])
    answer = board.reference_answer
    counted = required = None
    if answer is not None:
        required = standbys_required(answer.synchronous_standby_names)
        counted = sum(
            row.sync_state in {"sync", "quorum"} and is_streamed_to(board, row, now_s)
            for row in answer.standbys
        )
    yield family(names.SYNC_STANDBYS, [(labels, counted)])
    yield family(names.SYNC_STANDBYS_REQUIRED, [(labels, required)])
    yield family(names.SYNCHRONOUS_MODE, [(labels, board.synchronous_mode)])
    failsafe = any(p.failsafe for p in patronis) if patronis else None
    paused = any(p.paused for p in patronis) if patronis else None
    yield family(names.FAILSAFE_ACTIVE, [(labels, failsafe)])
    yield family(names.CLUSTER_PAUSED, [(labels, paused)])
    yield family(
        names.PERMISSION_MISSING,
        (((*labels, name), any(name in s.missing for s in sqls)) for name in PERMISSIONS if sqls),
    )


def _slots(board: LagBoard, labels: tuple[str]) -> Iterator[Family]:
    answer = board.reference_answer
    slots = bounded_slots(() if answer is None else answer.slots)
    yield family(names.SLOT_RETAINED_BYTES, (((*labels, s.name), s.retained_bytes) for s in slots))
    yield family(names.SLOT_ACTIVE, (((*labels, s.name), s.active) for s in slots))


def bounded_slots(slots: tuple[Slot, ...]) -> tuple[Slot, ...]:
    """At most ``SLOTS_MAX`` by name, and one more for all others: the largest retention of them."""
    if len(slots) <= SLOTS_MAX:
        return slots
    rest = slots[SLOTS_MAX:]
    sizes = [slot.retained_bytes for slot in rest if slot.retained_bytes is not None]
    other = Slot(
        name=OTHER_SLOTS,
        active=all(slot.active for slot in rest),
        retained_bytes=max(sizes, default=None),
    )
    return (*slots[:SLOTS_MAX], other)


def _probes(board: LagBoard, cluster: str) -> Iterator[Family]:
    durations: list[MetricSample] = []
    failures: list[MetricSample] = []
    for record in board.records.values():
        for what, probe in (("rest", record.rest_probe), ("sql", record.sql_probe)):
            labels = (*_labels(cluster, record), what)
            failures.append((labels, probe.failures))
            if probe.ended_s is not None:
                durations.append((labels, probe.duration_s))
    yield family(names.PROBE_DURATION, durations)
    yield family(names.PROBE_FAILURES, failures)
