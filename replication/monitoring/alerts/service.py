"""Alerts on the service itself: who is primary, and who has failed over. Values only.

Every expression takes the maximum over several exporters of one cluster, so that an alert has the
labels of what is broken and not those of the exporter.
"""

from __future__ import annotations

from textwrap import indent

from replication.monitoring.alerts.rule import AlertRule

PRIMARY_TIMELINE = """\
max by (cluster) (
  bascule_member_timeline
  and on (cluster, member) (bascule_member_role{role=~"primary|standby_leader"} == 1)
)"""
"""The timeline of the leader: a replica that is still on an old one does not count."""

NO_PRIMARY = AlertRule(
    name="BasculeNoPrimary",
    expr="""\
max by (cluster) (bascule_primaries) == 0
unless on (cluster) (
  max by (cluster) (bascule_member_role{role="standby_leader"}) == 1
)""",
    for_s=60,
    for_source=(
        "usual elsewhere too; a failover with Patroni's defaults takes up to 39 s, so a shorter"
        " time would call somebody for what has repaired itself"
    ),
    severity="critical",
    summary="{{ $labels.cluster }} has no primary",
    description=(
        "No member of {{ $labels.cluster }} holds the leader lock and runs as primary, for longer"
        " than any failover takes. Nothing can be written."
    ),
    runbook="no-primary",
    when_absent=(
        "bascule_primaries counts, so it is 0 when every member is dead. Without an exporter it is"
        " absent: BasculeExporterSilent. A standby cluster has no primary by design: it is left out"
        " while it has a standby leader."
    ),
)

TWO_PRIMARIES = AlertRule(
    name="BasculeTwoPrimaries",
    expr="""\
max by (cluster) (bascule_writable_members) > 1
or
max by (cluster) (bascule_primaries) > 1""",
    for_s=15,
    for_source=(
        "two evaluations at Prometheus's usual 15 s: members are asked at once and not at one"
        " instant, so a single sample may be the two halves of a switchover. pigsty waits 1 m, in"
        " which a minute of writes is lost"
    ),
    severity="critical",
    summary="{{ $labels.cluster }} has {{ $value }} members that take writes",
    description=(
        "{{ $value }} members of {{ $labels.cluster }} are not in recovery, or claim to be primary,"
        " at the same time. What is written to the wrong one is lost when it rejoins."
    ),
    runbook="two-primaries",
    when_absent=(
        "A member that cannot be asked is not counted: an old primary that is cut off from the"
        " exporter, but not from its clients, is not seen. BasculeMemberDown names it."
    ),
)

TIMELINE_CHANGED = AlertRule(
    name="BasculeTimelineChanged",
    expr=f"""\
{PRIMARY_TIMELINE}
>
min_over_time(
  (
{indent(PRIMARY_TIMELINE, "    ")}
  )[$window:]
)""",
    for_s=0,
    for_source="it has happened: there is nothing to wait for",
    severity="info",
    summary="{{ $labels.cluster }} has failed over: it is on timeline {{ $value }}",
    description=(
        "The primary of {{ $labels.cluster }} is on timeline {{ $value }}, and was on an earlier"
        " one within the last ten minutes: a failover, a switchover, or a promotion by hand."
    ),
    runbook="timeline-changed",
    when_absent=(
        "The series of a dead primary are absent; the range bridges the gap until the next one. A"
        " gap longer than the range hides the change: BasculeNoPrimary or BasculeExporterSilent has"
        " fired by then."
    ),
    window_s=600,
)

MEMBER_DOWN = AlertRule(
    name="BasculeMemberDown",
    expr="""\
max by (cluster, member, site) (bascule_member_up) == 0
or
max by (cluster, member, site) (bascule_member_sql_up) == 0""",
    for_s=60,
    for_source="longer than a planned restart of PostgreSQL, and as long as BasculeNoPrimary waits",
    severity="warning",
    summary="{{ $labels.member }} of {{ $labels.cluster }} does not answer",
    description=(
        "Patroni's REST API or PostgreSQL of {{ $labels.member }} (site {{ $labels.site }}) has not"
        " answered the exporter. The cluster has one member less to fail over to."
    ),
    runbook="member-down",
    when_absent=(
        "Both series exist for every member that the exporter is configured with, dead or alive."
        " Almost all other series of a dead member are absent: this alert stands for them."
    ),
)

SERVICE_ALERTS = (NO_PRIMARY, TWO_PRIMARIES, TIMELINE_CHANGED, MEMBER_DOWN)
