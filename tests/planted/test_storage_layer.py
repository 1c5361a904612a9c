"""Storage layers with a bug: a copy of the project with a change in it, and a real drill.

The project's own storage layer goes through the same schedule in each test first, so that what is
found is the bug's doing.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.commands.commands import LOW_LOAD
from support.house.house_copy import HouseCopy, copy_house, with_interpreter

pytestmark = pytest.mark.slow

DRILL_TIMEOUT_S = 400
RUNNER = "replication/units/runner.py"

IN_DOUBT = """
            unit.has_ended_itself = failure.sqlstate == NO_TRANSACTION
            raise Again(action) from error
"""
RETRIES = """
            unit.next_attempt()
            raise Again(Action.REROUTE) from error
"""
HEARS_NOTHING = """
name = "hears-nothing"
title = "The primary's site is heard and hears nothing"
steady_s = 2
fault_s = 30
heal_when_service_is_back = false
after_heal_s = 2
recovery_s_max = 120

[[fault]]
fault = "site-cut-one-way"
target = "site-of:primary"
direction = "in"
at_s = 0

[expect]
rto_s_max = 300
"""

LOOKS = """
        if unit.plan.durability == "local" or evidence.synchronous:
"""
TAKES_IT_FOR_GRANTED = """
        if True:
"""
LOOKS_AGAIN = """
        if not still_synchronous:
"""
NEVER_AGAIN = """
        if False:
"""
SYNC_OFF = '''
"""Synchronous replication is switched off behind the back of the storage layer."""

from chaos.faults.base import NO_PARAMS, FaultKind, FaultParams, FaultWords, Stage
from chaos.faults.targets import Victim
from chaos.load.admin import superuser_session
from cluster import maintenance

NAMES = "SELECT current_setting('synchronous_standby_names')"


async def switch_off(stage: Stage, victim: Victim, params: FaultParams) -> str:
    """In Patroni's configuration; returns once the primary waits for nobody."""
    cluster = stage.cluster
    await maintenance.change(cluster, {"synchronous_mode": False})
    primary = await cluster.primary()

    async def is_off() -> bool:
        async with superuser_session(cluster, primary, application="bascule-sync-off") as session:
            return (await session.fetch(NAMES))[0][0] == ""

    await maintenance.wait_for(is_off, "the primary still waits for standbys", timeout_s=60)
    return f"{primary} waits for no standby"


async def switch_on(stage: Stage, victim: Victim, params: FaultParams) -> str:
    """As before."""
    await maintenance.change(stage.cluster, {"synchronous_mode": "quorum"})
    return "synchronous again"


SYNC_OFF = FaultKind(
    key="sync-off",
    words=FaultWords(
        title="sync off",
        healed="sync on",
        noun=lambda names: "the end of synchronous replication",
        clause=lambda names: "synchronous replication was switched off",
    ),
    params=FaultParams,
    read=lambda table: NO_PARAMS,
    takes=("cluster",),
    needs=(),
    lasts=True,
    effect=lambda params: "unpredicted",
    strike=switch_off,
    undo=switch_on,
    draw=None,
)
'''
BEHIND_ITS_BACK = """
name = "behind-its-back"
title = "Synchronous replication is switched off, then the primary is alone, then it is lost"
steady_s = 2
fault_s = 45
heal_when_service_is_back = false
after_heal_s = 2
recovery_s_max = 120

[[fault]]
fault = "sync-off"
target = "cluster"
at_s = 0

[[fault]]
fault = "link-cut"
target = "replicas"
at_s = 8
heal_at_s = 20

[[fault]]
fault = "host-power-cut"
target = "primary"
at_s = 14

[expect]
rto_s_max = 300
"""


def house(folder: Path) -> HouseCopy:
    """A copy of the project."""
    return with_interpreter(copy_house(folder / "house"), folder / "python")


def plant(copy: HouseCopy, right: str, wrong: str) -> None:
    """Change the storage layer of the copy."""
    runner = copy.folder / RUNNER
    text = runner.read_text()
    assert text.count(right) == 1, right
    runner.write_text(text.replace(right, wrong))


def broken(copy: HouseCopy, scenario: str, run: Path) -> set[str]:
    """Drill with a copy; the kinds of what was found and must not be."""
    path = copy.folder / "planted.toml"
    path.write_text(scenario)
    drill = ("-m", "chaos", "drill", str(path), "--seed", "3", *LOW_LOAD, "--out", str(run))
    done = copy.python(*drill, timeout_s=DRILL_TIMEOUT_S)
    assert (run / "verdict.json").exists(), done.stdout + done.stderr
    verdict = json.loads((run / "verdict.json").read_text())
    assert verdict["acknowledged"] > 50, done.stdout + done.stderr
    return {one["kind"] for one in verdict["findings"] if one["verdict"] == "invalid"}


def test_a_layer_that_retries_a_commit_in_doubt_applies_it_twice(tmp_path: Path) -> None:
    copy = house(tmp_path)
    harm = {"duplicate", "unit-not-applied-once"}
    assert not broken(copy, HEARS_NOTHING, tmp_path / "right") & harm
    plant(copy, IN_DOUBT, RETRIES)
    assert "duplicate" in broken(copy, HEARS_NOTHING, tmp_path / "wrong")


def test_a_layer_that_takes_synchronous_commits_for_granted_loses_them(tmp_path: Path) -> None:
    copy = house(tmp_path)
    copy.add_file("chaos/faults/sync_off.py", SYNC_OFF)
    copy.add_line("chaos/faults/registry.py", "    SWITCHOVER,", "    SYNC_OFF,")
    copy.add_line(
        "chaos/faults/registry.py",
        "from chaos.faults.process import PROCESS_KILL",
        "from chaos.faults.sync_off import SYNC_OFF",
    )
    assert "lost-acknowledged-write" not in broken(copy, BEHIND_ITS_BACK, tmp_path / "right")
    plant(copy, LOOKS, TAKES_IT_FOR_GRANTED)
    plant(copy, LOOKS_AGAIN, NEVER_AGAIN)
    assert "lost-acknowledged-write" in broken(copy, BEHIND_ITS_BACK, tmp_path / "wrong")
