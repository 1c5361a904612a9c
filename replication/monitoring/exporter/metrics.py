"""The metrics of ``bascule exporter``, each with the mistake that it avoids."""

from __future__ import annotations

from replication.observability.metric_names import CLUSTER, Metric, counter, gauge

MEMBER = ("cluster", "member", "site")

MEMBER_UP = gauge(
    "bascule_member_up",
    MEMBER,
    "0/1",
    "Whether the member's Patroni answered its REST API in time.",
    "The series stays, at 0, when the member is gone.",
)
MEMBER_SQL_UP = gauge(
    "bascule_member_sql_up",
    MEMBER,
    "0/1",
    "Whether the member's PostgreSQL answered a query in time.",
    "A frozen server still takes connections: only an answer counts.",
)
MEMBER_ROLE = gauge(
    "bascule_member_role",
    (*MEMBER, "role"),
    "0/1",
    "The role, as the member's own Patroni says: one of the series is 1.",
    "unknown is 1 when Patroni is silent or between roles: an old role is not kept.",
)
MEMBER_IN_RECOVERY = gauge(
    "bascule_member_in_recovery",
    MEMBER,
    "0/1",
    "Whether PostgreSQL itself says that it is in recovery; absent while it does not answer.",
    "Patroni's word and PostgreSQL's can differ in a failover: both are shown.",
)
MEMBER_TIMELINE = gauge(
    "bascule_member_timeline",
    MEMBER,
    "timeline",
    "The timeline that a primary writes, or that a replica receives or has received.",
    "Not the one of the last checkpoint, which is the old one for a while after a promotion.",
)
MEMBER_STATE = gauge(
    "bascule_member_state",
    (*MEMBER, "state"),
    "0/1",
    "The state of PostgreSQL, as the member's own Patroni says: one of the series is 1.",
    "A fixed list of states: what a later Patroni adds is unknown, and no new series.",
)
MEMBER_PENDING_RESTART = gauge(
    "bascule_member_pending_restart",
    MEMBER,
    "0/1",
    "Whether a setting waits for a restart of the member; absent while Patroni is silent.",
)
MEMBER_DCS_LAST_SEEN = gauge(
    "bascule_member_dcs_last_seen_timestamp_seconds",
    MEMBER,
    "seconds since 1970",
    "When the member's Patroni last reached the DCS, on the member's own clock.",
)
PRIMARIES = gauge(
    "bascule_primaries",
    CLUSTER,
    "members",
    "Members that claim to be primary: their Patroni answers now, and holds the leader lock.",
    "A member that does not answer claims nothing. Two primaries are shown as 2.",
)
WRITABLE_MEMBERS = gauge(
    "bascule_writable_members",
    CLUSTER,
    "members",
    "Members whose PostgreSQL answers now and is not in recovery, whatever Patroni says.",
    "Sees the second primary that has lost its lock and goes on writing.",
)
REPLICA_LAG_BYTES = gauge(
    "bascule_replica_lag_bytes",
    (*MEMBER, "stage"),
    "bytes",
    "WAL between the primary's position and what was sent to, written, flushed, replayed by it.",
    "Measured from the primary. A replica that is cut off or dead keeps its last known position,"
    " so the lag grows; received minus replayed would say 0.",
)
REPLICA_LAG_SECONDS = gauge(
    "bascule_replica_lag_seconds",
    MEMBER,
    "seconds",
    "Age of the oldest heartbeat that was written on the primary and not yet replayed here.",
    "One clock, the exporter's: no difference of two clocks, no 0 on a cut-off replica, no growth"
    " on an idle primary. Believe it as far as the heartbeat is young.",
)
WAL_RECEIVER_UP = gauge(
    "bascule_replica_wal_receiver_up",
    MEMBER,
    "0/1",
    "Whether the replica streams: by its own word, else Patroni's, else the primary's.",
    "Neither side notices at once that the other fell silent: its own word may be 60 s old"
    " (wal_receiver_timeout), so watch the lag too; the primary's counts no more once the replica"
    " has flushed nothing for 10 s.",
)
RECOVERY_CONFLICTS = counter(
    "bascule_member_recovery_conflicts_total",
    (*MEMBER, "cause"),
    "queries",
    "Queries that the member has cancelled because its recovery could not wait for them any longer,"
    " in all databases (pg_stat_database_conflicts).",
    "A replica's own count: it starts again at 0 when its statistics are lost (a crash), and stays"
    " after a promotion. A stream of rows goes on elsewhere; other programs get error 40001.",
)
REPLICA_SYNC_STATE = gauge(
    "bascule_replica_sync_state",
    (*MEMBER, "state"),
    "0/1",
    "What the primary counts the replica as; all are 0 when it is not connected to it.",
)
HEARTBEAT_LAST_WRITTEN = gauge(
    "bascule_heartbeat_last_written_timestamp_seconds",
    CLUSTER,
    "seconds since 1970",
    "When the exporter last wrote its heartbeat on the primary, on the exporter's clock.",
    "Seconds of lag say nothing while no heartbeat is written.",
)
SLOT_RETAINED_BYTES = gauge(
    "bascule_slot_retained_bytes",
    (*CLUSTER, "slot"),
    "bytes",
    "WAL that the primary keeps for the slot.",
    "At most 50 slots have a series; the rest are one, _other, with the largest of them.",
)
SLOT_ACTIVE = gauge(
    "bascule_slot_active",
    (*CLUSTER, "slot"),
    "0/1",
    "Whether somebody streams from the slot; _other: whether all of the rest are active.",
)
SYNC_STANDBYS = gauge(
    "bascule_sync_standbys",
    CLUSTER,
    "standbys",
    "Streaming standbys that the primary counts as synchronous (sync or quorum).",
    "PostgreSQL counts one that fell silent until wal_sender_timeout (60 s by default); here it"
    " counts no more once it has flushed nothing for 10 s though there was WAL to flush.",
)
SYNC_STANDBYS_REQUIRED = gauge(
    "bascule_sync_standbys_required",
    CLUSTER,
    "standbys",
    "How many of them a commit waits for, from synchronous_standby_names; 0: for none.",
)
SYNCHRONOUS_MODE = gauge(
    "bascule_synchronous_mode",
    CLUSTER,
    "0/1",
    "Whether Patroni's dynamic configuration asks for synchronous replication (on or quorum).",
    "Without strict mode Patroni empties synchronous_standby_names when no standby is left:"
    " compare with bascule_sync_standbys_required.",
)
DCS_MEMBER_UP = gauge(
    "bascule_dcs_member_up",
    (*CLUSTER, "endpoint"),
    "0/1",
    "Whether the etcd member answered at all.",
)
DCS_HAS_QUORUM = gauge(
    "bascule_dcs_has_quorum",
    CLUSTER,
    "0/1",
    "Whether a linearizable read worked on one etcd member (GET /health) at least.",
    "A member that answers is not a quorum. Absent when no endpoint was given.",
)
FAILSAFE_ACTIVE = gauge(
    "bascule_failsafe_active",
    CLUSTER,
    "0/1",
    "Whether a member that answers runs in failsafe mode, because the DCS is gone.",
)
CLUSTER_PAUSED = gauge(
    "bascule_cluster_paused",
    CLUSTER,
    "0/1",
    "Whether a member that answers says that the cluster is paused (maintenance mode).",
    "A paused cluster does not fail over.",
)
PROBE_DURATION = gauge(
    "bascule_exporter_probe_duration_seconds",
    (*MEMBER, "what"),
    "seconds",
    "How long the last question to the member took, answered or not.",
)
LAST_PROBE = gauge(
    "bascule_exporter_last_probe_timestamp_seconds",
    CLUSTER,
    "seconds since 1970",
    "When the oldest answer (or missed deadline) that is shown here came in.",
    "A scrape serves what the last questions found; this is how old it is at most.",
)
PERMISSION_MISSING = gauge(
    "bascule_exporter_permission_missing",
    (*CLUSTER, "permission"),
    "0/1",
    "Whether a member that answers refuses the exporter read_stats or heartbeat.",
    "Without pg_read_all_stats PostgreSQL shows empty columns, not an error.",
)
BUILD_INFO = gauge(
    "bascule_exporter_build_info",
    (*CLUSTER, "version"),
    "1",
    "The version of the exporter, as a label.",
)
PROBE_FAILURES = counter(
    "bascule_exporter_probe_failures_total",
    (*MEMBER, "what"),
    "probes",
    "Questions to the member that had no answer in time, or an error for one.",
)

EXPORTER_METRICS: tuple[Metric, ...] = (
    MEMBER_UP,
    MEMBER_SQL_UP,
    MEMBER_ROLE,
    MEMBER_IN_RECOVERY,
    MEMBER_TIMELINE,
    MEMBER_STATE,
    MEMBER_PENDING_RESTART,
    MEMBER_DCS_LAST_SEEN,
    PRIMARIES,
    WRITABLE_MEMBERS,
    REPLICA_LAG_BYTES,
    REPLICA_LAG_SECONDS,
    WAL_RECEIVER_UP,
    RECOVERY_CONFLICTS,
    REPLICA_SYNC_STATE,
    HEARTBEAT_LAST_WRITTEN,
    SLOT_RETAINED_BYTES,
    SLOT_ACTIVE,
    SYNC_STANDBYS,
    SYNC_STANDBYS_REQUIRED,
    SYNCHRONOUS_MODE,
    DCS_MEMBER_UP,
    DCS_HAS_QUORUM,
    FAILSAFE_ACTIVE,
    CLUSTER_PAUSED,
    PROBE_DURATION,
    LAST_PROBE,
    PERMISSION_MISSING,
    BUILD_INFO,
    PROBE_FAILURES,
)
"""All metrics of ``bascule exporter``."""
