"""What a story about an alert is, the healthy cluster that each begins with, and promtool's words.

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


def one(name: str, labels: str) -> tuple[tuple[str, str], ...]:
    return ((name, labels),)


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
