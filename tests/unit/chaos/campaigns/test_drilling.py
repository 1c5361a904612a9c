"""What the journal says of a drill, and when a run is made once more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.evidence.campaigns import drilled
from support.evidence.tiny import is_phase

from chaos.campaigns.canary import CANARIES, EVERY, canary, is_canary
from chaos.campaigns.cases import Case
from chaos.campaigns.drilling import hindered_by_the_machine, line_of, replay_of
from chaos.campaigns.keeping import KEPT
from chaos.checkers.load import LOAD_TOO_LOW
from chaos.checkers.lost import LOST_WRITE
from chaos.evidence.events import Phase
from chaos.findings import INCOMPLETE_EVIDENCE, FindingKind, Verdict
from cluster.topology.load import find_topology


def case() -> Case:
    return replace(canary(1, 21, has_disks=True), n=7)


@pytest.mark.parametrize(
    ("findings", "again"),
    [
        ([], False),
        ([(LOAD_TOO_LOW, Verdict.UNKNOWN)], True),
        ([(LOAD_TOO_LOW, Verdict.UNKNOWN), (LOST_WRITE, Verdict.UNKNOWN)], False),
        ([(LOAD_TOO_LOW, Verdict.UNKNOWN), (LOST_WRITE, Verdict.INVALID)], False),
    ],
)
def test_a_run_is_made_again_where_the_machine_alone_was_at_fault(
    tmp_path: Path, findings: list[tuple[FindingKind, Verdict]], again: bool
) -> None:
    assert hindered_by_the_machine(drilled(tmp_path, *findings)) is again


def test_the_line_is_that_of_the_last_attempt_with_what_all_took(tmp_path: Path) -> None:
    first = drilled(tmp_path, (LOAD_TOO_LOW, Verdict.UNKNOWN))
    line = line_of(case(), [first, drilled(tmp_path)], tmp_path, is_canary=False)
    assert (line.n, line.verdict, line.findings, line.attempts) == (7, "valid", (), 2)
    assert (line.folder, line.schedule) == ("runs/0007", "schedules/0007.toml")
    assert (line.took_s, line.cost_s) == (122.0, 11.0), "of 61 s, 50 were load"
    assert line.durability == "async"
    phases = {"steady": 5.0, "fault": 35.0, "recovery": 10.0, "quiesce": 1.0, "final-read": 1.0}
    assert line.parts_s == {"boot": 5.0, **phases, "judged": 4.0}
    assert line.cost_s == sum(line.parts_s.values()) - 50.0
    assert not line.had_lab


@pytest.mark.parametrize(
    ("kept", "had_lab"), [("run 1 in lab-2", False), ("run 10 in lab-2", True)]
)
def test_a_run_that_is_not_the_first_of_its_lab_had_the_lab_of_another(
    tmp_path: Path, kept: str, had_lab: bool
) -> None:
    one = drilled(tmp_path)
    info = one.end.judged.run.info
    info = replace(info, substrate={**info.substrate, KEPT: kept})
    judged = replace(one.end.judged, run=replace(one.end.judged.run, info=info))
    one = replace(one, end=replace(one.end, judged=judged), lab_ended="the run is UNKNOWN")
    line = line_of(case(), [one], tmp_path, is_canary=False)
    assert (line.had_lab, line.lab_ended) == (had_lab, "the run is UNKNOWN")


@pytest.mark.parametrize(("began", "again"), [(False, True), (True, False)])
def test_a_run_that_broke_off_is_made_again_where_no_load_had_begun(
    tmp_path: Path, began: bool, again: bool
) -> None:
    one = drilled(tmp_path, (INCOMPLETE_EVIDENCE, Verdict.UNKNOWN))
    run = one.end.judged.run
    if not began:
        run = replace(run, events=tuple(e for e in run.events if not is_phase(e, Phase.STEADY)))
    judged = replace(one.end.judged, run=run)
    assert hindered_by_the_machine(
        replace(one, end=replace(one.end, judged=judged, ran=False))
    ) is (again)


def test_findings_that_are_less_bad_than_the_verdict_are_left_out(tmp_path: Path) -> None:
    worst, other = (LOST_WRITE, Verdict.INVALID), (LOAD_TOO_LOW, Verdict.UNKNOWN)
    line = line_of(case(), [drilled(tmp_path, worst, other)], tmp_path, is_canary=False)
    assert line.findings == (LOST_WRITE.word,)


def test_the_replay_names_the_schedule_the_topology_the_rate_and_the_seed(tmp_path: Path) -> None:
    words = replay_of(case(), tmp_path / "s.toml", tmp_path / "run", 20.0).split()
    assert words[:3] == ["bascule", "drill", str(tmp_path / "s.toml")]
    assert words[3:5] == ["--topology", str(tmp_path / "run" / "topology.toml")]
    client = ["--workers", "2", "--deadline", "90"]
    assert words[5:] == ["--rate", "20", "--seed", str(case().seed), *client]


def test_one_run_in_twenty_is_a_canary_and_they_take_turns() -> None:
    numbers = [n for n in range(1, 101) if is_canary(n)]
    assert numbers == [1, 21, 41, 61, 81]
    names = [canary(7, n, has_disks=True).scenario.name for n in numbers]
    assert names == [CANARIES[index % len(CANARIES)] for index in range(len(numbers))]
    assert EVERY == 20
    without = {canary(7, n, has_disks=False).scenario.name for n in numbers}
    assert without == {"async-loss", "wrong-failover-by-hand"}


STOCK = find_topology("three-sites").with_settings(witness=False)


def test_a_canary_has_the_durability_that_its_scenario_asks_for() -> None:
    found = canary(7, 21, has_disks=True)
    assert found.scenario.name == "async-loss"
    assert found.topology.cluster.durability == "async"
    assert canary(7, 41, has_disks=True).topology == STOCK
