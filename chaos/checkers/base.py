"""What a checker is: the question that it answers, how it finds the answer, what evidence it needs.

A checker is one file here (or beside the workload that it judges) and one line in ``registry.py``.
It is a pure function from a run's evidence to findings; checkers do not call each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from chaos.evidence.run import Run
from chaos.findings import Finding, FindingKind, Verdict, merge
from chaos.timing.model import Timing


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Something that the evidence lacks."""

    what: str
    """In words, without a full stop."""
    part: str
    """The part of the run folder in which it should be."""


def _always(run: Run) -> bool:
    return True


class Need(Protocol):
    """A pure function from evidence to what of it is missing (``chaos/checkers/needs.py``)."""

    def __call__(self, run: Run) -> Iterable[Gap]:
        """Every gap; empty if there is none."""
        ...


class Check(Protocol):
    """A pure function from evidence to findings. It reads nothing but ``run``."""

    def __call__(self, run: Run) -> list[Finding]:
        """All that it finds; an empty list when it has nothing to object."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckerAnswer:
    """What a checker found, and what it proved on the way."""

    findings: tuple[Finding, ...]
    proof: tuple[str, ...] = ()
    """A sentence each; of no account where something was found."""


class Answering(Protocol):
    """A check that proves too: one judgement of the history gives both. It reads only ``run``."""

    def __call__(self, run: Run) -> CheckerAnswer:
        """All that it finds, and what is proved where that is nothing."""
        ...


class TimingCheck(Protocol):
    """A check of what was measured of the evidence too, which is done once for all checkers."""

    def __call__(self, run: Run, timing: Timing) -> list[Finding]:
        """All that it finds; an empty list when it has nothing to object."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Checker:
    """A check with the name and the question under which reports show it."""

    name: str
    """Lower-case words with dashes; part of the public format."""
    question: str
    """What it makes sure of, as a sentence that is true when it finds nothing."""
    check: Check | None = None
    check_timing: TimingCheck | None = None
    """In place of ``check``, for a checker of service and times."""
    answer: Answering | None = None
    """In place of ``check`` and ``proves``, for a checker whose judge finds both at once."""
    finds: tuple[FindingKind, ...] = ()
    """What it can find."""
    needs: tuple[Need, ...] = ()
    """What it has to see before its silence means anything."""
    workloads: tuple[str, ...] = ()
    """The workloads that it understands; empty: all of them."""
    proves: Callable[[Run], tuple[str, ...]] | None = None
    """What is proved where it finds nothing, a sentence each; for a checker that has a proof."""
    is_asked: Callable[[Run], bool] = _always
    """Whether there is anything in a run for it to judge."""

    def look(self, run: Run, measured: Callable[[], Timing]) -> CheckerAnswer:
        """All that its checks find; where nothing is wrong, what is proved."""
        found, proof = list(self.check(run) if self.check else ()), tuple[str, ...]()
        if self.check_timing:
            found += self.check_timing(run, measured())
        if self.answer:
            answer = self.answer(run)
            found, proof = [*found, *answer.findings], answer.proof
        is_valid = merge(found) is Verdict.VALID
        if self.proves and is_valid:
            proof = self.proves(run)
        said = tuple(sentence for sentence in proof if sentence and is_valid)
        return CheckerAnswer(findings=tuple(found), proof=said)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """What one checker said."""

    name: str
    question: str
    findings: tuple[Finding, ...]
    unseen: tuple[Gap, ...] = field(default=())
    """What it would have needed and the evidence lacks: so far it could not look."""
    proof: tuple[str, ...] = ()
    """What was proved, a sentence each."""

    @property
    def verdict(self) -> Verdict:
        """The worst of its findings; at least UNKNOWN where it could not look."""
        return max(merge(self.findings), Verdict.UNKNOWN if self.unseen else Verdict.VALID)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What all checkers said, in the order of the registry."""

    results: tuple[CheckResult, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Every finding: the worst first, else in the order of the checkers."""
        found = [finding for result in self.results for finding in result.findings]
        return tuple(sorted(found, key=lambda finding: -finding.verdict))

    @property
    def verdict(self) -> Verdict:
        """The worst of all answers."""
        return max((result.verdict for result in self.results), default=Verdict.VALID)

    def result(self, name: str) -> CheckResult | None:
        """The answer of one checker; None when it was not asked."""
        return next((result for result in self.results if result.name == name), None)
