"""A workload is one folder and one line: a drill runs with it, judges it and reports it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from support.house.house_copy import copy_house, with_interpreter

pytestmark = pytest.mark.slow

KIND = '''
"""Steps: every operation adds an entry that is as wide as the scenario says."""

from dataclasses import dataclass
from typing import Self

from chaos.workloads.kind import WorkloadKind, WorkloadOptions
from cluster.toml.reader import TomlTable


@dataclass(frozen=True, slots=True, kw_only=True)
class StepsOptions(WorkloadOptions):
    width: int = 1

    @classmethod
    def read(cls, table: TomlTable) -> Self:
        return cls(width=table.integer("width", cls().width, minimum=1))


STEPS = WorkloadKind(
    key="steps",
    options=StepsOptions,
    rate_per_s=20.0,
    limits="What is judged are steps, and nothing else.",
    load="chaos.workloads.steps.load:Steps",
    checkers=("chaos.workloads.steps.check_width:CHECKER",),
    shares_units=True,
)
'''

LOAD = """
from chaos.workloads.base import SiteLoad, Work, WorkResult
from chaos.workloads.pacing import run_paced
from chaos.workloads.steps import StepsOptions
from replication import Transaction


class Steps:
    tables = ("CREATE TABLE IF NOT EXISTS bascule.step (id text NOT NULL, width int NOT NULL)",)
    grants = ("GRANT SELECT, INSERT ON bascule.step TO {role}",)
    final_read = "SELECT 'row', id, width::text FROM bascule.step ORDER BY id"

    def __init__(self, options: StepsOptions) -> None:
        self._width = options.width

    def opening(self):
        return ()

    async def run(self, load: SiteLoad) -> None:
        def next_work(worker: int, n: int) -> Work:
            id_ = f"{load.config.site}-{worker}-{n}"

            async def step(transaction: Transaction) -> WorkResult:
                statement = "INSERT INTO bascule.step (id, width) VALUES (%s, %s)"
                await transaction.execute(statement, (id_, self._width))
                return {}

            return Work(id=id_, apply=step, about={"op": "step"})

        await run_paced(load, next_work)
"""

CHECK = """
from chaos.checkers import needs
from chaos.checkers.base import Checker
from chaos.evidence.run import Run
from chaos.findings import Finding, FindingKind, Verdict

WRONG_WIDTH = FindingKind(
    word="wrong-width",
    meaning="INVALID: a step is not as wide as was asked.",
    heading="Step of another width",
    proved="steps were not as wide as was asked",
    undecided="it is not known how wide steps are",
)


def check(run: Run) -> list[Finding]:
    asked = str(run.info.scenario.workload.options.width)
    wrong = tuple(
        {"node": read.node, "id": row.id}
        for read in run.final_reads
        for row in read.rows
        if row.content != asked
    )
    if not wrong:
        return []
    summary = "Steps are not as wide as was asked."
    return [Finding(kind=WRONG_WIDTH, verdict=Verdict.INVALID, summary=summary, evidence=wrong)]


CHECKER = Checker(
    name="width",
    question="Every step is as wide as was asked.",
    check=check,
    finds=(WRONG_WIDTH,),
    needs=(needs.final_reads,),
    workloads=("steps",),
)
"""

SCENARIO = """
name = "steps"
title = "Steps"
steady_s = 3
fault_s = 2
heal_when_service_is_back = false
after_heal_s = 1
recovery_s_max = 60

[workload]
kind = "steps"
width = 7

[expect]
failover = "must-not"
rto_s_max = 10
"""


def test_a_drill_with_a_workload_that_is_new(tmp_path: Path) -> None:
    plain = copy_house(tmp_path / "house")
    folder = "chaos/workloads/steps"
    plain.add_file(f"{folder}/__init__.py", KIND)
    plain.add_file(f"{folder}/load.py", LOAD)
    plain.add_file(f"{folder}/check_width.py", CHECK)
    registry = "chaos/workloads/registry.py"
    first = "from chaos.workloads.bulk import BULK"
    plain.add_line(registry, first, "from chaos.workloads.steps import STEPS")
    plain.add_line(registry, "        BULK,", "        STEPS,")
    copy = with_interpreter(plain, tmp_path / "python")
    (tmp_path / "steps.toml").write_text(SCENARIO)

    def bascule(*arguments: str) -> subprocess.CompletedProcess[str]:
        return copy.python("-m", "chaos", *arguments, timeout_s=180)

    assert "steps 20," in " ".join(bascule("drill", "--help").stdout.split())
    run = tmp_path / "run"
    done = bascule("drill", str(tmp_path / "steps.toml"), "--seed", "7", "--out", str(run))
    assert done.returncode == 0, done.stdout + done.stderr
    asked = json.loads((run / "run.json").read_text())
    assert asked["scenario"]["workload"]["kind"] == "steps"
    assert asked["scenario"]["workload"]["width"] == 7
    assert asked["settings"]["rate_per_s"] == 20
    verdict = json.loads((run / "verdict.json").read_text())
    assert (verdict["verdict"], verdict["workload"]) == ("valid", "steps")
    assert verdict["acknowledged"] > 50
    assert verdict["shared_units"] > 0
    answers = {checker["name"]: checker["verdict"] for checker in verdict["checkers"]}
    assert answers["width"] == "valid"
    assert not {"total-kept", "balances", "chunks"} & answers.keys()
    assert "What is judged are steps, and nothing else." in (run / "report.html").read_text()
    # Its checker bites: another width was asked for than what the nodes hold.
    asked["scenario"]["workload"]["width"] = 8
    (run / "run.json").write_text(json.dumps(asked))
    checked = bascule("check", str(run))
    assert checked.returncode == 1, checked.stdout + checked.stderr
    assert "steps were not as wide as was asked" in checked.stdout
