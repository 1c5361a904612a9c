"""The rows of the dashboard on roles: state now, roles over time; and what is marked. Values."""

from __future__ import annotations

from replication.monitoring.dashboard.panel import (
    CLUSTER,
    MEMBERS,
    NO_YES_BAD,
    NO_YES_GOOD,
    Marker,
    Panel,
    PanelRow,
    PromQuery,
    Step,
    ValueMeaning,
)

ROLES = (
    ValueMeaning(value=4, text="primary", colour="blue"),
    ValueMeaning(value=3, text="standby leader", colour="purple"),
    ValueMeaning(value=2, text="replica", colour="green"),
    ValueMeaning(value=1, text="unknown", colour="red"),
    ValueMeaning(value=0, text="none", colour="gray"),
)
EXACTLY_ONE = (
    Step(value=None, colour="red"),
    Step(value=1, colour="green"),
    Step(value=2, colour="red"),
)


def roles_of(members: str) -> str:
    """Every member's role as a number (``ROLES``), from the state set ``bascule_member_role``."""
    weighed = (("primary", 4), ("standby_leader", 3), ("replica", 2), ("unknown", 1))
    parts = [
        f'max by (member, site, role) (bascule_member_role{{{members}, role="{role}"}}) * {weight}'
        for role, weight in weighed
    ]
    return "max by (member, site) (\n  " + "\n  or ".join(parts) + "\n)"


STATE = PanelRow(
    title="State now",
    panels=(
        Panel(
            title="Primary",
            description="Which member runs as primary and holds the leader lock, by its own word.",
            kind="stat",
            queries=(
                PromQuery(
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
            queries=(PromQuery(expr=f"max(bascule_primaries{{{CLUSTER}}})"),),
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
            queries=(PromQuery(expr=f"max(bascule_writable_members{{{CLUSTER}}})"),),
            steps=EXACTLY_ONE,
            width=3,
        ),
        Panel(
            title="Timeline",
            description="Goes up by one with every failover and switchover.",
            kind="stat",
            queries=(PromQuery(expr=f"max(bascule_member_timeline{{{CLUSTER}}})"),),
            unit="none",
            width=3,
        ),
        Panel(
            title="DCS has quorum",
            description="Without it there is no failover, and soon no primary.",
            kind="stat",
            queries=(PromQuery(expr=f"max(bascule_dcs_has_quorum{{{CLUSTER}}})"),),
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
                PromQuery(
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
            queries=(PromQuery(expr=f"max(bascule_failsafe_active{{{CLUSTER}}})"),),
            meanings=NO_YES_BAD,
            width=2,
        ),
        Panel(
            title="Paused",
            description="Maintenance mode: Patroni does not fail over by itself.",
            kind="stat",
            queries=(PromQuery(expr=f"max(bascule_cluster_paused{{{CLUSTER}}})"),),
            meanings=NO_YES_BAD,
            width=2,
        ),
    ),
)

ROLES_ROW = PanelRow(
    title="Roles over time",
    panels=(
        Panel(
            title="Role of each member",
            description="By the member's own Patroni; unknown: it did not answer.",
            kind="states",
            queries=(PromQuery(expr=roles_of(MEMBERS), legend="{{member}}"),),
            meanings=ROLES,
            width=20,
        ),
        Panel(
            title="Without a primary",
            description="How long nobody held the leader lock and answered, in the range shown.",
            kind="stat",
            queries=(
                PromQuery(
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
                PromQuery(
                    expr=f"max by (member) (bascule_member_up{{{MEMBERS}}})",
                    legend="{{member}} Patroni",
                ),
                PromQuery(
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
                PromQuery(
                    expr=f"max by (endpoint) (bascule_dcs_member_up{{{CLUSTER}}})",
                    legend="{{endpoint}}",
                ),
            ),
            meanings=NO_YES_GOOD,
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
        expr=f"(max(bascule_primaries{{{CLUSTER}}}) == 0) + 1",
        colour="red",
    ),
    Marker(
        name="alert",
        title="{{alertname}} {{member}}",
        expr=f'ALERTS{{{CLUSTER}, alertname=~"Bascule.*", alertstate="firing"}}',
        colour="orange",
    ),
)
