"""What a checker has to see before its silence means anything.

A checker finds nothing in evidence that is missing. So each names what it needs
(``Checker.needs``); where some of that is missing, its answer is UNKNOWN, or worse if it found
something worse. Pure functions from a run to what is missing, in words.
"""

from __future__ import annotations

from collections.abc import Iterator

from chaos.checkers.authority import authority
from chaos.checkers.base import Gap
from chaos.evidence.access import ACCESS
from chaos.evidence.events import (
    EVENTS,
    ClusterNotWhole,
    ClusterSettled,
    FaultStruck,
    LeaderSeen,
    Phase,
    PhaseBegan,
    RoleSeen,
    SettingsFound,
)
from chaos.evidence.run import Run
from chaos.timing.load import phase_window
from chaos.timing.measure import surviving_timeline

AFTER_RECOVERY = frozenset({Phase.FINAL_READ, Phase.DONE})
"""Phases that begin when recovery has ended, well or not. The quiesce phase is none of them: by
hand the load can be ended before."""


def histories(run: Run) -> Iterator[Gap]:
    """Every operation of every site: no history is missing, cut short, damaged or empty."""
    by_site = {history.site: history for history in run.histories}
    for site in run.info.client_sites:
        if site.name not in by_site:
            yield Gap(what=f"no history of {site.name}", part=f"history-{site.name}.jsonl")
    if not run.info.client_sites and not run.histories:
        yield Gap(what="no history at all", part="run folder")
    for history in run.histories:
        part = f"history-{history.site}.jsonl"
        if not history.complete:
            yield Gap(what=f"the history of {history.site} was cut short", part=part)
        if not history.operations:
            yield Gap(what=f"the load process of {history.site} did nothing", part=part)
    yield from _damage(run, "history-")


def reads(run: Run) -> Iterator[Gap]:
    """What every site read beside its writes, where the load was asked to read: no file is missing,
    cut short, damaged or empty."""
    if not run.has_reads:
        return
    known = {found.site: found for found in run.reads}
    for site in run.info.client_sites:
        part = f"reads-{site.name}.jsonl"
        if site.name not in known:
            yield Gap(what=f"no reads of {site.name}", part=part)
        elif not known[site.name].complete:
            yield Gap(what=f"the reads of {site.name} were cut short", part=part)
        elif not known[site.name].reads or not known[site.name].marks:
            yield Gap(what=f"the load process of {site.name} read nothing", part=part)
    yield from _damage(run, "reads-")


def final_reads(run: Run) -> Iterator[Gap]:
    """The ledger of every node at the end."""
    known = {read.node: read for read in run.final_reads}
    for node in run.info.nodes:
        if node not in known:
            yield Gap(what=f"no final read of {node}", part=f"final-{node}.jsonl")
        elif known[node].error is not None:
            yield Gap(what=f"{node} could not be read", part=f"final-{node}.jsonl")
    yield from _damage(run, "final-")
    if not run.info.nodes and not run.final_reads:
        yield Gap(what="no final read at all", part="run folder")


def one_primary(run: Run) -> Iterator[Gap]:
    """The ledger of the one node that is the primary at the end: it has the last word."""
    if authority(run) is None:
        yield Gap(what="no final read of one primary", part="final-*.jsonl")
    yield from _damage(run, "final-")


def whole_events(run: Run) -> Iterator[Gap]:
    """No event is lost: the file is whole and goes to the end of the drill."""
    if phase_window(run, Phase.DONE) is None:
        yield Gap(what="the drill did not come to its end (no phase done)", part=EVENTS)
    yield from _damage(run, EVENTS)


def steady_state(run: Run) -> Iterator[Gap]:
    """The steady phase, with which everything later is compared."""
    if phase_window(run, Phase.STEADY) is None:
        yield Gap(what="no steady phase", part=EVENTS)


def load_to_its_end(run: Run) -> Iterator[Gap]:
    """The load went on until the drill ended it."""
    if phase_window(run, Phase.QUIESCE) is None:
        yield Gap(what="the load was not brought to its end (no phase quiesce)", part=EVENTS)


def recovery_over(run: Run) -> Iterator[Gap]:
    """The drill came past its recovery, well or not."""
    phases = {event.phase for event in run.events_of(PhaseBegan)}
    settled, not_whole = run.events_of(ClusterSettled), run.events_of(ClusterNotWhole)
    if not settled and not not_whole and not phases & AFTER_RECOVERY:
        yield Gap(what="the drill ended before the cluster had recovered", part=EVENTS)


def faults_struck(run: Run) -> Iterator[Gap]:
    """Everything that the scenario breaks was broken."""
    struck = {event.fault for event in run.events_of(FaultStruck)}
    for fault in dict.fromkeys(step.fault for step in run.info.scenario.faults):
        if fault not in struck:
            yield Gap(what=f"the fault {fault} of the scenario never struck", part=EVENTS)


def who_led(run: Run) -> Iterator[Gap]:
    """The leader key, or who was seen as primary, from the observers."""
    if not run.events_of(LeaderSeen) and not run.events_of(RoleSeen):
        yield Gap(what="nobody noted who had the lead", part=EVENTS)


def settings_found(run: Run) -> Iterator[Gap]:
    """The settings that were in force."""
    if not run.events_of(SettingsFound):
        yield Gap(what="the settings in force are not on record", part=EVENTS)


def which_timeline_survived(run: Run) -> Iterator[Gap]:
    """The timeline of the cluster at the end."""
    if surviving_timeline(run) is None:
        yield Gap(what="the surviving timeline is not on record", part="final-*.jsonl")


def access_file(run: Run) -> Iterator[Gap]:
    """Everything that was asked of access, to its end."""
    if not run.access.complete:
        yield Gap(what="the record of who was let in was cut short", part=ACCESS)
    yield from _damage(run, ACCESS)


def undamaged(run: Run) -> Iterator[Gap]:
    """Nothing in the run folder is unreadable."""
    yield from _damage(run, "")


def _damage(run: Run, file: str) -> Iterator[Gap]:
    """What of the files whose name begins with ``file`` could not be read."""
    for damage in run.damage:
        if damage.startswith(file):
            yield Gap(what=damage, part="run folder")
