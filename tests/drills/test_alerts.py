"""Every alert is proved: it fires under a real fault, resolves after the heal, is quiet in steady.

One lab, broken in several ways one after another (``support.lab.alert_lab``), watched by the real
exporter and a real Prometheus. The rules are those of production with every waiting time divided
by 20, and with their own thresholds, but for two: slots (32 MiB instead of 1 GiB) and the age of
the heartbeat (5 s instead of a minute).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from replication.monitoring import ALERTS
from replication.monitoring.alerts.witness import WITNESS_ALERTS
from replication.monitoring.dashboard.file import (
    drill_expressions,
    expressions,
    witness_expressions,
)

pytestmark = pytest.mark.slow

TIMEOUT_S = 900.0
ENTER = (
    "import sys; from cluster.substrates.lab.enter import run_sealed;"
    " sys.exit(run_sealed(sys.argv[1:])[0])"
)
FIRES_IN = {
    "BasculeReplicaLagBytes": "replica-cut-off",
    "BasculeReplicaLagSeconds": "replica-cut-off",
    "BasculeReplicaWithoutReceiver": "replica-cut-off",
    "BasculeSlotRetention": "replica-cut-off",
    "BasculeSyncStandbyMissing": "no-standby",
    "BasculeMemberDown": "no-standby",
    "BasculeExporterSilent": "exporter-frozen",
    "BasculeHeartbeatStale": "heartbeat-refused",
    "BasculeNoPrimary": "patroni-frozen",
    "BasculeTwoPrimaries": "patroni-frozen",
    "BasculeTimelineChanged": "patroni-frozen",
    "BasculeDcsWithoutQuorum": "dcs-lost",
    "BasculeDcsMemberDown": "dcs-lost",
    "BasculeFailsafeActive": "dcs-lost",
}
FAILED_OVER = {"BasculeNoPrimary", "BasculeTwoPrimaries", "BasculeTimelineChanged"}
DCS = {"BasculeDcsWithoutQuorum", "BasculeDcsMemberDown", "BasculeFailsafeActive"}
MUST_NOT = {
    "replica-cut-off": {*FAILED_OVER, *DCS, "BasculeSyncStandbyMissing", "BasculeMemberDown"},
    "no-standby": {*FAILED_OVER, *DCS, "BasculeHeartbeatStale"},
    "exporter-frozen": {*FAILED_OVER, *DCS},
    "heartbeat-refused": set(FIRES_IN) - {"BasculeHeartbeatStale"},
    "patroni-frozen": DCS,
    "dcs-lost": {*FAILED_OVER, "BasculeSyncStandbyMissing"},
}
"""Faults that look like others to a careless rule."""


@pytest.fixture(scope="module")
def drilled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The lab has run to its end; what fired in each step, and what the dashboard was answered."""
    folder = tmp_path_factory.mktemp("alerts")
    tests = str(Path(__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", ENTER, sys.executable, "-m", "support.lab.alert_lab", str(folder)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        env={**os.environ, "PYTHONPATH": tests},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(json.loads((folder / "alerts.json").read_text()))


def names(drilled: dict[str, Any], step: str) -> set[str]:
    return {one["name"] for one in drilled["steps"][step]}


def about(drilled: dict[str, Any], step: str, name: str, label: str) -> set[str]:
    found = [one for one in drilled["steps"][step] if one["name"] == name]
    return {one["labels"][label] for one in found}


def test_every_alert_has_its_fault() -> None:
    """Those on the witnesses are proved with promtool alone: this cluster has none."""
    assert set(FIRES_IN) == {rule.name for rule in ALERTS if rule not in WITNESS_ALERTS}


@pytest.mark.parametrize("step", ["steady", "healed"])
def test_nothing_fires_when_all_is_well(drilled: dict[str, Any], step: str) -> None:
    """Before the first fault, and after the last heal."""
    assert drilled["steps"][step] == []


@pytest.mark.parametrize("name", FIRES_IN)
def test_an_alert_fires_under_its_fault(drilled: dict[str, Any], name: str) -> None:
    """That it resolves after the heal is made sure of by the lab itself, before its next step."""
    assert name in names(drilled, FIRES_IN[name])


@pytest.mark.parametrize("step", MUST_NOT)
def test_other_faults_do_not_fire_it(drilled: dict[str, Any], step: str) -> None:
    assert not names(drilled, step) & MUST_NOT[step] - {
        name for name, where in FIRES_IN.items() if where == step
    }


def test_alerts_name_who_is_struck(drilled: dict[str, Any]) -> None:
    (behind,) = about(drilled, "replica-cut-off", "BasculeReplicaWithoutReceiver", "member")
    (dead,) = about(drilled, "no-standby", "BasculeMemberDown", "member")
    (frozen,) = about(drilled, "patroni-frozen", "BasculeMemberDown", "member")
    assert behind != dead
    assert about(drilled, "no-standby", "BasculeMemberDown", "site") == {dead.removeprefix("db-")}
    assert frozen in {"db-paris", "db-orsay", "db-saint-cloud"}
    assert len(about(drilled, "dcs-lost", "BasculeDcsMemberDown", "endpoint")) == 2
    for step in FIRES_IN.values():
        assert {one["labels"]["cluster"] for one in drilled["steps"][step]} == {"warehouse"}


ELSEWHERE = {*drill_expressions(), *witness_expressions()}


@pytest.mark.parametrize("expr", [one for one in expressions() if one not in ELSEWHERE])
def test_every_query_of_the_dashboard_is_answered(drilled: dict[str, Any], expr: str) -> None:
    """Over the whole run, by the same Prometheus: no error, and numbers. Those about a drill are
    asked in one (``test_metrics``); this cluster has no witnesses."""
    assert drilled["answers"][expr] > 0
