"""For every alert a story in which it must fire, and one that is nearly the same and must not.

Values are in Prometheus's notation for tests (one every 15 s): ``1+0x8 0+0x40`` is nine times 1,
then 41 times 0. Time begins at 0, so ``0+15x60`` is a clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from replication.monitoring import alert

INTERVAL_S = 15
STEADY = "+0x240"
"""An hour of the same value."""
MIB = 1024 * 1024

A, B, C = (f'cluster="wh", member="db-{site}", site="{site}"' for site in "abc")

HEALTHY: Mapping[str, str] = {
    **{f"bascule_member_up{{{one}}}": "1" + STEADY for one in (A, B, C)},
    **{f"bascule_member_sql_up{{{one}}}": "1" + STEADY for one in (A, B, C)},
    **{f"bascule_member_timeline{{{one}}}": "1" + STEADY for one in (A, B, C)},
    f'bascule_member_role{{{A}, role="primary"}}': "1" + STEADY,
    **{f'bascule_member_role{{{one}, role="primary"}}': "0" + STEADY for one in (B, C)},
    f"bascule_member_in_recovery{{{A}}}": "0" + STEADY,
    **{f"bascule_member_in_recovery{{{one}}}": "1" + STEADY for one in (B, C)},
    **{f"bascule_member_dcs_last_seen_timestamp_seconds{{{one}}}": "0+15x240" for one in (A, B, C)},
    'bascule_primaries{cluster="wh"}': "1" + STEADY,
    'bascule_writable_members{cluster="wh"}': "1" + STEADY,
    **{f'bascule_replica_lag_bytes{{{one}, stage="replay"}}': "0" + STEADY for one in (B, C)},
    **{f"bascule_replica_lag_seconds{{{one}}}": "0" + STEADY for one in (B, C)},
    **{f"bascule_replica_wal_receiver_up{{{one}}}": "1" + STEADY for one in (B, C)},
    'bascule_sync_standbys{cluster="wh"}': "2" + STEADY,
    'bascule_sync_standbys_required{cluster="wh"}': "1" + STEADY,
    'bascule_synchronous_mode{cluster="wh"}': "1" + STEADY,
    'bascule_slot_retained_bytes{cluster="wh", slot="db_b"}': "0" + STEADY,
    'bascule_dcs_member_up{cluster="wh", endpoint="dcs-a:2379"}': "1" + STEADY,
    'bascule_dcs_has_quorum{cluster="wh"}': "1" + STEADY,
    'bascule_failsafe_active{cluster="wh"}': "0" + STEADY,
    'bascule_exporter_last_probe_timestamp_seconds{cluster="wh"}': "0+15x240",
    'bascule_heartbeat_last_written_timestamp_seconds{cluster="wh"}': "0+15x240",
}
"""A cluster of three that is well: db-a is its primary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A story: what differs from ``HEALTHY``, and which alerts fire when.

    Args:
        name: what happens.
        of: the alert that it is about.
        series: instead of, or beside, those of ``HEALTHY``; None takes one away.
        fires: at each moment (seconds), exactly these alerts: their labels without
            ``alertname``, ``alertstate`` and ``severity``, by name.
    """

    name: str
    of: str
    series: Mapping[str, str | None]
    fires: Mapping[int, tuple[tuple[str, str], ...]] = field(default_factory=dict)

    @property
    def must_fire(self) -> bool:
        """At some moment the alert that the case is about fires."""
        return any(name == self.of for alerts in self.fires.values() for name, _ in alerts)


WH = 'cluster="wh"'
NOTHING: tuple[tuple[str, str], ...] = ()


def _one(name: str, labels: str) -> tuple[tuple[str, str], ...]:
    return ((name, labels),)


CASES: tuple[Case, ...] = (
    Case(
        name="no primary for more than a minute",
        of="BasculeNoPrimary",
        series={'bascule_primaries{cluster="wh"}': "1+0x8 0+0x100"},
        fires={180: NOTHING, 210: _one("BasculeNoPrimary", WH)},
    ),
    Case(
        name="a failover that takes 45 s",
        of="BasculeNoPrimary",
        series={'bascule_primaries{cluster="wh"}': "1+0x8 0 0 0 1+0x100"},
        fires={165: NOTHING, 180: NOTHING, 210: NOTHING},
    ),
    Case(
        name="a standby cluster has a standby leader",
        of="BasculeNoPrimary",
        series={
            'bascule_primaries{cluster="wh"}': "0" + STEADY,
            'bascule_writable_members{cluster="wh"}': "0" + STEADY,
            f'bascule_member_role{{{A}, role="primary"}}': "0" + STEADY,
            f'bascule_member_role{{{A}, role="standby_leader"}}': "1" + STEADY,
        },
        fires={600: NOTHING},
    ),
    Case(
        name="two take writes, Patroni knows of one",
        of="BasculeTwoPrimaries",
        series={'bascule_writable_members{cluster="wh"}': "1+0x8 2+0x20 1+0x100"},
        fires={150: _one("BasculeTwoPrimaries", WH), 480: NOTHING},
    ),
    Case(
        name="two claim to be primary",
        of="BasculeTwoPrimaries",
        series={'bascule_primaries{cluster="wh"}': "1+0x8 2+0x100"},
        fires={150: _one("BasculeTwoPrimaries", WH)},
    ),
    Case(
        name="one sample that saw both halves of a switchover",
        of="BasculeTwoPrimaries",
        series={'bascule_writable_members{cluster="wh"}': "1+0x8 2 1+0x100"},
        fires={135: NOTHING, 150: NOTHING},
    ),
    Case(
        name="the primary is on the next timeline, and ten minutes pass",
        of="BasculeTimelineChanged",
        series={f"bascule_member_timeline{{{A}}}": "1+0x8 2+0x100"},
        fires={
            120: NOTHING,
            135: _one("BasculeTimelineChanged", WH),
            690: _one("BasculeTimelineChanged", WH),
            750: NOTHING,
        },
    ),
    Case(
        name="another member is primary, after a gap without one",
        of="BasculeTimelineChanged",
        series={
            f'bascule_member_role{{{A}, role="primary"}}': "1+0x8 0+0x100",
            f'bascule_member_role{{{B}, role="primary"}}': "0+0x10 1+0x100",
            f"bascule_member_timeline{{{B}}}": "1+0x10 2+0x100",
        },
        fires={150: NOTHING, 180: _one("BasculeTimelineChanged", WH)},
    ),
    Case(
        name="a replica is stuck on an old timeline; the primary has not moved",
        of="BasculeTimelineChanged",
        series={
            f"bascule_member_timeline{{{A}}}": "2" + STEADY,
            f"bascule_member_timeline{{{B}}}": "1+0x20 2+0x100",
            f"bascule_member_timeline{{{C}}}": "1" + STEADY,
        },
        fires={300: NOTHING, 330: NOTHING},
    ),
    Case(
        name="Patroni of a member is silent",
        of="BasculeMemberDown",
        series={f"bascule_member_up{{{B}}}": "1+0x8 0+0x100"},
        fires={180: NOTHING, 210: _one("BasculeMemberDown", B)},
    ),
    Case(
        name="PostgreSQL of a member is silent, and most of its series are gone",
        of="BasculeMemberDown",
        series={
            f"bascule_member_sql_up{{{B}}}": "1+0x8 0+0x100",
            f"bascule_member_timeline{{{B}}}": "1+0x8 stale",
            f"bascule_member_in_recovery{{{B}}}": "1+0x8 stale",
        },
        fires={210: _one("BasculeMemberDown", B)},
    ),
    Case(
        name="a restart that takes 45 s",
        of="BasculeMemberDown",
        series={f"bascule_member_sql_up{{{B}}}": "1+0x8 0 0 0 1+0x100"},
        fires={180: NOTHING, 210: NOTHING},
    ),
    Case(
        name="more than 50 MiB behind for more than a minute",
        of="BasculeReplicaLagBytes",
        series={f'bascule_replica_lag_bytes{{{B}, stage="replay"}}': f"0+0x8 {51 * MIB}+0x100"},
        fires={180: NOTHING, 210: _one("BasculeReplicaLagBytes", B)},
    ),
    Case(
        name="50 MiB behind, not more; and a burst of 45 s",
        of="BasculeReplicaLagBytes",
        series={
            f'bascule_replica_lag_bytes{{{B}, stage="replay"}}': f"{50 * MIB}{STEADY}",
            f'bascule_replica_lag_bytes{{{C}, stage="replay"}}': f"0+0x8 {MIB * 900}+0x2 0+0x100",
        },
        fires={165: NOTHING, 180: NOTHING, 600: NOTHING},
    ),
    Case(
        name="6 s behind for more than 30 s",
        of="BasculeReplicaLagSeconds",
        series={f"bascule_replica_lag_seconds{{{B}}}": "0+0x8 6+0x100"},
        fires={150: NOTHING, 180: _one("BasculeReplicaLagSeconds", B)},
    ),
    Case(
        name="5 s behind, not more",
        of="BasculeReplicaLagSeconds",
        series={f"bascule_replica_lag_seconds{{{B}}}": "5" + STEADY},
        fires={600: NOTHING},
    ),
    Case(
        name="no primary writes heartbeats: that is said, and not a lag",
        of="BasculeReplicaLagSeconds",
        series={
            'bascule_primaries{cluster="wh"}': "1+0x8 0+0x100",
            f"bascule_replica_lag_seconds{{{B}}}": "0+0x8 0+15x100",
        },
        fires={300: _one("BasculeNoPrimary", WH)},
    ),
    Case(
        name="an exporter may not read its heartbeats; the other one may, and sees no lag",
        of="BasculeReplicaLagSeconds",
        series={
            f'bascule_replica_lag_seconds{{{B}, instance="one"}}': "0+0x8 0+15x100",
            f'bascule_replica_lag_seconds{{{B}, instance="other"}}': "0" + STEADY,
            **{
                "bascule_exporter_permission_missing{"
                f'cluster="wh", permission="heartbeat", instance="{name}"}}': value + STEADY
                for name, value in (("one", "1"), ("other", "0"))
            },
        },
        fires={300: NOTHING},
    ),
    Case(
        name="a replica has no receiver for more than a minute",
        of="BasculeReplicaWithoutReceiver",
        series={f"bascule_replica_wal_receiver_up{{{B}}}": "1+0x8 0+0x100"},
        fires={180: NOTHING, 210: _one("BasculeReplicaWithoutReceiver", B)},
    ),
    Case(
        name="who has no receiver is the primary; a replica reconnects within 45 s",
        of="BasculeReplicaWithoutReceiver",
        series={
            f"bascule_replica_wal_receiver_up{{{A}}}": "0" + STEADY,
            f"bascule_replica_wal_receiver_up{{{B}}}": "1+0x8 0 0 0 1+0x100",
        },
        fires={180: NOTHING, 600: NOTHING},
    ),
    Case(
        name="no synchronous standby is left, one is required",
        of="BasculeSyncStandbyMissing",
        series={'bascule_sync_standbys{cluster="wh"}': "2+0x8 0+0x100"},
        fires={180: NOTHING, 210: _one("BasculeSyncStandbyMissing", WH)},
    ),
    Case(
        name="without strict mode none is required any more, and none is there",
        of="BasculeSyncStandbyMissing",
        series={
            'bascule_sync_standbys{cluster="wh"}': "2+0x8 0+0x100",
            'bascule_sync_standbys_required{cluster="wh"}': "1+0x8 0+0x100",
        },
        fires={210: _one("BasculeSyncStandbyMissing", WH)},
    ),
    Case(
        name="as many as required, none to spare",
        of="BasculeSyncStandbyMissing",
        series={'bascule_sync_standbys{cluster="wh"}': "1" + STEADY},
        fires={600: NOTHING},
    ),
    Case(
        name="an asynchronous cluster",
        of="BasculeSyncStandbyMissing",
        series={
            f'bascule_{what}{{cluster="wh"}}': "0" + STEADY
            for what in ("sync_standbys", "sync_standbys_required", "synchronous_mode")
        },
        fires={600: NOTHING},
    ),
    Case(
        name="a slot keeps more than 1 GiB for more than five minutes",
        of="BasculeSlotRetention",
        series={
            'bascule_slot_retained_bytes{cluster="wh", slot="db_b"}': f"0+0x8 {1025 * MIB}+0x100"
        },
        fires={420: NOTHING, 450: _one("BasculeSlotRetention", 'cluster="wh", slot="db_b"')},
    ),
    Case(
        name="1 GiB, not more; and more, for four minutes",
        of="BasculeSlotRetention",
        series={
            'bascule_slot_retained_bytes{cluster="wh", slot="db_b"}': f"{1024 * MIB}{STEADY}",
            'bascule_slot_retained_bytes{cluster="wh", slot="db_c"}': (
                f"0+0x8 {2048 * MIB}+0x16 0+0x100"
            ),
        },
        fires={360: NOTHING, 450: NOTHING, 600: NOTHING},
    ),
    Case(
        name="no quorum for more than 30 s",
        of="BasculeDcsWithoutQuorum",
        series={'bascule_dcs_has_quorum{cluster="wh"}': "1+0x8 0+0x100"},
        fires={150: NOTHING, 180: _one("BasculeDcsWithoutQuorum", WH)},
    ),
    Case(
        name="the exporter knows no address of the DCS, and no member has seen it for a minute",
        of="BasculeDcsWithoutQuorum",
        series={
            'bascule_dcs_has_quorum{cluster="wh"}': None,
            'bascule_dcs_member_up{cluster="wh", endpoint="dcs-a:2379"}': None,
            **{
                f"bascule_member_dcs_last_seen_timestamp_seconds{{{one}}}": "0+15x8 120+0x100"
                for one in (A, B, C)
            },
        },
        fires={180: NOTHING, 240: _one("BasculeDcsWithoutQuorum", WH)},
    ),
    Case(
        name="an election of etcd; one member has not seen the DCS, the others have",
        of="BasculeDcsWithoutQuorum",
        series={
            'bascule_dcs_has_quorum{cluster="wh"}': "1+0x8 0 1+0x100",
            f"bascule_member_dcs_last_seen_timestamp_seconds{{{B}}}": "0" + STEADY,
        },
        fires={135: NOTHING, 150: NOTHING, 600: NOTHING},
    ),
    Case(
        name="a member of the DCS is down for more than five minutes",
        of="BasculeDcsMemberDown",
        series={'bascule_dcs_member_up{cluster="wh", endpoint="dcs-a:2379"}': "1+0x8 0+0x100"},
        fires={
            420: NOTHING,
            450: _one("BasculeDcsMemberDown", 'cluster="wh", endpoint="dcs-a:2379"'),
        },
    ),
    Case(
        name="a member of the DCS restarts within four minutes",
        of="BasculeDcsMemberDown",
        series={
            'bascule_dcs_member_up{cluster="wh", endpoint="dcs-a:2379"}': "1+0x8 0+0x16 1+0x100"
        },
        fires={390: NOTHING, 450: NOTHING},
    ),
    Case(
        name="failsafe mode",
        of="BasculeFailsafeActive",
        series={'bascule_failsafe_active{cluster="wh"}': "0+0x8 1+0x8 0+0x100"},
        fires={120: NOTHING, 135: _one("BasculeFailsafeActive", WH), 300: NOTHING},
    ),
    Case(
        name="no member answers whether it is in failsafe mode",
        of="BasculeFailsafeActive",
        series={'bascule_failsafe_active{cluster="wh"}': None},
        fires={600: NOTHING},
    ),
    Case(
        name="the last heartbeat is more than a minute old, for more than a minute",
        of="BasculeHeartbeatStale",
        series={
            'bascule_heartbeat_last_written_timestamp_seconds{cluster="wh"}': "0+15x8 120+0x100"
        },
        fires={240: NOTHING, 270: _one("BasculeHeartbeatStale", WH)},
    ),
    Case(
        name="no heartbeat was ever written",
        of="BasculeHeartbeatStale",
        series={'bascule_heartbeat_last_written_timestamp_seconds{cluster="wh"}': None},
        fires={45: NOTHING, 60: _one("BasculeHeartbeatStale", WH)},
    ),
    Case(
        name="no heartbeat, because there is no primary",
        of="BasculeHeartbeatStale",
        series={
            'bascule_heartbeat_last_written_timestamp_seconds{cluster="wh"}': "0+15x8 120+0x100",
            'bascule_primaries{cluster="wh"}': "1+0x8 0+0x100",
        },
        fires={600: _one("BasculeNoPrimary", WH)},
    ),
    Case(
        name="heartbeats that are a minute old, not more",
        of="BasculeHeartbeatStale",
        series={'bascule_heartbeat_last_written_timestamp_seconds{cluster="wh"}': "-60+15x240"},
        fires={600: NOTHING},
    ),
    Case(
        name="the exporter serves what it saw a minute and more ago",
        of="BasculeExporterSilent",
        series={'bascule_exporter_last_probe_timestamp_seconds{cluster="wh"}': "0+15x8 120+0x100"},
        fires={240: NOTHING, 270: _one("BasculeExporterSilent", WH)},
    ),
    Case(
        name="no exporter was ever there",
        of="BasculeExporterSilent",
        series=dict.fromkeys(HEALTHY),
        fires={45: NOTHING, 60: _one("BasculeExporterSilent", "")},
    ),
    Case(
        name="of two clusters one has vanished",
        of="BasculeExporterSilent",
        series={'bascule_exporter_last_probe_timestamp_seconds{cluster="other"}': "0+15x8 stale"},
        fires={180: NOTHING, 210: _one("BasculeExporterSilent", 'cluster="other"')},
    ),
    Case(
        name="the only cluster has vanished: it is named, once",
        of="BasculeExporterSilent",
        series={
            **dict.fromkeys(HEALTHY),
            'bascule_exporter_last_probe_timestamp_seconds{cluster="wh"}': "0+15x8 stale",
        },
        fires={210: _one("BasculeExporterSilent", WH)},
    ),
    Case(
        name="three scrapes are missed; a look is 45 s old",
        of="BasculeExporterSilent",
        series={
            'bascule_exporter_last_probe_timestamp_seconds{cluster="wh"}': (
                "0+15x8 stale stale stale 120+15x100"
            )
        },
        fires={165: NOTHING, 180: NOTHING, 300: NOTHING},
    ),
)


def promtool_test(case: Case, rules_file: str) -> dict[str, object]:
    """The case as promtool reads it (Prometheus manual, "Unit testing for rules")."""
    series = {name: values for name, values in {**HEALTHY, **case.series}.items() if values}
    return {
        "rule_files": [rules_file],
        "evaluation_interval": f"{INTERVAL_S}s",
        "tests": [
            {
                "name": case.name,
                "interval": f"{INTERVAL_S}s",
                "input_series": [
                    {"series": name, "values": values} for name, values in series.items()
                ],
                "promql_expr_test": [
                    {
                        "expr": 'ALERTS{alertstate="firing"}',
                        "eval_time": f"{moment_s}s",
                        "exp_samples": [
                            {"labels": _alerts_series(name, labels), "value": 1}
                            for name, labels in alerts
                        ],
                    }
                    for moment_s, alerts in case.fires.items()
                ],
            }
        ],
    }


def _alerts_series(name: str, labels: str) -> str:
    own = f'alertname="{name}", alertstate="firing", severity="{alert(name).severity}"'
    return f"ALERTS{{{own}{', ' + labels if labels else ''}}}"
