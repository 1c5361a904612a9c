"""The rows of the dashboard on the cluster: state now, lag, roles over time, durability. Values."""

from __future__ import annotations

from replication.monitoring.panel import Marker, Meaning, Panel, Query, Row, Step
from replication.monitoring.replica_alerts import (
    REPLICA_LAG_BYTES,
    REPLICA_LAG_SECONDS,
    SLOT_RETENTION,
)
from replication.monitoring.rule import AlertRule

CLUSTER = 'cluster="$cluster"'
MEMBERS = 'cluster="$cluster", site=~"$site"'

NO_YES_BAD = (
    Meaning(value=0, text="no", colour="green"),
    Meaning(value=1, text="yes", colour="red"),
)
NO_YES_GOOD = (
    Meaning(value=0, text="no", colour="red"),
    Meaning(value=1, text="yes", colour="green"),
)
ROLES = (
    Meaning(value=4, text="primary", colour="blue"),
    Meaning(value=3, text="standby leader", colour="purple"),
    Meaning(value=2, text="replica", colour="green"),
    Meaning(value=1, text="unknown", colour="red"),
    Meaning(value=0, text="none", colour="gray"),
)
EXACTLY_ONE = (
    Step(value=None, colour="red"),
    Step(value=1, colour="green"),
    Step(value=2, colour="red"),
)


def alert_line(rule: AlertRule) -> tuple[Step, ...]:
    """Red from the threshold of an alert on."""
    assert rule.threshold is not None
    return (Step(value=None, colour="green"), Step(value=rule.threshold.value, colour="red"))


def roles_of(members: str) -> str:
    """Every member's role as a number (``ROLES``), from the state set ``bascule_member_role``."""
    weighed = (("primary", 4), ("standby_leader", 3), ("replica", 2), ("unknown", 1))
    parts = [
        f'max by (member, site, role) (bascule_member_role{{{members}, role="{role}"}}) * {weight}'
        for role, weight in weighed
    ]
    return "max by (member, site) (\n  " + "\n  or ".join(parts) + "\n)"


STATE = Row(
    title="State now",
    panels=(
        Panel(
            title="Primary",
            description="Which member runs as primary and holds the leader lock, by its own word.",
            kind="stat",
            queries=(
                Query(
                    expr=f"max by (member, site)"
                    f' (bascule_member_role{{{CLUSTER}, role="primary"}} == 1)',
                    legend="{{member}} ({{site}})",
                ),
            ),
            width=4,
            name_only=True,
        ),
        Panel(
            title="Primaries",
            description="Members that claim to be primary, by Patroni's word. One is right.",
            kind="stat",
            queries=(Query(expr=f"max(bascule_primaries{{{CLUSTER}}})"),),
            steps=EXACTLY_ONE,
            width=3,
        ),
        Panel(
            title="Take writes",
            description=(
                "Members whose PostgreSQL is not in recovery. More than one is a split brain, also"
                " when Patroni knows of one primary only."
            ),
            kind="stat",
            queries=(Query(expr=f"max(bascule_writable_members{{{CLUSTER}}})"),),
            steps=EXACTLY_ONE,
            width=3,
        ),
        Panel(
            title="Timeline",
            description="Goes up by one with every failover and switchover.",
            kind="stat",
            queries=(Query(expr=f"max(bascule_member_timeline{{{CLUSTER}}})"),),
            unit="none",
            width=3,
        ),
        Panel(
            title="DCS has quorum",
            description="Without it there is no failover, and soon no primary.",
            kind="stat",
            queries=(Query(expr=f"max(bascule_dcs_has_quorum{{{CLUSTER}}})"),),
            meanings=NO_YES_GOOD,
            width=3,
        ),
        Panel(
            title="Sync standbys to spare",
            description=(
                "Synchronous standbys beyond those that every commit needs. Below 0 a strict"
                " cluster takes no writes."
            ),
            kind="stat",
            queries=(
                Query(
                    expr=f"max(bascule_sync_standbys{{{CLUSTER}}})"
                    f" - max(bascule_sync_standbys_required{{{CLUSTER}}})"
                ),
            ),
            unit="none",
            steps=(
                Step(value=None, colour="red"),
                Step(value=0, colour="yellow"),
                Step(value=1, colour="green"),
            ),
            width=4,
        ),
        Panel(
            title="Failsafe",
            description="The primary lives on without its DCS, as long as every member answers.",
            kind="stat",
            queries=(Query(expr=f"max(bascule_failsafe_active{{{CLUSTER}}})"),),
            meanings=NO_YES_BAD,
            width=2,
        ),
        Panel(
            title="Paused",
            description="Maintenance mode: Patroni does not fail over by itself.",
            kind="stat",
            queries=(Query(expr=f"max(bascule_cluster_paused{{{CLUSTER}}})"),),
            meanings=NO_YES_BAD,
            width=2,
        ),
    ),
)

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

ROLES_ROW = Row(
    title="Roles over time",
    panels=(
        Panel(
            title="Role of each member",
            description="By the member's own Patroni; unknown: it did not answer.",
            kind="states",
            queries=(Query(expr=roles_of(MEMBERS), legend="{{member}}"),),
            meanings=ROLES,
            width=20,
        ),
        Panel(
            title="Without a primary",
            description="How long nobody held the leader lock and answered, in the range shown.",
            kind="stat",
            queries=(
                Query(
                    expr=f"15 * sum_over_time("
                    f"(max(bascule_primaries{{{CLUSTER}}}) == bool 0)[$__range:15s])"
                ),
            ),
            unit="s",
            width=4,
        ),
        Panel(
            title="Members that answer",
            description="Patroni's REST API, and PostgreSQL: one may live without the other.",
            kind="states",
            queries=(
                Query(
                    expr=f"max by (member) (bascule_member_up{{{MEMBERS}}})",
                    legend="{{member}} Patroni",
                ),
                Query(
                    expr=f"max by (member) (bascule_member_sql_up{{{MEMBERS}}})",
                    legend="{{member}} PostgreSQL",
                ),
            ),
            meanings=NO_YES_GOOD,
        ),
        Panel(
            title="Members of the DCS that answer",
            description="The quorum is more than half of them.",
            kind="states",
            queries=(
                Query(
                    expr=f"max by (endpoint) (bascule_dcs_member_up{{{CLUSTER}}})",
                    legend="{{endpoint}}",
                ),
            ),
            meanings=NO_YES_GOOD,
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

MARKERS = (
    Marker(
        name="failed over",
        title="failed over",
        expr=f"changes((max by (cluster) (bascule_member_timeline{{{CLUSTER}}}))[1m:]) > 0",
        colour="purple",
    ),
    Marker(
        name="no primary",
        title="no primary",
        expr=f"bascule_primaries{{{CLUSTER}}} == 0",
        colour="red",
    ),
    Marker(
        name="alert",
        title="{{alertname}} {{member}}",
        expr=f'ALERTS{{{CLUSTER}, alertname=~"Bascule.*", alertstate="firing"}}',
        colour="orange",
    ),
)
