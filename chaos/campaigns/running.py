"""Runs the cases of a campaign in this process, one at a time, in the lab of the one before where
that is honest (``keeping``)."""

from __future__ import annotations

import signal
from pathlib import Path

from chaos.campaigns.canary import canary, is_canary
from chaos.campaigns.cases import Case, draw
from chaos.campaigns.catalogue import make_catalogue
from chaos.campaigns.drilling import CaseDrilled, drill_case
from chaos.campaigns.journal import CampaignJournal
from chaos.campaigns.keeping import LabKeeper
from chaos.campaigns.limits import load_limits
from cluster.topology.load import load_topology

LIMITS = "limits.toml"
TOPOLOGIES = "topologies"
LABS = "labs"
RUNS = "runs"
SCHEDULES = "schedules"


class CaseRunner:
    """The cases of a campaign, and the one lab that they share.

    Args:
        journal: of the campaign.
        labs: gets a folder for each lab.
        pg_bindir: PostgreSQL's programs; None: the newest found.

    Raises:
        CampaignError, TopologyError: what is drawn from cannot be read.
    """

    def __init__(
        self, journal: CampaignJournal, labs: Path, *, pg_bindir: Path | None = None
    ) -> None:
        self._began = journal.began
        self._folder = journal.folder
        self._pg_bindir = pg_bindir
        self._limits = load_limits(self._folder / LIMITS)
        topologies = [
            load_topology(self._folder / TOPOLOGIES / f"{name}.toml")
            for name in self._began.topologies
        ]
        self._catalogue = make_catalogue(topologies, self._limits, has_disks=self._began.has_disks)
        self._keeper = LabKeeper(labs)
        self.stopped_by: signal.Signals | None = None

    def case(self, n: int) -> Case:
        """What run ``n`` is: a canary, or drawn."""
        if is_canary(n):
            return canary(self._began.seed, n, has_disks=self._began.has_disks)
        return draw(self._began.seed, n, self._catalogue, self._limits)

    def attempt(self, n: int) -> CaseDrilled | None:
        """Run ``n`` once; None where it was stopped. A canary has a lab of its own.

        Raises:
            PrerequisiteError: this machine lacks something.
            OSError, OutputError: the folder cannot be written.
        """
        folder = self._folder / RUNS / f"{n:04}"
        schedule = self._folder / SCHEDULES / f"{n:04}.toml"
        keeper = None if is_canary(n) else self._keeper
        return self.drill(self.case(n), schedule, folder, keeper)

    def drill(
        self, case: Case, schedule: Path, folder: Path, keeper: LabKeeper | None = None
    ) -> CaseDrilled | None:
        """Run a case into a folder, in the lab that is kept if a keeper is given; None where it was
        stopped."""
        if self.stopped_by is not None:
            return None
        put_aside(folder)
        drilled = drill_case(
            case,
            schedule=schedule,
            folder=folder,
            rate_per_s=self._began.rate_per_s,
            pg_bindir=self._pg_bindir,
            keeper=keeper,
        )
        self.stopped_by = self.stopped_by or drilled.end.stopped_by
        return None if self.stopped_by is not None else drilled

    def stop(self, number: int) -> None:
        """Have the drill under way stop and heal; the second time, end its lab at once."""
        self._keeper.stop(at_once=self.stopped_by is not None)
        self.stopped_by = signal.Signals(number)

    def end(self) -> None:
        """End the lab that is kept, if any."""
        self._keeper.end()


def put_aside(folder: Path) -> None:
    """Move away what a run has left in its folder that broke off, or that the machine spoilt."""
    if not folder.exists():
        return
    number = 1
    while (aside := folder.with_name(f"{folder.name}-aside-{number}")).exists():
        number += 1
    folder.rename(aside)
