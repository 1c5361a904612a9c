"""A campaign: runs one after another, each written down before the next begins.

What was killed is gone on with: the folder says what the campaign was asked to be, and the journal
which runs are done. A run that broke off has no line; its folder is put aside, and it is run again.
"""

from __future__ import annotations

import random
import shutil
import signal
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from chaos.campaigns import limits as limits_file
from chaos.campaigns.canary import is_canary
from chaos.campaigns.cases import GENERATOR, SEED_BITS
from chaos.campaigns.catalogue import make_catalogue
from chaos.campaigns.confirm import Confirming
from chaos.campaigns.drilling import CaseDrilled, hindered_by_the_machine, line_of
from chaos.campaigns.journal import (
    FORMAT_VERSION,
    CampaignBegan,
    CampaignJournal,
    RunDone,
    append,
    locked,
    read_journal,
)
from chaos.campaigns.limits import Limits
from chaos.campaigns.running import LABS, LIMITS, TOPOLOGIES, CaseRunner
from chaos.campaigns.side_by_side import LabProcess, SideBySide, next_run
from chaos.errors import CampaignError, OutputError
from chaos.evidence.manifest import REPORT
from cluster.errors import ClusterError
from cluster.stop_signals import handled
from cluster.substrates.kind import Say
from cluster.substrates.registry import DEFAULT as LAB
from cluster.substrates.registry import SUBSTRATES
from cluster.topology.load import to_toml as topology_toml
from cluster.topology.model import Topology

IN_VAIN_MAX = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How long a campaign goes on; at least one of the two."""

    runs: int | None = None
    minutes: float | None = None
    """Of all that it has done, also before it was gone on with. The last run may end later."""

    def is_spent(self, journal: CampaignJournal) -> bool:
        """Whether there is nothing left of it."""
        if self.runs is not None and len(journal.runs) >= self.runs:
            return True
        return self.minutes is not None and journal.took_s >= self.minutes * 60

    def left(self, journal: CampaignJournal, under_way: int, labs: int) -> int:
        """How many more runs may begin now on ``labs`` that run side by side."""
        if self.minutes is not None and journal.took_s / labs >= self.minutes * 60:
            return 0
        return labs if self.runs is None else self.runs - len(journal.runs) - under_way


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignEnd:
    """How a campaign ended."""

    journal: CampaignJournal
    stopped_by: signal.Signals | None


def begin_campaign(  # noqa: PLR0913 (what a campaign is asked to be)
    folder: Path,
    *,
    topologies: Sequence[Topology],
    limits: Limits,
    budget: Budget,
    seed: int | None,
    rate_per_s: float | None,
) -> CampaignJournal:
    """Make the folder of a campaign, with all that it is drawn from.

    Args:
        folder: new or empty.
        topologies: to draw from, with different names.
        limits: of what is drawn.
        budget: how long it is to go on.
        seed: of the campaign; None: one by chance.
        rate_per_s: of the load; None: the default of each workload.

    Raises:
        CampaignError: two topologies have one name, or the limits leave nothing to draw.
        OutputError: the folder is in use, or cannot be made.
        PrerequisiteError: this machine lacks something.
    """
    names = [topology.name for topology in topologies]
    if doubled := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise CampaignError(f"--topology {doubled[0]}: asked for twice; give each once")
    place = SUBSTRATES[LAB].prepare(None, lambda text: None)
    began = CampaignBegan(
        format_version=FORMAT_VERSION,
        generator=GENERATOR,
        seed=random.SystemRandom().getrandbits(SEED_BITS) if seed is None else seed,
        topologies=tuple(names),
        rate_per_s=rate_per_s,
        has_disks=_has_disks(topologies[0]),
        runs=budget.runs,
        minutes=budget.minutes,
        started_at=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z",
        versions=place.versions,
    )
    for ground in make_catalogue(topologies, limits, has_disks=began.has_disks).grounds:
        if not ground.offers:
            name = ground.topology.name
            raise CampaignError(f"the limits leave no fault for the topology {name}; allow more")
    _make_folder(folder)
    (folder / LIMITS).write_text(limits_file.to_toml(limits), encoding="utf-8")
    (folder / TOPOLOGIES).mkdir()
    for topology in topologies:
        path = folder / TOPOLOGIES / f"{topology.name}.toml"
        path.write_text(topology_toml(topology), encoding="utf-8")
    append(folder, began)  # last: a folder without it has no campaign
    return read_journal(folder)


def resume_campaign(folder: Path) -> CampaignJournal:
    """What a campaign has done so far, to be gone on with.

    Raises:
        CampaignError: there is none, or this version draws something else.
    """
    journal = read_journal(folder)
    if journal.began.generator != GENERATOR:
        raise CampaignError(
            f"{folder}: its runs were drawn by generator {journal.began.generator}, and this "
            f"version has {GENERATOR}: go on with the version that began it, or begin anew; each "
            "schedule there is replayed by any version (bascule drill FILE)"
        )
    return journal


class Campaign:
    """Carries a campaign on until its budget is spent, or it is stopped.

    Args:
        journal: what it has done so far.
        budget: how long it goes on.
        say: is told of each step.
        pg_bindir: PostgreSQL's programs; None: the newest found.
        shrinks: whether failing runs are replayed and made smaller.
        labs: how many run side by side.
    """

    def __init__(  # noqa: PLR0913 (what a campaign may do)
        self,
        journal: CampaignJournal,
        budget: Budget,
        say: Say,
        *,
        pg_bindir: Path | None = None,
        shrinks: bool = True,
        labs: int = 1,
    ) -> None:
        self._journal = journal
        self._folder = journal.folder
        self._budget = budget
        self._say = say
        self._pg_bindir = pg_bindir
        self._labs = labs
        self._runner = CaseRunner(journal, self._folder / LABS, pg_bindir=pg_bindir)
        self._workers: SideBySide | None = None
        drill = self._runner.drill
        self._confirming = Confirming(self._folder, drill, say) if shrinks else None

    def run(self) -> CampaignEnd:
        """Run what is left.

        Raises:
            CampaignError: another process is at it, or run after run breaks off.
            PrerequisiteError: this machine lacks something.
            OSError, OutputError: the folder cannot be written.
        """
        with locked(self._folder), self._stoppable():
            shutil.rmtree(self._folder / LABS, ignore_errors=True)  # of a process that was killed
            try:
                self._workers = self._started()
                while self._runner.stopped_by is None and not self._is_done():
                    self._refuse_to_go_on_in_vain()
            finally:
                self._runner.end()
                if self._workers is not None:
                    self._workers.end()
        return CampaignEnd(journal=self._journal, stopped_by=self._runner.stopped_by)

    def _started(self) -> SideBySide | None:
        """The processes of the labs; None: the one lab is this process's."""
        if self._labs == 1:
            return None
        folder, labs = self._folder, self._labs
        return SideBySide(
            [LabProcess(folder, f"worker-{n + 1}", self._pg_bindir, labs) for n in range(labs)],
            self._say,
        )

    def _is_done(self) -> bool:
        """Take one step; whether none was left."""
        failed = None if self._confirming is None else self._confirming.next_of(self._journal)
        workers = self._workers
        if workers is not None and (not workers.is_idle or failed is None):
            if not self._step_side_by_side(workers, begins=failed is None):
                return True
        elif failed is not None and self._confirming is not None:
            self._confirming.take(failed, self._runner.case(failed.n), self._journal)
        elif not self._budget.is_spent(self._journal):
            self._run(next_run(self._done, (), None))
        else:
            return True
        self._journal = read_journal(self._folder)
        return False

    @property
    def _done(self) -> set[int]:
        return {run.n for run in self._journal.runs}

    def _step_side_by_side(self, workers: SideBySide, *, begins: bool) -> bool:
        """Begin runs where that is wanted, and wait for one to end; False: none is left.

        Raises:
            CampaignError: a run could not be made.
        """
        left = self._budget.left(self._journal, workers.under_way, self._labs) if begins else 0
        workers.give(self._done, left)
        if workers.is_idle:
            return False
        for reply in workers.take():
            if reply.line is not None:
                append(self._folder, reply.line)
                self._say(progress(reply.line))
        return True

    def _refuse_to_go_on_in_vain(self) -> None:
        """Stop where run after run breaks off before its load: it is not the cluster's doing.

        Raises:
            CampaignError: so many have, one after another.
        """
        last = self._journal.runs[-IN_VAIN_MAX:]
        if len(last) == IN_VAIN_MAX and not any(run.acknowledged for run in last):
            raise CampaignError(
                f"{self._folder}: the last {IN_VAIN_MAX} runs broke off before one write was "
                f"acknowledged; look at {self._folder / last[-1].folder / REPORT}, and go on with "
                "--resume when that is mended"
            )

    def _run(self, n: int) -> None:
        attempts: list[CaseDrilled] = []
        while not attempts or (len(attempts) < 2 and hindered_by_the_machine(attempts[-1])):
            if attempts:
                self._say(f"run {n}: UNKNOWN, since the machine was too busy; once more")
            drilled = self._runner.attempt(n)
            if drilled is None:
                return
            attempts.append(drilled)
        case = self._runner.case(n)
        line = line_of(case, attempts, self._folder, is_canary=is_canary(n))
        append(self._folder, line)
        self._say(progress(line))

    def _stoppable(self) -> AbstractContextManager[None]:
        """A signal stops the drill under way, which heals, and then the campaign; the second one
        ends the drill's lab at once."""

        def stop(number: int, _: FrameType | None) -> None:
            self._runner.stop(number)
            if self._workers is not None:
                self._workers.stop()

        return handled(stop)


def progress(line: RunDone) -> str:
    """A run in one line."""
    what = ", ".join(str(one) for one in line.faults)
    rto = "" if line.rto_s is None else f", rto {line.rto_s:.1f} s"
    kind = " (canary)" if line.is_canary else ""
    found = f" ({', '.join(line.findings)})" if line.findings else ""
    place = f"{line.topology}, ttl {line.ttl_s}{', witness' if line.witness else ''}"
    word = line.verdict.upper()
    ended = f"run {line.n}{kind}: {word}{found}{rto}, {line.took_s:.0f} s"
    return f"{ended}; {place}, {line.workload}: {what}"


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        is_used = any(folder.iterdir())
    except OSError as error:
        raise OutputError(f"--out {folder}: {error.strerror or error}") from error
    if is_used:
        words = "the folder is not empty; --resume goes on with a campaign"
        raise OutputError(f"--out {folder}: {words}")
    try:
        SUBSTRATES[LAB].check_folder(folder)
    except ClusterError as error:
        raise OutputError(f"--out: {error}") from error


def _has_disks(topology: Topology) -> bool:
    """Whether this machine can have disks that break."""
    try:
        SUBSTRATES[LAB].check_topology(topology.with_layered_disks())
    except ClusterError:
        return False
    return True
