"""Stories about the alerts on replication: lag, receivers, synchronous standbys, slots."""

from __future__ import annotations

from support.monitoring.rule_case import MIB, NOTHING, STEADY, WH, A, B, C, Case, one

CASES: tuple[Case, ...] = (
    Case(
        name="more than 50 MiB behind for more than a minute",
        of="BasculeReplicaLagBytes",
        series={f'bascule_replica_lag_bytes{{{B}, stage="replay"}}': f"0+0x8 {51 * MIB}+0x100"},
        fires={180: NOTHING, 210: one("BasculeReplicaLagBytes", B)},
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
        fires={150: NOTHING, 180: one("BasculeReplicaLagSeconds", B)},
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
        fires={300: one("BasculeNoPrimary", WH)},
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
        fires={180: NOTHING, 210: one("BasculeReplicaWithoutReceiver", B)},
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
        fires={180: NOTHING, 210: one("BasculeSyncStandbyMissing", WH)},
    ),
    Case(
        name="without strict mode none is required any more, and none is there",
        of="BasculeSyncStandbyMissing",
        series={
            'bascule_sync_standbys{cluster="wh"}': "2+0x8 0+0x100",
            'bascule_sync_standbys_required{cluster="wh"}': "1+0x8 0+0x100",
        },
        fires={210: one("BasculeSyncStandbyMissing", WH)},
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
        fires={420: NOTHING, 450: one("BasculeSlotRetention", 'cluster="wh", slot="db_b"')},
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
)
