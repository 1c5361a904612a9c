"""The rows of the dashboard on the storage layer and on the exporter itself. Values only."""

from __future__ import annotations

from replication.monitoring.dashboard.panel import (
    CLUSTER,
    NO_YES_BAD,
    Panel,
    PanelRow,
    PromQuery,
    Step,
)

RATE = "[$__rate_interval]"


def per_second(metric: str, label: str, legend: str = "") -> PromQuery:
    """How often a second, by a label."""
    return PromQuery(
        expr=f"sum by ({label}) (rate({metric}{{{CLUSTER}}}{RATE}))",
        legend=legend or f"{{{{{label}}}}}",
    )


def quantiles(metric: str, window: str = RATE) -> tuple[PromQuery, ...]:
    """Median and 99th percentile of a histogram."""
    buckets = f"sum by (le) (rate({metric}_bucket{{{CLUSTER}}}{window}))"
    return tuple(
        PromQuery(expr=f"histogram_quantile({share}, {buckets})", legend=name)
        for share, name in (("0.5", "p50"), ("0.99", "p99"))
    )


STORAGE = PanelRow(
    title="Storage layer, as the applications feel it",
    panels=(
        Panel(
            title="Units of work, by outcome",
            description=(
                "applied, not-applied (safe to try again), unknown (nobody knows: look into each),"
                " already-applied (a second try found the first), error (of the application's own)."
            ),
            kind="timeseries",
            queries=(per_second("bascule_storage_units_total", "outcome"),),
            unit="ops",
        ),
        Panel(
            title="Attempts, by result",
            description="Transactions that units of work took; more than units means retries.",
            kind="timeseries",
            queries=(per_second("bascule_storage_attempts_total", "result"),),
            unit="ops",
        ),
        Panel(
            title="Commits in doubt",
            description=(
                "Connections lost during COMMIT, and what the id row said of them. Resolved ones"
                " cost nobody anything."
            ),
            kind="timeseries",
            queries=(
                PromQuery(
                    expr=f"sum(increase(bascule_storage_in_doubt_total{{{CLUSTER}}}{RATE}))",
                    legend="in doubt",
                ),
                PromQuery(
                    expr=f"sum by (state)"
                    f" (increase(bascule_storage_in_doubt_resolved_total{{{CLUSTER}}}{RATE}))",
                    legend="resolved: {{state}}",
                ),
            ),
            width=8,
        ),
        Panel(
            title="Time to reroute",
            description=(
                "From losing the primary to an accepted session on the next one, over the whole"
                " range shown: the part of the outage that the storage layer answers for."
            ),
            kind="timeseries",
            queries=quantiles("bascule_storage_reroute_seconds", "[$__range]"),
            unit="s",
            width=8,
        ),
        Panel(
            title="Failovers seen",
            description="By the applications, in the range shown: sessions to another primary.",
            kind="stat",
            queries=(
                PromQuery(
                    expr="sum(increase("
                    f"bascule_storage_failovers_seen_total{{{CLUSTER}}}[$__range]))"
                ),
            ),
            unit="none",
            width=4,
        ),
        Panel(
            title="Circuit open",
            description="Units of work are refused at once, after repeated failure.",
            kind="stat",
            queries=(PromQuery(expr=f"max(bascule_storage_circuit_open{{{CLUSTER}}})"),),
            meanings=NO_YES_BAD,
            width=4,
        ),
        Panel(
            title="Duration of units of work",
            description="From the call to its result, retries and failovers included.",
            kind="timeseries",
            queries=quantiles("bascule_storage_unit_duration_seconds"),
            unit="s",
            width=8,
        ),
        Panel(
            title="Waiting for a session",
            description="A pool that is too small, or a database that is too slow.",
            kind="timeseries",
            queries=quantiles("bascule_storage_pool_wait_seconds"),
            unit="s",
            width=8,
        ),
        Panel(
            title="Reads, by who served them",
            description="From the primary, or from a replica within its bound.",
            kind="timeseries",
            queries=(per_second("bascule_storage_reads_total", "source"),),
            unit="ops",
            width=8,
        ),
    ),
)

EXPORTER = PanelRow(
    title="The exporter",
    panels=(
        Panel(
            title="Age of what it says",
            description="Since its last look at the cluster. Everything above is as old as this.",
            kind="stat",
            queries=(
                PromQuery(
                    expr=f"time() - max(bascule_exporter_last_probe_timestamp_seconds{{{CLUSTER}}})"
                ),
            ),
            unit="s",
            steps=(
                Step(value=None, colour="green"),
                Step(value=30, colour="yellow"),
                Step(value=60, colour="red"),
            ),
            width=4,
        ),
        Panel(
            title="How long a look takes",
            description="Members are asked at once; a silent one costs its deadline.",
            kind="timeseries",
            queries=(
                PromQuery(
                    expr=f"max(bascule_exporter_probe_duration_seconds{{{CLUSTER}}})",
                    legend="probe",
                ),
            ),
            unit="s",
            width=10,
        ),
        Panel(
            title="What it could not ask",
            description="Questions without an answer, by member and kind.",
            kind="timeseries",
            queries=(
                PromQuery(
                    expr="sum by (member, what)"
                    f" (rate(bascule_exporter_probe_failures_total{{{CLUSTER}}}{RATE}))",
                    legend="{{member}} {{what}}",
                ),
            ),
            unit="ops",
            width=10,
        ),
    ),
)
