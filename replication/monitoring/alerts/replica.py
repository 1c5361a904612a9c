"""Alerts on replication: lag, missing receivers, missing sync standbys, WAL kept by slots."""

from __future__ import annotations

from replication.monitoring.alerts.rule import AlertRule, Threshold

MIB = 1024 * 1024
GIB = 1024 * MIB

REPLICA_LAG_BYTES = AlertRule(
    name="BasculeReplicaLagBytes",
    expr="""\
max by (cluster, member, site) (bascule_replica_lag_bytes{stage="replay"}) > $threshold""",
    for_s=60,
    for_source="pigsty's rule on lag waits 1 m as well: a batch job may be ahead for seconds",
    severity="warning",
    summary=(
        "{{ $labels.member }} of {{ $labels.cluster }} is {{ $value | humanize1024 }}B behind"
    ),
    description=(
        "{{ $labels.member }} (site {{ $labels.site }}) has yet to replay "
        "{{ $value | humanize1024 }}B of WAL that the primary has written. Reads there are out of"
        " date, and Patroni does not promote it while it is more than maximum_lag_on_failover"
        " behind (without quorum commit)."
    ),
    runbook="replica-lag-bytes",
    when_absent=(
        "The exporter keeps the last known position of a replica that is cut off or dead, and of a"
        " primary that is lost: the series stays, and grows with the primary's writes. Until an"
        " exporter has seen a primary there is none."
    ),
    threshold=Threshold(
        value=50 * MIB, unit="bytes", source="pgMonitor warns at 50 MiB, and is critical at 100"
    ),
)

REPLICA_LAG_SECONDS = AlertRule(
    name="BasculeReplicaLagSeconds",
    expr="""\
max by (cluster, member, site) (
  bascule_replica_lag_seconds
  unless on (cluster, instance) (
    bascule_exporter_permission_missing{permission="heartbeat"} == 1
  )
) > $threshold
unless on (cluster) (max by (cluster) (bascule_primaries) == 0)""",
    for_s=30,
    for_source="awesome-prometheus-alerts",
    severity="warning",
    summary=(
        "{{ $labels.member }} of {{ $labels.cluster }} is {{ $value | humanizeDuration }} behind"
    ),
    description=(
        "What {{ $labels.member }} (site {{ $labels.site }}) shows to readers is"
        " {{ $value | humanizeDuration }} old, measured by the heartbeat row and not by the"
        " replica's own opinion."
    ),
    runbook="replica-lag-seconds",
    when_absent=(
        "Without a primary no heartbeat is written, and the age of the last one says nothing of"
        " replication: left out then (BasculeNoPrimary). What an exporter says"
        " that may not read or write heartbeats is left out too (BasculeHeartbeatStale): in a drill"
        " it took that for a lag. The bytes remain."
    ),
    threshold=Threshold(value=5, unit="seconds", source="awesome-prometheus-alerts: 5 s"),
)

REPLICA_WITHOUT_RECEIVER = AlertRule(
    name="BasculeReplicaWithoutReceiver",
    expr="""\
max by (cluster, member, site) (bascule_replica_wal_receiver_up) == 0
and on (cluster, member) (bascule_member_in_recovery == 1)""",
    for_s=60,
    for_source="a replica that restarts, or follows a new primary, reconnects within seconds",
    severity="warning",
    summary="{{ $labels.member }} of {{ $labels.cluster }} receives no WAL",
    description=(
        "{{ $labels.member }} (site {{ $labels.site }}) is in recovery and has no WAL receiver: it"
        " is not behind in its own eyes, and falls further behind with every write."
    ),
    runbook="replica-without-receiver",
    when_absent=(
        "bascule_member_in_recovery is absent while the replica's PostgreSQL does not answer:"
        " BasculeMemberDown. CloudNativePG's rule on the same is built alike."
    ),
)

SYNC_STANDBY_MISSING = AlertRule(
    name="BasculeSyncStandbyMissing",
    expr="""\
max by (cluster) (bascule_sync_standbys)
<
max by (cluster) (bascule_sync_standbys_required)
or
max by (cluster) (bascule_sync_standbys) == 0
and on (cluster) (max by (cluster) (bascule_synchronous_mode) == 1)""",
    for_s=60,
    for_source="Patroni needs a few of its loops (10 s by default) to name another standby",
    severity="critical",
    summary="{{ $labels.cluster }} has {{ $value }} synchronous standbys, fewer than it must have",
    description=(
        "Fewer standbys of {{ $labels.cluster }} than synchronous commit asks for are connected"
        " ({{ $value }}). In strict mode every write waits; otherwise writes are acknowledged that"
        " no other site has."
    ),
    runbook="sync-standby-missing",
    when_absent=(
        "Both numbers come from the primary; without one they are absent: BasculeNoPrimary. Without"
        " strict mode Patroni asks for none once none is left: bascule_synchronous_mode remembers."
        " In asynchronous clusters nothing is required, and nothing is missing."
    ),
)

SLOT_RETENTION = AlertRule(
    name="BasculeSlotRetention",
    expr="""\
max by (cluster, slot) (bascule_slot_retained_bytes) > $threshold""",
    for_s=300,
    for_source="a replica that restarts lets its slot grow for a minute or two, and catches up",
    severity="warning",
    summary=(
        "slot {{ $labels.slot }} of {{ $labels.cluster }} keeps {{ $value | humanize1024 }}B of WAL"
    ),
    description=(
        "Replication slot {{ $labels.slot }} makes the primary keep {{ $value | humanize1024 }}B of"
        " WAL. It goes on until the consumer is back, or the disk is full and the primary stops."
    ),
    runbook="slot-retention",
    when_absent=(
        "Comes from the primary: without one it is absent (BasculeNoPrimary). A slot that was"
        " dropped is absent, and keeps nothing."
    ),
    threshold=Threshold(
        value=GIB,
        unit="bytes",
        source=(
            "max_wal_size, 1 GB by default: beyond it a slot's wal_status turns to extended"
            " (PostgreSQL manual, pg_replication_slots). Set it to suit your disk"
        ),
    ),
)

REPLICA_ALERTS = (
    REPLICA_LAG_BYTES,
    REPLICA_LAG_SECONDS,
    REPLICA_WITHOUT_RECEIVER,
    SYNC_STANDBY_MISSING,
    SLOT_RETENTION,
)
