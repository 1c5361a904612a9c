"""A fault is one file and one line: with these two a real drill strikes, heals and tells of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.commands.commands import LOW_LOAD
from support.house.house_copy import copy_house

pytestmark = pytest.mark.slow

FILE = '''
"""It rains on a host for a while. The service goes on."""

from dataclasses import dataclass

from chaos.faults.base import FaultKind, FaultParams, FaultWords, Stage
from chaos.faults.targets import HOSTS, Victim
from chaos.wording import joined
from cluster.substrates.base import Killable


@dataclass(frozen=True, slots=True, kw_only=True)
class RainParams(FaultParams):
    """How much."""

    mm: float = 1.0


async def rain(stage: Stage, victim: Victim, params: RainParams) -> str:
    """On the disk of the host, for everybody to see."""
    (stage.cluster.substrate.data_folder(victim.name) / "rain").write_text(f"{params.mm} mm")
    return f"{params.mm:g} mm"


async def dry(stage: Stage, victim: Victim, params: RainParams) -> str:
    """Gone."""
    (stage.cluster.substrate.data_folder(victim.name) / "rain").unlink()
    return "dry again"


RAIN = FaultKind(
    key="rain",
    words=FaultWords(
        title="rain",
        healed="dry again",
        noun=lambda hosts: f"the rain on {joined(hosts)}",
        clause=lambda hosts: f"it rained on {joined(hosts)}",
    ),
    params=RainParams,
    read=lambda table: RainParams(mm=table.number("mm", minimum=0.1, maximum=100.0)),
    takes=HOSTS,
    needs=(Killable,),
    lasts=True,
    effect=lambda params: "none",
    strike=rain,
    undo=dry,
    draw=lambda random: RainParams(mm=random.uniform(0.1, 100.0)),
)
'''
SCENARIO = """
name = "shower"
title = "A shower"
steady_s = 1
fault_s = 4
heal_when_service_is_back = false
after_heal_s = 1
recovery_s_max = 60

[[fault]]
fault = "rain"
target = "replicas"
mm = 7.5
at_s = 0
heal_at_s = 2

[[fault]]
fault = "rain"
target = "primary"
mm = 2
at_s = 1

[expect]
failover = "must-not"
rto_s_max = 5
"""


def test_a_fault_of_one_file_and_one_line_runs_a_drill(tmp_path: Path) -> None:
    copy = copy_house(tmp_path / "house")
    copy.add_file("chaos/faults/rain.py", FILE)
    copy.add_line("chaos/faults/registry.py", "    SWITCHOVER,", "    RAIN,")
    copy.add_line(
        "chaos/faults/registry.py",
        "from chaos.faults.process import PROCESS_KILL",
        "from chaos.faults.rain import RAIN",
    )
    (tmp_path / "shower.toml").write_text(SCENARIO)
    run = tmp_path / "run"
    scenario = str(tmp_path / "shower.toml")
    drill = ("-m", "chaos", "drill", scenario, "--seed", "3", *LOW_LOAD, "--out", str(run))
    done = copy.python(*drill, timeout_s=240)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "VALID   the rain on " in done.stdout
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    struck = [(e["target"], e["detail"]) for e in events if e["kind"] == "fault"]
    healed = [(e["target"], e["detail"]) for e in events if e["kind"] == "heal"]
    assert sorted(detail for _, detail in struck) == ["2 mm", "7.5 mm", "7.5 mm"]
    assert sorted(healed) == sorted((target, "dry again") for target, _ in struck)
    asked = json.loads((run / "run.json").read_text())["scenario"]["faults"]
    assert [step["mm"] for step in asked] == [7.5, 2.0]
    predicted = json.loads((run / "verdict.json").read_text())["rto_predicted_s"]
    assert predicted["service"] == "goes-on"
    report = (run / "report.html").read_text()
    assert "rain: " in report
    assert "dry again: " in report
    judged = copy.python("-m", "chaos", "check", str(run), timeout_s=120)
    assert judged.returncode == 0, judged.stdout + judged.stderr
