"""The loop of a campaign, with drills that have ended already instead of real ones."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from support.evidence.campaigns import BEGAN, drilled

from chaos.campaigns import campaign as module
from chaos.campaigns import running
from chaos.campaigns.campaign import Budget, Campaign
from chaos.campaigns.cases import Case
from chaos.campaigns.drilling import CaseDrilled
from chaos.campaigns.journal import append, read_journal
from chaos.campaigns.keeping import LabKeeper
from chaos.campaigns.limits import Limits, to_toml
from chaos.checkers.load import LOAD_TOO_LOW
from chaos.checkers.lost import LOST_WRITE
from chaos.errors import CampaignError
from chaos.findings import FindingKind, Verdict
from cluster.topology.load import find_topology
from cluster.topology.load import to_toml as topology_toml

Finding = tuple[FindingKind, Verdict]
LOST: Finding = (LOST_WRITE, Verdict.INVALID)
SPOILT: Finding = (LOAD_TOO_LOW, Verdict.UNKNOWN)


@dataclass
class Drills:
    """What each run ends with, attempt by attempt; and what was asked."""

    ends: dict[int, list[list[Finding]]] = field(default_factory=dict)
    stopped: set[int] = field(default_factory=set)
    acknowledged: int | None = None
    asked: list[tuple[int, bool]] = field(default_factory=list)
    """The number of each run, and whether it might have the lab of the one before."""

    def drill(
        self,
        case: Case,
        *,
        schedule: Path,
        folder: Path,
        keeper: LabKeeper | None = None,
        **options: object,
    ) -> CaseDrilled:
        attempt = sum(n == case.n for n, _ in self.asked)
        self.asked.append((case.n, keeper is not None))
        folder.mkdir(parents=True)
        found = drilled(folder, *self.ends.get(case.n, [[]])[attempt])
        verdict = found.end.judged.verdict
        if self.acknowledged is not None:
            verdict = replace(verdict, acknowledged=self.acknowledged)
        end = replace(
            found.end,
            folder=folder.resolve(),
            judged=replace(found.end.judged, verdict=verdict),
            stopped_by=signal.SIGINT if case.n in self.stopped else None,
        )
        return replace(found, end=end, schedule=schedule)


Run = Callable[[Drills, Budget], module.CampaignEnd]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a campaign, or goes on with it."""
    (tmp_path / running.TOPOLOGIES).mkdir()
    path = tmp_path / running.TOPOLOGIES / "three-sites.toml"
    path.write_text(topology_toml(find_topology("three-sites")))
    (tmp_path / running.LIMITS).write_text(to_toml(Limits()))
    append(tmp_path, BEGAN)

    def go_on(drills: Drills, budget: Budget) -> module.CampaignEnd:
        monkeypatch.setattr(running, "drill_case", drills.drill)
        return Campaign(read_journal(tmp_path), budget, lambda text: None, shrinks=False).run()

    return go_on


def test_a_campaign_begins_with_a_canary_and_ends_with_its_budget(run: Run) -> None:
    drills = Drills(ends={1: [[LOST]]})
    end = run(drills, Budget(runs=4))
    assert [(line.n, line.is_canary) for line in end.journal.runs] == [
        *((1, True), (2, False), (3, False), (4, False))
    ]
    assert end.journal.verdict is Verdict.VALID
    assert drills.asked == [(1, False), (2, True), (3, True), (4, True)], "a canary has its own lab"
    assert run(drills, Budget(runs=4)).journal == end.journal, "nothing is left to do"


def test_a_canary_that_is_not_found_out_makes_it_unknown(run: Run) -> None:
    assert run(Drills(), Budget(runs=3)).journal.verdict is Verdict.UNKNOWN


def test_a_run_that_the_machine_spoilt_is_made_once_more_and_no_oftener(
    run: Run, tmp_path: Path
) -> None:
    drills = Drills(ends={1: [[LOST]], 2: [[SPOILT], []], 3: [[SPOILT], [SPOILT]]})
    end = run(drills, Budget(runs=3))
    assert [n for n, _ in drills.asked] == [1, 2, 2, 3, 3]
    assert [(line.verdict, line.attempts) for line in end.journal.drawn] == [
        *(("valid", 2), ("unknown", 2))
    ]
    names = sorted(path.name for path in (tmp_path / running.RUNS).iterdir())
    assert names == ["0001", "0002", "0002-aside-1", "0003", "0003-aside-1"]


def test_a_run_that_was_stopped_has_no_line_and_is_made_again(run: Run, tmp_path: Path) -> None:
    end = run(Drills(ends={1: [[LOST]]}, stopped={2}), Budget(runs=3))
    assert end.stopped_by is signal.SIGINT
    assert [line.n for line in end.journal.runs] == [1]
    end = run(Drills(), Budget(runs=3))
    assert end.stopped_by is None
    assert [line.n for line in end.journal.runs] == [1, 2, 3]
    assert (tmp_path / running.RUNS / "0002-aside-1").is_dir()


def test_it_does_not_go_on_in_vain(run: Run) -> None:
    drills = Drills(acknowledged=0)
    with pytest.raises(CampaignError, match="the last 3 runs broke off before one write"):
        run(drills, Budget(runs=100))
    assert len(drills.asked) == 3
