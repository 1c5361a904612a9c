"""Stories about the alerts on what the others stand on: the DCS, heartbeats, the exporter."""

from __future__ import annotations

from support.monitoring.rule_case import HEALTHY, NOTHING, STEADY, WH, A, B, C, Case, one

CASES: tuple[Case, ...] = (
    Case(
        name="no quorum for more than 30 s",
        of="BasculeDcsWithoutQuorum",
        series={'bascule_dcs_has_quorum{cluster="wh"}': "1+0x8 0+0x100"},
        fires={150: NOTHING, 180: one("BasculeDcsWithoutQuorum", WH)},
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
        fires={180: NOTHING, 240: one("BasculeDcsWithoutQuorum", WH)},
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
            450: one("BasculeDcsMemberDown", 'cluster="wh", endpoint="dcs-a:2379"'),
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
        fires={120: NOTHING, 135: one("BasculeFailsafeActive", WH), 300: NOTHING},
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
        fires={240: NOTHING, 270: one("BasculeHeartbeatStale", WH)},
    ),
    Case(
        name="no heartbeat was ever written",
        of="BasculeHeartbeatStale",
        series={'bascule_heartbeat_last_written_timestamp_seconds{cluster="wh"}': None},
        fires={45: NOTHING, 60: one("BasculeHeartbeatStale", WH)},
    ),
    Case(
        name="no heartbeat, because there is no primary",
        of="BasculeHeartbeatStale",
        series={
            'bascule_heartbeat_last_written_timestamp_seconds{cluster="wh"}': "0+15x8 120+0x100",
            'bascule_primaries{cluster="wh"}': "1+0x8 0+0x100",
        },
        fires={600: one("BasculeNoPrimary", WH)},
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
        fires={240: NOTHING, 270: one("BasculeExporterSilent", WH)},
    ),
    Case(
        name="no exporter was ever there",
        of="BasculeExporterSilent",
        series=dict.fromkeys(HEALTHY),
        fires={45: NOTHING, 60: one("BasculeExporterSilent", "")},
    ),
    Case(
        name="of two clusters one has vanished",
        of="BasculeExporterSilent",
        series={'bascule_exporter_last_probe_timestamp_seconds{cluster="other"}': "0+15x8 stale"},
        fires={180: NOTHING, 210: one("BasculeExporterSilent", 'cluster="other"')},
    ),
    Case(
        name="a drill is done",
        of="BasculeExporterSilent",
        series={
            'bascule_exporter_last_probe_timestamp_seconds{cluster="drill-host-loss"}': (
                "0+15x8 stale"
            )
        },
        fires={210: NOTHING, 600: NOTHING},
    ),
    Case(
        name="the only cluster has vanished: it is named, once",
        of="BasculeExporterSilent",
        series={
            **dict.fromkeys(HEALTHY),
            'bascule_exporter_last_probe_timestamp_seconds{cluster="wh"}': "0+15x8 stale",
        },
        fires={210: one("BasculeExporterSilent", WH)},
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
