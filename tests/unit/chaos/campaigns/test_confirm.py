"""Which failing run is looked into next, and what its replays and its shrinking leave behind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.evidence.campaigns import BEGAN, a_run, drilled

from chaos.campaigns.canary import canary
from chaos.campaigns.cases import Case
from chaos.campaigns.confirm import Confirming
from chaos.campaigns.drilling import CaseDrilled
from chaos.campaigns.journal import (
    CampaignJournal,
    Confirmed,
    Shrunk,
    StruckTarget,
    append,
    read_journal,
)
from chaos.checkers.lost import LOST_WRITE
from chaos.findings import Verdict
from chaos.scenarios.load import load_scenario

FAILED = a_run(3, verdict="invalid")
ALIKE = a_run(4, verdict="invalid")
OTHER = replace(a_run(5, verdict="invalid"), findings=("split-brain",))
CONFIRMED = Confirmed(n=3, findings=FAILED.findings, folders=(), failed=2, of=5)
SHRUNK = Shrunk(
    n=3,
    schedule="s",
    folder="f",
    faults=(StruckTarget(fault="pause", target="cluster"),),
    failed=1,
    of=1,
    runs=4,
)
CONFIRMING = Confirming(Path("c"), lambda case, schedule, folder: None, lambda text: None)


def next_of(*confirmed: Confirmed, shrunk: tuple[Shrunk, ...] = ()) -> int | None:
    runs = (a_run(1, verdict="invalid", is_canary=True), a_run(2), FAILED, ALIKE, OTHER)
    journal = CampaignJournal(
        folder=Path("c"),
        began=BEGAN,
        runs=runs,
        confirmed={one.n: one for one in confirmed},
        shrunk={one.n: one for one in shrunk},
    )
    found = CONFIRMING.next_of(journal)
    return None if found is None else found.n


def test_the_first_failure_is_replayed_then_shrunk_and_one_alike_is_left() -> None:
    assert next_of() == 3
    assert next_of(CONFIRMED) == 3, "it is to be shrunk"
    assert next_of(CONFIRMED, shrunk=(SHRUNK,)) == 5, "run 4 failed in the same way"
    other = replace(CONFIRMED, n=5, findings=OTHER.findings, failed=0)
    assert next_of(CONFIRMED, other, shrunk=(SHRUNK,)) is None, "no replay of run 5 failed"


def test_a_failure_that_no_replay_has_is_not_shrunk() -> None:
    assert next_of(replace(CONFIRMED, failed=0)) == 5


@pytest.mark.parametrize("calls_each", [1, 3, 100])
def test_a_failure_is_replayed_and_shrunk_across_stops_and_nothing_is_tried_twice(
    tmp_path: Path, calls_each: int
) -> None:
    """It fails as long as a host loses its power; the campaign is stopped after every few runs."""
    case = replace(canary(1, 41, has_disks=True), n=3)  # three faults, one of them a power cut
    assert [step.fault for step in case.scenario.faults].count("host-power-cut") == 1
    append(tmp_path, BEGAN)
    append(tmp_path, FAILED)
    folders: list[Path] = []
    left = 0

    def drill(one: Case, schedule: Path, folder: Path) -> CaseDrilled | None:
        nonlocal left
        if not left:
            return None
        left -= 1
        folders.append(folder)
        fails = any(step.fault == "host-power-cut" for step in one.scenario.faults)
        found = [(LOST_WRITE, Verdict.INVALID)] if fails else []
        return drilled(tmp_path, *found)

    confirming = Confirming(tmp_path, drill, lambda text: None)
    while (run := confirming.next_of(journal := read_journal(tmp_path))) is not None:
        left = calls_each
        confirming.take(run, case, journal)
    journal = read_journal(tmp_path)
    confirmed, shrunk = journal.confirmed[3], journal.shrunk[3]
    assert (confirmed.failed, confirmed.of) == (5, 5)
    assert [str(one) for one in shrunk.faults] == ["host-power-cut on primary"]
    assert len(folders) == len(set(folders)) == len(journal.tried) == 5 + shrunk.runs
    smallest = load_scenario(str(tmp_path / shrunk.schedule))
    assert [step.fault for step in smallest.faults] == ["host-power-cut"]
    assert tmp_path / shrunk.folder in folders
    assert (shrunk.failed, shrunk.of) == (1, 1)
