"""Which failing run is looked into next, and what its replays and its shrinking leave behind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from support.evidence.campaigns import BEGAN, a_run

from chaos.campaigns.confirm import Confirming
from chaos.campaigns.journal import CampaignJournal, Confirmed, Shrunk, StruckTarget

FAILED = a_run(3, verdict="invalid")
ALIKE = a_run(4, verdict="invalid")
OTHER = replace(a_run(5, verdict="invalid"), findings=("split-brain",))
CONFIRMED = Confirmed(n=3, findings=FAILED.findings, folders=(), failed=2, of=5, took_s=1.0)
SHRUNK = Shrunk(
    n=3,
    schedule="s",
    folder="f",
    faults=(StruckTarget(fault="pause", target="cluster"),),
    failed=1,
    of=1,
    runs=4,
    took_s=1.0,
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
