"""Two campaigns compared: did the outages get longer? A rank test, not a glance. Pure.

The test is that of Mann and Whitney ("On a test of whether one of two random variables is
stochastically larger than the other", Annals of Mathematical Statistics 18, 1947), as
``scipy.stats.mannwhitneyu`` has it: exact for small samples without ties, else by the normal
distribution with corrections for ties and continuity. Since every cause is tested, the p-values are
corrected by Holm's method ("A simple sequentially rejective multiple test procedure", Scandinavian
CampaignJournal of Statistics 6, 1979).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median

from scipy.stats import mannwhitneyu

from chaos.campaigns.figures import rtos_s
from chaos.campaigns.journal import CampaignJournal

SAMPLES_MIN = 4
"""With three on each side no order of them is rarer than one in twenty: 3! 3! / 6! = 0.05."""
ALPHA = 0.05
ALL = "all runs"


@dataclass(frozen=True, slots=True, kw_only=True)
class RankTest:
    """The outages of one cause in two campaigns."""

    cause: str
    before: int
    """How many runs of the earlier campaign have an RTO."""
    after: int
    before_s: float
    """Their median."""
    after_s: float
    longer_share: float
    """Of all pairs of runs, one of each campaign, the share in which the later one has the longer
    outage; ties count half. 0.5: no difference."""
    p: float
    """How likely so great a difference is by chance, corrected for the number of tests."""

    @property
    def is_different(self) -> bool:
        """The difference is no chance."""
        return self.p < ALPHA

    @property
    def is_worse(self) -> bool:
        """The outages got longer."""
        return self.is_different and self.longer_share > 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What changed from one campaign to another."""

    tests: tuple[RankTest, ...]
    """Of all runs, then by cause."""
    untested: tuple[str, ...]
    """Causes of which one of the two has fewer than ``SAMPLES_MIN`` runs."""
    differences: tuple[str, ...]
    """What was drawn from differently, in words: outages then differ by that alone."""
    new_findings: tuple[str, ...]
    """Kinds of findings of INVALID runs that the earlier campaign had not."""

    @property
    def is_worse(self) -> bool:
        """Outages got longer, or something new is found."""
        return bool(self.new_findings) or any(test.is_worse for test in self.tests)

    def to_json(self) -> Mapping[str, object]:
        """For scripts."""
        tests = [{**asdict(test), "is_worse": test.is_worse} for test in self.tests]
        return {**asdict(self), "tests": tests, "is_worse": self.is_worse}


def compare(before: CampaignJournal, after: CampaignJournal) -> Comparison:
    """The outages of two campaigns, and what they found."""
    earlier, later = rtos_s(before.drawn), rtos_s(after.drawn)
    samples = [(ALL, _together(earlier), _together(later))]
    causes = dict.fromkeys([*earlier, *later])
    samples += [(cause, earlier.get(cause, []), later.get(cause, [])) for cause in causes]
    enough = [one for one in samples if min(len(one[1]), len(one[2])) >= SAMPLES_MIN]
    tested = [rank_test(*one) for one in enough]
    return Comparison(
        tests=corrected(tested),
        untested=tuple(cause for cause, *_ in samples if cause not in {t.cause for t in tested}),
        differences=tuple(_differences(before, after)),
        new_findings=tuple(sorted(_findings(after) - _findings(before))),
    )


def rank_test(cause: str, before_s: Sequence[float], after_s: Sequence[float]) -> RankTest:
    """One test, its p-value not corrected yet."""
    found = mannwhitneyu(after_s, before_s, alternative="two-sided")
    return RankTest(
        cause=cause,
        before=len(before_s),
        after=len(after_s),
        before_s=median(before_s),
        after_s=median(after_s),
        longer_share=float(found.statistic) / (len(before_s) * len(after_s)),
        p=float(found.pvalue),
    )


def corrected(tests: Sequence[RankTest]) -> tuple[RankTest, ...]:
    """With Holm's correction, in the same order."""
    order = sorted(range(len(tests)), key=lambda index: tests[index].p)
    found, most = list(tests), 0.0
    for rank, index in enumerate(order):
        most = max(most, min(1.0, (len(tests) - rank) * tests[index].p))
        found[index] = replace(tests[index], p=most)
    return tuple(found)


def _together(by_cause: Mapping[str, list[float]]) -> list[float]:
    return [value for values in by_cause.values() for value in values]


def _findings(journal: CampaignJournal) -> set[str]:
    return {found for run in journal.drawn if run.is_invalid for found in run.findings}


def _differences(before: CampaignJournal, after: CampaignJournal) -> list[str]:
    one, other = before.began, after.began
    found = []
    for words, this, that in (
        ("topologies", one.topologies, other.topologies),
        ("the generator", one.generator, other.generator),
        ("the rate", one.rate_per_s, other.rate_per_s),
        ("the ability to break disks", one.has_disks, other.has_disks),
        ("labs side by side", _labs(before), _labs(after)),
    ):
        if this != that:
            found.append(f"{words}: {_shown(this)}, then {_shown(that)}")
    names = dict.fromkeys([*one.versions, *other.versions])
    found += [
        f"{name}: {one.versions.get(name, 'none')}, then {other.versions.get(name, 'none')}"
        for name in names
        if one.versions.get(name) != other.versions.get(name)
    ]
    return found


def _labs(journal: CampaignJournal) -> tuple[int, ...]:
    return tuple(sorted({run.labs for run in journal.drawn}))


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
