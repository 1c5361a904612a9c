"""Alerts on what the service depends on: the DCS, and the exporter that the other alerts need."""

from __future__ import annotations

from replication.monitoring.alerts.rule import AlertRule, Threshold

DCS_WITHOUT_QUORUM = AlertRule(
    name="BasculeDcsWithoutQuorum",
    expr="""\
max by (cluster) (bascule_dcs_has_quorum) == 0
or
time() - max by (cluster) (bascule_member_dcs_last_seen_timestamp_seconds) > $threshold""",
    for_s=30,
    for_source=(
        "etcd elects a leader within seconds; Patroni's primary steps down when its lock runs out,"
        " 30 s by default"
    ),
    severity="critical",
    summary="the DCS of {{ $labels.cluster }} has no quorum",
    description=(
        "The DCS of {{ $labels.cluster }} has no leader, or no member of the cluster has reached it"
        " for a minute. The primary cannot renew its lock: it steps down, or lives on in failsafe"
        " mode for as long as every member answers it."
    ),
    runbook="dcs-without-quorum",
    when_absent=(
        "bascule_dcs_has_quorum is there when the exporter was given the DCS's addresses; without"
        " them what the members last saw has to do. That in turn is absent when every member is"
        " dead: BasculeMemberDown."
    ),
    threshold=Threshold(
        value=60,
        unit="seconds",
        source="twice Patroni's default ttl; others wait 300 s, after the primary has stepped down",
    ),
)

DCS_MEMBER_DOWN = AlertRule(
    name="BasculeDcsMemberDown",
    expr="""\
max by (cluster, endpoint) (bascule_dcs_member_up) == 0""",
    for_s=300,
    for_source="longer than the restart of a host; the quorum is there, and nothing is urgent",
    severity="warning",
    summary="{{ $labels.endpoint }} of the DCS of {{ $labels.cluster }} does not answer",
    description=(
        "A member of the DCS, {{ $labels.endpoint }}, does not answer. Of three members one may be"
        " missing: with the next one the quorum goes, and the primary with it."
    ),
    runbook="dcs-member-down",
    when_absent=(
        "There is a series for every address that the exporter was given, dead or alive; none where"
        " it was given none."
    ),
)

FAILSAFE_ACTIVE = AlertRule(
    name="BasculeFailsafeActive",
    expr="""\
max by (cluster) (bascule_failsafe_active) == 1""",
    for_s=0,
    for_source="Patroni turns to it only after the DCS has failed for a whole retry_timeout",
    severity="critical",
    summary="{{ $labels.cluster }} lives on in failsafe mode, without its DCS",
    description=(
        "The primary of {{ $labels.cluster }} cannot reach the DCS, and goes on only because every"
        " member answers it (Patroni manual, DCS failsafe mode). The loss of any one member stops"
        " writes now, and there can be no failover."
    ),
    runbook="failsafe-active",
    when_absent=(
        "Comes from the members' Patroni: absent when none of them answers (BasculeMemberDown)."
    ),
)

EXPORTER_SILENT = AlertRule(
    name="BasculeExporterSilent",
    expr="""\
(
  group by (cluster) (
    last_over_time(bascule_exporter_last_probe_timestamp_seconds{cluster!~"drill-.*"}[$window])
  )
  unless on (cluster)
  group by (cluster) (bascule_exporter_last_probe_timestamp_seconds)
)
or
(
  absent(bascule_exporter_last_probe_timestamp_seconds)
  unless on ()
  group(last_over_time(bascule_exporter_last_probe_timestamp_seconds[$window]))
)
or
(
  time() - max by (cluster) (bascule_exporter_last_probe_timestamp_seconds) > $threshold
)""",
    for_s=60,
    for_source="four scrapes at Prometheus's usual 15 s",
    severity="critical",
    summary='nothing is known of {{ or $labels.cluster "any cluster" }}: the exporter is silent',
    description=(
        'The exporter of {{ or $labels.cluster "any cluster" }} is not scraped, or serves what it'
        " saw more than a minute ago. Every other alert of this group is blind until it is back."
    ),
    runbook="exporter-silent",
    when_absent=(
        "This is the alert on absence: a cluster that was there within the last day and is not now,"
        " or no cluster at all. A cluster that was taken out on purpose is silent for a day. Left"
        " out is that of a drill (drill-...), which is gone when the drill is done."
    ),
    threshold=Threshold(
        value=60, unit="seconds", source="four scrapes at Prometheus's usual 15 s, as with the for"
    ),
    window_s=86_400,
)

HEARTBEAT_STALE = AlertRule(
    name="BasculeHeartbeatStale",
    expr="""\
max by (cluster) (bascule_primaries) == 1
and on (cluster) (
  time() - max by (cluster) (bascule_heartbeat_last_written_timestamp_seconds) > $threshold
)
or
max by (cluster) (bascule_primaries) == 1
unless on (cluster) (bascule_heartbeat_last_written_timestamp_seconds)""",
    for_s=60,
    for_source="a primary that has just taken over is written to within seconds",
    severity="warning",
    summary="lag in seconds is not measured on {{ $labels.cluster }}: no heartbeat is written",
    description=(
        "{{ $labels.cluster }} has a primary, and the exporter has written no heartbeat there for a"
        " minute. bascule_replica_lag_seconds says nothing now, and BasculeReplicaLagSeconds cannot"
        " fire."
    ),
    runbook="heartbeat-stale",
    when_absent=(
        "The heartbeat's time is absent until the first one was written: that fires too. Without a"
        " primary none can be written: BasculeNoPrimary."
    ),
    threshold=Threshold(
        value=60, unit="seconds", source="sixty beats at the exporter's interval of 1 s"
    ),
)

SUPPORT_ALERTS = (
    DCS_WITHOUT_QUORUM,
    DCS_MEMBER_DOWN,
    FAILSAFE_ACTIVE,
    HEARTBEAT_STALE,
    EXPORTER_SILENT,
)
