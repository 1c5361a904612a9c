"""The rows of the dashboard on replicas: lag, and durability. Values."""

from __future__ import annotations

from replication.monitoring.alerts.replica import (
    REPLICA_LAG_BYTES,
    REPLICA_LAG_SECONDS,
    SLOT_RETENTION,
)
from replication.monitoring.alerts.rule import AlertRule
from replication.monitoring.dashboard.panel import (
    CLUSTER,
    MEMBERS,
    Panel,
    PanelRow,
    PromQuery,
    Step,
    ValueMeaning,
)


def alert_line(rule: AlertRule) -> tuple[Step, ...]:
    """Red from the threshold of an alert on."""
    assert rule.threshold is not None
    return (Step(value=None, colour="green"), Step(value=rule.threshold.value, colour="red"))


LAG = PanelRow(
    title="Lag",
    panels=(
        Panel(
            title="Bytes behind, by replica",
            description=(
                "WAL that the primary has written and the replica has not replayed, against the"
                " primary's position: it grows while a replica is cut off. The line is the alert's"
                " threshold."
            ),
            kind="timeseries",
            queries=(
                PromQuery(
                    expr=f"max by (member, site)"
                    f' (bascule_replica_lag_bytes{{{MEMBERS}, stage="replay"}})',
                    legend="{{member}} ({{site}})",
                ),
            ),
            unit="bytes",
            steps=alert_line(REPLICA_LAG_BYTES),
        ),
        Panel(
            title="Seconds behind, by replica",
            description="Age of what a reader sees there, by the heartbeat row.",
            kind="timeseries",
            queries=(
                PromQuery(
                    expr=f"max by (member, site) (bascule_replica_lag_seconds{{{MEMBERS}}})",
                    legend="{{member}} ({{site}})",
                ),
            ),
            unit="s",
            steps=alert_line(REPLICA_LAG_SECONDS),
        ),
        Panel(
            title="Where the bytes are, by stage",
            description=(
                "sent: the primary has not sent them (network); write, flush: the replica has not"
                " stored them (disk); replay: it has not applied them (a long query there)."
            ),
            kind="timeseries",
            queries=(
                PromQuery(
                    expr=f"max by (member, stage) (bascule_replica_lag_bytes{{{MEMBERS}}})",
                    legend="{{member}} {{stage}}",
                ),
            ),
            unit="bytes",
        ),
        Panel(
            title="Worst replica of each site",
            description="What a read that stays in its site may find, at worst.",
            kind="timeseries",
            queries=(
                PromQuery(
                    expr=f"max by (site) (bascule_replica_lag_seconds{{{MEMBERS}}})",
                    legend="{{site}}",
                ),
            ),
            unit="s",
        ),
    ),
)

DURABILITY = PanelRow(
    title="Durability",
    panels=(
        Panel(
            title="Synchronous standbys, and how many every commit needs",
            description=(
                "Where the lines meet, the loss of one more standby stops writes (strict) or leaves"
                " them unprotected."
            ),
            kind="timeseries",
            queries=(
                PromQuery(expr=f"max(bascule_sync_standbys{{{CLUSTER}}})", legend="there"),
                PromQuery(
                    expr=f"max(bascule_sync_standbys_required{{{CLUSTER}}})", legend="required"
                ),
            ),
            unit="none",
            width=8,
        ),
        Panel(
            title="How the primary counts each replica",
            description="pg_stat_replication.sync_state; none while it does not stream.",
            kind="states",
            queries=(
                PromQuery(
                    expr="max by (member) (\n  "
                    + "\n  or ".join(
                        f"max by (member, state)"
                        f' (bascule_replica_sync_state{{{MEMBERS}, state="{state}"}}) * {weight}'
                        for state, weight in (("async", 1), ("potential", 2), ("sync", 3))
                    )
                    + "\n  or max by (member, state)"
                    f' (bascule_replica_sync_state{{{MEMBERS}, state="quorum"}}) * 4\n)',
                    legend="{{member}}",
                ),
            ),
            meanings=(
                ValueMeaning(value=0, text="none", colour="red"),
                ValueMeaning(value=1, text="async", colour="orange"),
                ValueMeaning(value=2, text="potential", colour="yellow"),
                ValueMeaning(value=3, text="sync", colour="green"),
                ValueMeaning(value=4, text="quorum", colour="green"),
            ),
            width=8,
        ),
        Panel(
            title="WAL kept for replication slots",
            description="What the primary's disk keeps for consumers that are behind or gone.",
            kind="timeseries",
            queries=(
                PromQuery(
                    expr=f"max by (slot) (bascule_slot_retained_bytes{{{CLUSTER}}})",
                    legend="{{slot}}",
                ),
            ),
            unit="bytes",
            steps=alert_line(SLOT_RETENTION),
            width=8,
        ),
    ),
)
