"""The rows of the dashboard on replicas: lag, and durability. Values."""

from __future__ import annotations

from replication.monitoring.panel import Meaning, Panel, Query, Row, Step
from replication.monitoring.panel_parts import CLUSTER, MEMBERS
from replication.monitoring.replica_alerts import (
    REPLICA_LAG_BYTES,
    REPLICA_LAG_SECONDS,
    SLOT_RETENTION,
)
from replication.monitoring.rule import AlertRule


def alert_line(rule: AlertRule) -> tuple[Step, ...]:
    """Red from the threshold of an alert on."""
    assert rule.threshold is not None
    return (Step(value=None, colour="green"), Step(value=rule.threshold.value, colour="red"))


LAG = Row(
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
                Query(
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
                Query(
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
                Query(
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
                Query(
                    expr=f"max by (site) (bascule_replica_lag_seconds{{{MEMBERS}}})",
                    legend="{{site}}",
                ),
            ),
            unit="s",
        ),
    ),
)

DURABILITY = Row(
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
                Query(expr=f"max(bascule_sync_standbys{{{CLUSTER}}})", legend="there"),
                Query(expr=f"max(bascule_sync_standbys_required{{{CLUSTER}}})", legend="required"),
            ),
            unit="none",
            width=8,
        ),
        Panel(
            title="How the primary counts each replica",
            description="pg_stat_replication.sync_state; none while it does not stream.",
            kind="states",
            queries=(
                Query(
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
                Meaning(value=0, text="none", colour="red"),
                Meaning(value=1, text="async", colour="orange"),
                Meaning(value=2, text="potential", colour="yellow"),
                Meaning(value=3, text="sync", colour="green"),
                Meaning(value=4, text="quorum", colour="green"),
            ),
            width=8,
        ),
        Panel(
            title="WAL kept for replication slots",
            description="What the primary's disk keeps for consumers that are behind or gone.",
            kind="timeseries",
            queries=(
                Query(
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
