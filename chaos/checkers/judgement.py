"""What the checkers say of a run, checker by checker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from chaos.evidence.run import Run
from chaos.verdict import Finding, Verdict, merge


class Check(Protocol):
    """A pure function from evidence to findings. It reads nothing but ``run``."""

    def __call__(self, run: Run) -> list[Finding]:
        """All that it finds; an empty list when it has nothing to object."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Checker:
    """A check with the name and the question under which reports show it."""

    name: str
    """Lower-case words with dashes; part of the public format."""
    question: str
    """What it makes sure of, as a sentence that is true when it finds nothing."""
    check: Check


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """What one checker said."""

    name: str
    question: str
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst of its findings."""
        return merge(self.findings)


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
        """The worst of all findings."""
        return merge(finding for result in self.results for finding in result.findings)
