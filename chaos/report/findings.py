"""Findings and checks as a reader sees them: headings, and evidence as tables of texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chaos.checkers.divergence import UNREADABLE_NODE
from chaos.evidence.records import Scalar
from chaos.findings import INCOMPLETE_EVIDENCE, Finding, Verdict
from chaos.judge.verdict_file import CheckerSummary, VerdictFile
from chaos.report.words import VERDICT_SYMBOL
from chaos.wording import counted

EVIDENCE_SHOWN_MAX = 25
"""Rows of evidence a finding: what fits on half a page. The rest is in ``verdict.json``."""

FINDINGS_SHOWN_MAX = 40

_MOMENTS = frozenset(
    {
        "t_s",
        "acknowledged_s",
        "first_acknowledged_s",
        "last_acknowledged_s",
        "begin_s",
        "from_s",
        "to_s",
        "invoked_s",
        "ended_s",
        "served_from_s",
        "served_to_s",
    }
)
"""Fields of evidence that are moments of CLOCK_MONOTONIC (``chaos/checkers``). They are shown as
seconds since the start of the run, like everything else in the report."""

_HEADINGS = {"t_s": "at", "lsn": "LSN", "id": "entry"}
"""Names of fields that people know by another word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingView:
    """A finding, ready to be set."""

    heading: str
    word: str
    symbol: str
    summary: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left_out: str
    """How much more there is in ``verdict.json``; empty when this is all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckView:
    """A checker and what it said."""

    name: str
    question: str
    word: str
    symbol: str
    answer: str


def finding_views(verdict: VerdictFile, started_t_s: float) -> tuple[FindingView, ...]:
    """The findings, the worst first, up to ``FINDINGS_SHOWN_MAX``."""
    shown = verdict.findings[:FINDINGS_SHOWN_MAX]
    return tuple(_finding_view(finding, started_t_s) for finding in shown)


def findings_left_out(verdict: VerdictFile) -> int:
    """How many findings are only in ``verdict.json``."""
    return max(len(verdict.findings) - FINDINGS_SHOWN_MAX, 0)


def check_views(verdict: VerdictFile) -> tuple[CheckView, ...]:
    """Every checker that looked at the run, in the order of the registry."""
    return tuple(_check_view(checker) for checker in verdict.checkers)


def is_whole(verdict: VerdictFile) -> bool:
    """The evidence has no gap: every checker saw what it needs."""
    gaps = {INCOMPLETE_EVIDENCE, UNREADABLE_NODE}
    return not any(checker.unseen for checker in verdict.checkers) and not any(
        finding.kind in gaps for finding in verdict.findings
    )


def _finding_view(finding: Finding, started_t_s: float) -> FindingView:
    names = tuple(dict.fromkeys(name for proof in finding.evidence for name in proof))
    shown = finding.evidence[:EVIDENCE_SHOWN_MAX]
    # A column in which no row has anything to say only costs width.
    used = tuple(name for name in names if any(_has(proof, name) for proof in shown))
    total = len(finding.evidence)
    left_out = ""
    if total > len(shown):
        left_out = (
            f"Shown are the first {len(shown)} of {total:,}; "
            f"the other {total - len(shown):,} are in verdict.json."
        )
    return FindingView(
        heading=_heading_of(finding),
        word=finding.verdict.word,
        symbol="i" if finding.verdict is Verdict.VALID else VERDICT_SYMBOL[finding.verdict],
        summary=finding.summary,
        columns=tuple(_heading(name) for name in used),
        rows=tuple(tuple(_cell(p, name, started_t_s) for name in used) for p in shown),
        left_out=left_out,
    )


def _heading_of(finding: Finding) -> str:
    """What was found; or, where the evidence cannot decide, what is not known."""
    if finding.verdict is not Verdict.UNKNOWN:
        return finding.kind.heading
    words = finding.kind.undecided
    return words[0].upper() + words[1:]


def _check_view(checker: CheckerSummary) -> CheckView:
    if not checker.findings:
        answer = "could not be looked at" if checker.unseen else "holds"
        if checker.proof and not checker.unseen:
            answer += f". {' '.join(checker.proof)}"
    else:
        words = {
            Verdict.VALID: "holds, with",
            Verdict.UNKNOWN: "cannot be decided:",
            Verdict.INVALID: "does not hold:",
        }
        number = counted(checker.findings, "finding", "findings")
        answer = f"{words[checker.verdict]} {number}"
        if checker.unseen:
            answer += "; could not be looked at in full"
    if checker.unseen:
        more = len(checker.unseen) - 1
        answer += f": {checker.unseen[0]}" + (f", and {more} more" if more else "")
    return CheckView(
        name=checker.name,
        question=checker.question,
        word=checker.verdict.word,
        symbol=VERDICT_SYMBOL[checker.verdict],
        answer=answer,
    )


def _has(proof: Mapping[str, Scalar], name: str) -> bool:
    return proof.get(name) is not None


def _heading(name: str) -> str:
    unit = " (s)" if name.endswith("_s") else ""
    known = _HEADINGS.get(name) or name.removesuffix("_s").replace("_", " ")
    return known + unit


def _cell(proof: Mapping[str, Scalar], name: str, started_t_s: float) -> str:
    value = proof.get(name)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float) and name in _MOMENTS:
        return f"{value - started_t_s:.3f}"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def summary_line(findings: Sequence[Finding]) -> str:
    """``2 findings``, or that there is none."""
    return counted(len(findings), "finding", "findings") if findings else "no finding"
