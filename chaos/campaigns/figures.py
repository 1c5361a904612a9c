"""What the runs of a campaign come to in figures. Pure.

Times are counted by fault for runs with a single one: of several nobody knows which made the
outage. Canaries are left out of everything but their own count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median, quantiles

from chaos.campaigns.journal import CampaignJournal, RunDone, StruckTarget, was_found_out

SEVERAL = "several faults"
WORST_MAX = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A distribution of seconds in five figures."""

    count: int
    least_s: float
    median_s: float
    p90_s: float
    most_s: float

    @classmethod
    def of(cls, values_s: Sequence[float]) -> Spread:
        """Of at least one value."""
        p90_s = quantiles(values_s, n=10, method="inclusive")[-1] if len(values_s) > 1 else None
        return cls(
            count=len(values_s),
            least_s=min(values_s),
            median_s=median(values_s),
            p90_s=values_s[0] if p90_s is None else p90_s,
            most_s=max(values_s),
        )


def cause_of(run: RunDone) -> str:
    """The fault of a run with a single one, and whom it struck in general: ``site-cut on site``."""
    if len(run.faults) != 1:
        return SEVERAL
    return kind_of(run.faults[0])


def kind_of(one: StruckTarget) -> str:
    """A fault and the kind of its target: names of hosts and sites are left out."""
    return f"{one.fault} on {one.target.partition(':')[0]}"


def rtos_s(runs: Iterable[RunDone]) -> Mapping[str, list[float]]:
    """By cause, the RTO of each run that has one; the causes in order."""
    found: dict[str, list[float]] = {}
    for run in runs:
        if run.rto_s is not None:
            found.setdefault(cause_of(run), []).append(run.rto_s)
    return dict(sorted(found.items(), key=lambda item: (item[0] == SEVERAL, item[0])))


def outages_s(runs: Iterable[RunDone]) -> Mapping[str, Mapping[str, list[float]]]:
    """By topology and site, the outage of each run that has one."""
    found: dict[str, dict[str, list[float]]] = {}
    for run in runs:
        for site, outage_s in run.outages_s.items():
            if outage_s is not None:
                found.setdefault(run.topology, {}).setdefault(site, []).append(outage_s)
    return found


def worst(runs: Iterable[RunDone]) -> list[RunDone]:
    """The runs with the longest RTO, the longest first."""
    having = [run for run in runs if run.rto_s is not None]
    return sorted(having, key=lambda run: -(run.rto_s or 0.0))[:WORST_MAX]


def coverage(runs: Iterable[RunDone]) -> Mapping[str, Counter[str]]:
    """By fault and kind of target, in how many runs of each topology it was struck."""
    found: dict[str, Counter[str]] = {}
    for run in runs:
        for struck in {kind_of(one) for one in run.faults}:
            found.setdefault(struck, Counter())[run.topology] += 1
    return dict(sorted(found.items()))


def parts_s(runs: Iterable[RunDone]) -> Mapping[str, list[float]]:
    """By phase of a drill, what each run took for it; in their order."""
    found: dict[str, list[float]] = {}
    for run in runs:
        for phase, part_s in run.parts_s.items():
            found.setdefault(phase, []).append(part_s)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignTotals:
    """A campaign in a few figures."""

    runs: int
    valid: int
    unknown: int
    invalid: int
    canaries: int
    found_out: int
    faults: int
    acknowledged: int
    lost: int
    split_brain: int
    stuck: int
    took_s: float
    cost_s: float | None
    """Median of what a run takes beside its faults and its load; None: no run came to its end."""
    had_lab: int
    """Runs that had the lab of the run before."""
    had_lab_cost_s: float | None
    """Likewise of these."""


def totals(journal: CampaignJournal) -> CampaignTotals:
    """Adds everything up; losses of canaries are not counted."""
    runs = journal.drawn
    verdicts = Counter(run.verdict for run in runs)
    costs_s = [(run.had_lab, run.cost_s) for run in runs if run.cost_s is not None]
    return CampaignTotals(
        runs=len(runs),
        valid=verdicts["valid"],
        unknown=verdicts["unknown"],
        invalid=verdicts["invalid"],
        canaries=len(journal.canaries),
        found_out=sum(was_found_out(run) for run in journal.canaries),
        faults=sum(len(run.faults) for run in runs),
        acknowledged=sum(run.acknowledged for run in runs),
        lost=sum(run.lost or 0 for run in runs),
        split_brain=sum(run.split_brain is True for run in runs),
        stuck=sum(run.is_invalid and "stuck-cluster" in run.findings for run in runs),
        took_s=round(journal.took_s, 1),
        cost_s=_median_or_none([cost_s for _, cost_s in costs_s]),
        had_lab=sum(run.had_lab for run in runs),
        had_lab_cost_s=_median_or_none([cost_s for had_lab, cost_s in costs_s if had_lab]),
    )


def _median_or_none(values: Sequence[float]) -> float | None:
    return median(values) if values else None
