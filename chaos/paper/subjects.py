"""What a run can be asked about, as an auditor would: each subject with the checkers that speak to
it. A run whose judgement has none of them did not exercise the subject."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from chaos.checkers.registry import OF_WORKLOADS
from chaos.findings import Verdict
from chaos.judge.verdict_file import CheckerSummary


class SubjectAnswer(enum.StrEnum):
    """What the runs say to a subject."""

    HELD = "held"
    """Everything that was looked at held."""
    DEVIATION = "deviation"
    """Something that must hold did not, and the evidence proves it."""
    UNDECIDED = "undecided"
    """The evidence cannot decide."""
    NOT_EXERCISED = "not-exercised"
    """Nobody looked."""


_ANSWERS = {
    Verdict.VALID: SubjectAnswer.HELD,
    Verdict.UNKNOWN: SubjectAnswer.UNDECIDED,
    Verdict.INVALID: SubjectAnswer.DEVIATION,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A subject, under the key by which words and clauses know it."""

    key: str
    checkers: tuple[str, ...]


RESTORE = "restore"

SUBJECTS: tuple[Subject, ...] = (
    Subject(
        key="data",
        checkers=(
            *("lost-entries", "phantom-entries", "duplicates", "shared-units"),
            *("in-doubt", "dead-timeline"),
            *(checker.name for checker in OF_WORKLOADS),
        ),
    ),
    Subject(key="one-primary", checkers=("split-brain",)),
    Subject(key="copies", checkers=("divergence",)),
    Subject(key="reads", checkers=("stale-reads",)),
    Subject(key="service", checkers=("service", "read-service", "prediction")),
    Subject(key="failover", checkers=("failover", "recovery")),
    Subject(key="seals", checkers=("seals",)),
    Subject(key="doors", checkers=("doors", "powers")),
    Subject(key="withdrawal", checkers=("withdrawal",)),
    Subject(key="trail", checkers=("trail", "trail-values", "retention")),
    Subject(key=RESTORE, checkers=("restore", "restored")),
    Subject(
        key="instrument",
        checkers=("processes", "settings", "load", "instrument", "completeness"),
    ),
)
"""In the order of the paper. Those after ``failover`` are asked only by some scenarios."""

OTHER = "other"
"""The subject of the checkers that none of these names."""


def subject_of(checker: str) -> str:
    """The key of the subject that a checker speaks to."""
    return next((one.key for one in SUBJECTS if checker in one.checkers), OTHER)


def answer(subject: str, checkers: Iterable[CheckerSummary]) -> SubjectAnswer:
    """What one run says to a subject: the worst that its checkers say."""
    said = [one.verdict for one in checkers if subject_of(one.name) == subject]
    return _ANSWERS[max(said)] if said else SubjectAnswer.NOT_EXERCISED
