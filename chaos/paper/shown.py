"""What some runs have shown, without words. Pure."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from chaos.checkers.authority import lost_operations
from chaos.evidence.events import FaultStruck
from chaos.evidence.given_up import given_up_operations
from chaos.evidence.run import Run
from chaos.faults.registry import FAULTS
from chaos.findings import Finding, Verdict
from chaos.judge.verdict_file import VerdictFile
from chaos.paper.asked import Asked
from chaos.paper.subjects import OTHER, RESTORE, SUBJECTS, SubjectAnswer, answer


class ObjectiveAnswer(enum.StrEnum):
    """What was found, held against what was asked."""

    WITHIN = "within"
    EXCEEDED = "exceeded"
    UNDECIDED = "undecided"
    """The evidence cannot tell what was found."""
    NOT_ASKED = "not-asked"
    """Something was found, and nothing asked."""
    NOT_EXERCISED = "not-exercised"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownRun:
    """A run, with what was measured of its service and its data."""

    folder: str
    """The name of its folder, without the path."""
    run: Run
    verdict: VerdictFile
    is_struck: bool
    """Something struck that may interrupt the service: a backup does not."""
    outage_s: float | None
    """The longest interruption of any site, those that could not be served included. None: no
    fault struck, or it had not ended, or it cannot be told."""
    outage_site: str | None
    outage_ended: bool | None
    """False: a site was without service when the load ended. None: that cannot be told."""
    lost: int | None
    """Acknowledged entries that did not survive, those that a restore gave up included; None: that
    cannot be told."""
    lost_span_s: float | None
    """From the oldest of them to the last write that was acknowledged before the outage: how far
    back the data was set. 0: nothing was lost."""

    @property
    def manifest_sha256(self) -> str:
        """Of its manifest, which holds (``collect``)."""
        assert self.run.manifest is not None
        return self.run.manifest.sha256

    @property
    def objections(self) -> tuple[Finding, ...]:
        """Its findings that are deviations, or that the evidence cannot decide; the worst first."""
        return tuple(one for one in self.verdict.findings if one.verdict is not Verdict.VALID)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveFound:
    """One value that was asked for, and the worst of all runs."""

    key: str
    """A field of ``Asked``."""
    asked: float | None
    found: float | None
    answer: ObjectiveAnswer
    worst: ShownRun | None = None
    """The run that found it, or that kept it from being told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What all runs have shown together."""

    runs: tuple[ShownRun, ...]
    asked: Asked
    objectives: tuple[ObjectiveFound, ...]
    answers: Mapping[str, tuple[SubjectAnswer, ...]]
    """By subject, one a run. ``other`` is there only where a checker has no subject."""

    @property
    def exceeded(self) -> tuple[ObjectiveFound, ...]:
        """The objectives that were not met."""
        return tuple(one for one in self.objectives if one.answer is ObjectiveAnswer.EXCEEDED)

    @property
    def deviations(self) -> int:
        """How many lines the list of deviations has."""
        return len(self.exceeded) + sum(len(run.objections) for run in self.runs)


def shown_run(folder: str, run: Run, verdict: VerdictFile) -> ShownRun:
    """Measures one run."""
    is_struck = _is_struck(run)
    outage_s, site, ended = _outage(verdict) if is_struck else (None, None, None)
    return ShownRun(
        folder=folder,
        run=run,
        verdict=verdict,
        is_struck=is_struck,
        outage_s=outage_s,
        outage_site=site,
        outage_ended=ended,
        lost=None if verdict.lost is None else verdict.lost + len(given_up_operations(run)),
        lost_span_s=_lost_span_s(run, verdict),
    )


def shown(runs: Iterable[ShownRun], asked: Asked) -> Shown:
    """Puts the runs together, the oldest first."""
    ordered = tuple(sorted(runs, key=lambda one: one.run.info.started_at))
    keys = [subject.key for subject in SUBJECTS]
    answers = {
        key: tuple(answer(key, one.verdict.checkers) for one in ordered) for key in (*keys, OTHER)
    }
    if set(answers[OTHER]) <= {SubjectAnswer.NOT_EXERCISED}:
        del answers[OTHER]
    return Shown(
        runs=ordered,
        asked=asked,
        objectives=(
            _interruption(ordered, asked),
            _recovery_point(ordered, asked),
            _entries(ordered, asked),
            _restore_time(ordered, asked),
            _between_backups(asked),
        ),
        answers=answers,
    )


def together(answers: Iterable[SubjectAnswer]) -> SubjectAnswer:
    """The worst of all runs that exercised the subject."""
    worst = (SubjectAnswer.DEVIATION, SubjectAnswer.UNDECIDED, SubjectAnswer.HELD)
    said = set(answers)
    return next((one for one in worst if one in said), SubjectAnswer.NOT_EXERCISED)


def _is_struck(run: Run) -> bool:
    """By what is predicted of each fault with the parameters that the scenario gives it; by hand,
    where the scenario has none, with its defaults."""
    asked = {step.fault: step.params for step in run.info.scenario.faults}
    kinds = {event.fault: FAULTS.get(event.fault) for event in run.events_of(FaultStruck)}
    return any(
        kind is None or kind.effect(asked.get(fault, kind.params())) != "none"
        for fault, kind in kinds.items()
    )


def _outage(verdict: VerdictFile) -> tuple[float | None, str | None, bool | None]:
    """The longest, its site, and whether it ended."""
    found: list[tuple[float, str]] = []
    for site in verdict.sites:
        gap = site.longest_gap
        if site.served_again is False or (gap is not None and gap.open and site.outage_s is None):
            return None, site.site, False
        if site.outage_s is None:
            return None, site.site, None
        found.append((max(site.outage_s, gap.gap_s if gap else 0.0), site.site))
    return (*max(found), True) if found else (None, None, None)


def _lost_span_s(run: Run, verdict: VerdictFile) -> float | None:
    if verdict.lost is None:
        return None
    gone = [*(lost_operations(run) or ()), *given_up_operations(run)]
    moments: list[float] = [one.ended_s for one in gone if one.ended_s is not None]
    if not moments:
        return 0.0 if not verdict.lost else None
    before = [site.last_acknowledged_before_s for site in verdict.sites]
    return max([*moments, *(one for one in before if one is not None)]) - min(moments)


def _interruption(runs: tuple[ShownRun, ...], asked: Asked) -> ObjectiveFound:
    struck = [one for one in runs if one.is_struck]
    endless = [one for one in struck if one.outage_ended is False]
    untold = [one for one in struck if one.outage_ended is None]
    told = [(one.outage_s, one) for one in struck if one.outage_s is not None]
    worst_s, worst = max(told, key=lambda pair: pair[0], default=(None, None))
    exceeds = worst_s is not None and asked.dmia_s is not None and worst_s > asked.dmia_s
    if not struck:
        said = ObjectiveAnswer.NOT_EXERCISED
    elif endless and asked.dmia_s is not None:
        said, worst_s, worst = ObjectiveAnswer.EXCEEDED, None, endless[0]
    elif exceeds:
        said = ObjectiveAnswer.EXCEEDED
    elif endless or untold:
        said, worst_s, worst = ObjectiveAnswer.UNDECIDED, None, [*endless, *untold][0]
    else:
        said = ObjectiveAnswer.NOT_ASKED if asked.dmia_s is None else ObjectiveAnswer.WITHIN
    return ObjectiveFound(key="dmia_s", asked=asked.dmia_s, found=worst_s, answer=said, worst=worst)


def _recovery_point(runs: tuple[ShownRun, ...], asked: Asked) -> ObjectiveFound:
    # One entry may be lost in a span of no time: with nothing to be lost, any loss is too much.
    return _loss("prd_s", asked.prd_s, [(one.lost_span_s, one) for one in runs])


def _entries(runs: tuple[ShownRun, ...], asked: Asked) -> ObjectiveFound:
    return _loss("prd_entries", asked.prd_entries, [(one.lost, one) for one in runs])


def _loss(
    key: str, asked: float | None, found: Sequence[tuple[float | None, ShownRun]]
) -> ObjectiveFound:
    """The worst loss of all runs, each with its own; None: it cannot be told."""
    told = [(value, one) for value, one in found if value is not None]
    untold = [one for value, one in found if value is None]
    worst_value, worst = max(told, key=lambda pair: (pair[0], pair[1].lost), default=(None, None))
    too_much = [
        (value, one)
        for value, one in told
        if asked is not None and (value > asked or (asked == 0 and one.lost))
    ]
    if too_much:
        worst_value, worst = max(too_much, key=lambda pair: pair[0])
        said = ObjectiveAnswer.EXCEEDED
    elif untold:
        said, worst_value, worst = ObjectiveAnswer.UNDECIDED, None, untold[0]
    else:
        said = ObjectiveAnswer.NOT_ASKED if asked is None else ObjectiveAnswer.WITHIN
    return ObjectiveFound(key=key, asked=asked, found=worst_value, answer=said, worst=worst)


def _restore_time(runs: tuple[ShownRun, ...], asked: Asked) -> ObjectiveFound:
    """From the begin of a restore until what was restored could be used: a server beside the
    cluster, or the primary of the cluster itself."""
    tests = [(restore.took_s, one) for one in runs for restore in one.run.restores]
    tests += [(rebuild.took_s, one) for one in runs for rebuild in one.run.rebuilds]
    told = [(took_s, one) for took_s, one in tests if took_s is not None]
    untold = [one for took_s, one in tests if took_s is None] + [
        one
        for one in runs
        if not one.run.restores
        and not one.run.rebuilds
        and answer(RESTORE, one.verdict.checkers) is not SubjectAnswer.NOT_EXERCISED
    ]
    worst_s, worst = max(told, key=lambda pair: pair[0], default=(None, None))
    if worst_s is not None and asked.dmard_s is not None and worst_s > asked.dmard_s:
        said = ObjectiveAnswer.EXCEEDED
    elif untold:
        said, worst_s, worst = ObjectiveAnswer.UNDECIDED, None, untold[0]
    elif not told:
        said = ObjectiveAnswer.NOT_EXERCISED
    else:
        said = ObjectiveAnswer.NOT_ASKED if asked.dmard_s is None else ObjectiveAnswer.WITHIN
    return ObjectiveFound(
        key="dmard_s", asked=asked.dmard_s, found=worst_s, answer=said, worst=worst
    )


def _between_backups(asked: Asked) -> ObjectiveFound:
    """A run takes one backup: the time between two is none of its own."""
    return ObjectiveFound(
        key="pdma_s", asked=asked.pdma_s, found=None, answer=ObjectiveAnswer.NOT_EXERCISED
    )
