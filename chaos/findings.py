"""Verdicts and findings: VALID < UNKNOWN < INVALID, merged by maximum (Jepsen, merge-valid)."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from chaos.evidence.records import Scalar

Evidence = dict[str, Scalar]
"""One fact that a finding rests on: name to value."""


class Verdict(enum.IntEnum):
    """The answer of a checker, and of a whole drill."""

    VALID = 0
    """Everything that had to be seen was seen, and all that must hold did."""
    UNKNOWN = 1
    """The evidence cannot decide: a part is missing, or something else was measured than asked."""
    INVALID = 2
    """Something that must hold did not, and the evidence proves it."""

    @property
    def word(self) -> str:
        """The lower-case word that stands in ``verdict.json``."""
        return self.name.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingKind:
    """What a finding is about, and every word for it."""

    word: str
    """Lower-case words with dashes; part of the public format."""
    meaning: str
    """Which verdict it has, and when (``docs/reference/verdicts.md``)."""
    heading: str
    """The heading of such a finding in the report."""
    undecided: str
    """What is not known where it is UNKNOWN: a part of the sentence that says the verdict."""
    proved: str = ""
    """What happened where it is INVALID, as a part of that sentence; empty: it never is."""

    def __str__(self) -> str:
        return self.word


INCOMPLETE_EVIDENCE = FindingKind(
    word="incomplete-evidence",
    meaning="UNKNOWN: a part of the evidence is missing, or the drill was interrupted.",
    heading="Evidence is incomplete",
    undecided="the evidence is incomplete",
)

CHECKER_CRASHED = FindingKind(
    word="checker-crashed",
    meaning="UNKNOWN: a checker raised an error; any of them can.",
    heading="Checker crashed",
    undecided="a checker crashed",
)

OF_ANY_CHECKER = (INCOMPLETE_EVIDENCE, CHECKER_CRASHED)
"""Kinds that several checkers make; every other one stands with the checker that makes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was found, with what proves it.

    ``verdict`` is what it makes of the drill: INVALID, or UNKNOWN where the evidence cannot decide.
    ``evidence`` holds one mapping a proof (operation ids, LSNs, timelines, log lines), complete:
    every lost entry is named, a report may shorten the list but says by how much.
    """

    kind: FindingKind
    verdict: Verdict
    summary: str
    evidence: tuple[Mapping[str, Scalar], ...] = field(default=())
    checker: str = ""
    """The name of the checker that made it; ``judge`` writes it in."""


def invalid(*, kind: FindingKind, summary: str, evidence: Iterable[Evidence]) -> list[Finding]:
    """An INVALID finding, if there is any evidence for it.

    Args:
        kind: what it is about.
        summary: ``{n}`` in it stands for the number of proofs.
        evidence: a proof each.
    """
    found = tuple(evidence)
    if not found:
        return []
    words = summary.format(n=f"{len(found):,}")
    return [Finding(kind=kind, verdict=Verdict.INVALID, summary=words, evidence=found)]


def merge(findings: Iterable[Finding]) -> Verdict:
    """The worst of them; VALID when there is none."""
    return max((finding.verdict for finding in findings), default=Verdict.VALID)
