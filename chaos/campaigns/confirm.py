"""Replays a failing run, and makes its schedule smaller.

What was found stands by its evidence, replayed or not. The replays say how often it comes: five of
them, and if none fails it is not shrunk. Each kind of failure is looked into once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from chaos.campaigns.cases import Case
from chaos.campaigns.ddmin import repeats_for
from chaos.campaigns.drilling import CaseDrilled, struck
from chaos.campaigns.journal import (
    CampaignJournal,
    Confirmed,
    RunDone,
    Shrunk,
    Tried,
    TryPurpose,
    append,
)
from chaos.campaigns.shrink import REPLAYS, shrink
from chaos.findings import Verdict
from chaos.scenarios.load import to_toml
from chaos.scenarios.model import Scenario
from chaos.wording import counted

FOLDERS: Mapping[TryPurpose, str] = {"replay": "replays", "shrink": "shrunk"}
SHRUNK_SCHEDULE = "shrunk.toml"

Drill = Callable[[Case, Path, Path], CaseDrilled | None]
"""Runs a case, given where to write its schedule and its run folder; None where it was stopped."""


class _CampaignStoppedError(Exception):
    """The campaign was stopped in between."""


class Confirming:
    """Looks into the failing runs of a campaign.

    Args:
        folder: of the campaign.
        drill: runs a case.
        say: is told of each step.
    """

    def __init__(self, folder: Path, drill: Drill, say: Callable[[str], object]) -> None:
        self._folder = folder
        self._drill = drill
        self._say = say

    def next_of(self, journal: CampaignJournal) -> RunDone | None:
        """The first failing run whose kind of failure was not looked into yet."""
        known = {one.findings for one in journal.confirmed.values()}
        for run in journal.drawn:
            if not run.is_invalid or run.n in journal.shrunk:
                continue
            confirmed = journal.confirmed.get(run.n)
            if confirmed is None and run.findings not in known:
                return run
            if confirmed is not None and confirmed.failed:
                return run
        return None

    def take(self, run: RunDone, case: Case, journal: CampaignJournal) -> None:
        """The next step with a failing run: its replays, or its shrinking. What was tried before
        the campaign was stopped or killed is not tried again.

        Raises:
            PrerequisiteError: this machine lacks something.
            OSError, OutputError: the folder cannot be written.
        """
        confirmed = journal.confirmed.get(run.n)
        with suppress(_CampaignStoppedError):
            if confirmed is None:
                append(self._folder, self._confirm(run, case, journal))
            else:
                append(self._folder, self._shrink(run, case, confirmed, journal))

    def _confirm(self, run: RunDone, case: Case, journal: CampaignJournal) -> Confirmed:
        replays: list[Tried] = []
        for number in range(1, REPLAYS + 1):
            replays.append(self._try(run, case, "replay", number, journal))
            failed = sum(one.failed for one in replays)
            self._say(f"run {run.n}: failed {failed} of {counted(number, 'replay')}")
        return Confirmed(
            n=run.n,
            findings=run.findings,
            folders=tuple(one.folder for one in replays),
            failed=sum(one.failed for one in replays),
            of=len(replays),
        )

    def _shrink(
        self, run: RunDone, case: Case, confirmed: Confirmed, journal: CampaignJournal
    ) -> Shrunk:
        evidence = {case.scenario.faults: run.folder}
        number = 0

        def fails(scenario: Scenario) -> bool:
            nonlocal number
            number += 1
            candidate = replace(case, scenario=scenario)
            tried = self._try(run, candidate, "shrink", number, journal)
            if tried.failed:
                evidence[scenario.faults] = tried.folder
            words = ", ".join(str(one) for one in struck(scenario.faults))
            word = "fails" if tried.failed else "does not fail"
            self._say(f"run {run.n}: shrinking, {number}: {word} with {words}")
            return tried.failed

        repeats = repeats_for(confirmed.failed, confirmed.of)
        smallest = shrink(case.scenario, fails, repeats=repeats)
        schedule = f"{FOLDERS['shrink']}/{run.n:04}/{SHRUNK_SCHEDULE}"
        (self._folder / schedule).parent.mkdir(parents=True, exist_ok=True)
        (self._folder / schedule).write_text(to_toml(smallest.scenario), encoding="utf-8")
        self._say(f"run {run.n}: shrunk in {counted(smallest.runs, 'run')} to {schedule}")
        is_own = smallest.of == 0  # nothing smaller failed: the replays count
        return Shrunk(
            n=run.n,
            schedule=schedule,
            folder=evidence[smallest.scenario.faults],
            faults=struck(smallest.scenario.faults),
            failed=confirmed.failed if is_own else smallest.failed,
            of=confirmed.of if is_own else smallest.of,
            runs=smallest.runs,
        )

    def _try(
        self,
        run: RunDone,
        case: Case,
        purpose: TryPurpose,
        number: int,
        journal: CampaignJournal,
    ) -> Tried:
        """Run a case once, unless the journal has the answer: shrinking asks in the same order for
        the same answers.

        Raises:
            _CampaignStoppedError: the campaign was stopped.
        """
        for one in journal.tried:
            if (one.n, one.purpose, one.number) == (run.n, purpose, number):
                return one
        folder = f"{FOLDERS[purpose]}/{run.n:04}/{number:02}"
        path = self._folder / folder
        drilled = self._drill(case, path.with_name(f"{path.name}.toml"), path)
        if drilled is None:
            raise _CampaignStoppedError
        found = drilled.end.judged.verdict.findings
        kinds = {one.kind.word for one in found if one.verdict is Verdict.INVALID}
        tried = Tried(
            n=run.n,
            purpose=purpose,
            number=number,
            folder=folder,
            failed=bool(kinds & set(run.findings)),
            took_s=round(drilled.took_s, 1),
        )
        append(self._folder, tried)
        return tried
