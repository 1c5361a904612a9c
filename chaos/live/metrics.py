"""What a drill shows Prometheus of itself: the board, as metric families. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric as Family

from chaos.evidence.events import LOADED_PHASES, Phase
from chaos.live.board import Board, FaultBoard
from replication.monitoring.exporter.families import MetricSample, family
from replication.observability.metric_names import CLUSTER, Metric, counter, gauge

SITE = (*CLUSTER, "site")
FAULT = (*CLUSTER, "fault", "host")

DRILL_INFO = gauge(
    "bascule_drill_info",
    (*CLUSTER, "scenario", "run"),
    "1",
    "The drill that is running: its scenario, and the name of its run folder.",
    "Gone with the drill: the verdict is in the run folder.",
)
DRILL_PHASE = gauge(
    "bascule_drill_phase",
    (*CLUSTER, "phase"),
    "0/1",
    "The phase of the drill: one of the series is 1.",
)
DRILL_FAULT_ACTIVE = gauge(
    "bascule_drill_fault_active",
    FAULT,
    "0/1",
    "Whether a fault that lasts is there: 1 from its strike to its heal.",
    "A fault of a moment (a killed process, a switchover) never is: see its time.",
)
DRILL_FAULT_TIME = gauge(
    "bascule_drill_fault_timestamp_seconds",
    FAULT,
    "seconds since 1970",
    "When a fault struck a host last.",
    "Exact, however rarely it is scraped.",
)
DRILL_OPERATIONS = counter(
    "bascule_drill_operations_total",
    (*SITE, "outcome"),
    "operations",
    "Operations of a site's load that ended: ok (acknowledged), fail (not applied), info (nobody"
    " knows), already (another site's caller had applied the unit of work that both sent).",
)
DRILL_UNSERVED = gauge(
    "bascule_drill_unserved_seconds",
    SITE,
    "seconds",
    "Since the site's last acknowledged operation, while load is offered.",
    "The outage as it grows, also for who asks while it lasts.",
)

DRILL_METRICS: tuple[Metric, ...] = (
    DRILL_INFO,
    DRILL_PHASE,
    DRILL_FAULT_ACTIVE,
    DRILL_FAULT_TIME,
    DRILL_OPERATIONS,
    DRILL_UNSERVED,
)


def label(scenario: str) -> str:
    """The value of the label ``cluster``: the same for every drill of a scenario."""
    return f"drill-{scenario}"


def families(board: Board, *, run: str, now_s: float, wall_s: float) -> Iterator[Family]:
    """All families of one scrape.

    Args:
        run: the name of the run folder.
        now_s: on the board's monotonic clock.
        wall_s: the same moment, in seconds since 1970.
    """
    cluster = label(board.scenario)
    to_wall_s = wall_s - now_s
    newest = {(one.fault, one.host): one for one in board.faults}
    yield family(DRILL_INFO, [((cluster, board.scenario, run), 1)])
    yield family(DRILL_PHASE, (((cluster, name.value), name == board.phase) for name in Phase))
    yield family(
        DRILL_FAULT_ACTIVE,
        ((_labels(cluster, one), one.is_there) for one in newest.values() if one.lasts),
    )
    yield family(
        DRILL_FAULT_TIME,
        ((_labels(cluster, one), one.struck_s + to_wall_s) for one in newest.values()),
    )
    yield family(DRILL_OPERATIONS, _operations(board, cluster))
    yield family(
        DRILL_UNSERVED,
        (
            ((cluster, name), max(0.0, now_s - site.last_ok_s))
            for name, site in board.sites.items()
            if site.last_ok_s is not None and board.phase in LOADED_PHASES
        ),
    )


def _labels(cluster: str, fault: FaultBoard) -> tuple[str, ...]:
    return cluster, fault.fault, fault.host


def _operations(board: Board, cluster: str) -> Iterator[MetricSample]:
    for name, site in board.sites.items():
        counts = (
            ("ok", site.ok),
            ("fail", site.fail),
            ("info", site.info),
            ("already", site.already),
        )
        for outcome, count in counts:
            yield (cluster, name, outcome), count
