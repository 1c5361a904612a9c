"""Whether the evidence is whole: what is missing may be what would have been found."""

from __future__ import annotations

from chaos.checkers import needs
from chaos.checkers.base import Checker, Gap, Need
from chaos.evidence.events import Interrupted
from chaos.evidence.run import Run
from chaos.findings import INCOMPLETE_EVIDENCE, Finding, Verdict
from chaos.wording import counted

EVERYTHING: tuple[Need, ...] = (
    needs.undamaged,
    needs.whole_events,
    needs.steady_state,
    needs.faults_struck,
    needs.settings_found,
    needs.histories,
    needs.reads,
    needs.final_reads,
)
"""What every drill leaves that came to its end. What single checkers need beyond that is missing
only where one of these is, or where they have a finding of their own."""


def check(run: Run) -> list[Finding]:
    """One UNKNOWN finding that lists every gap of the record, and one for an interruption."""
    findings = []
    missing = _missing(run)
    if missing:
        findings.append(
            Finding(
                kind=INCOMPLETE_EVIDENCE,
                verdict=Verdict.UNKNOWN,
                summary=f"The evidence is not whole: {counted(len(missing), 'gap')}. First: "
                f"{missing[0].what}.",
                evidence=tuple({"what": gap.what, "part": gap.part} for gap in missing),
            )
        )
    for event in run.events_of(Interrupted):
        findings.append(
            Finding(
                kind=INCOMPLETE_EVIDENCE,
                verdict=Verdict.UNKNOWN,
                summary=f"The drill was interrupted: {event.reason}",
                evidence=({"t_s": event.t_s, **event.said()},),
            )
        )
    return findings


def _missing(run: Run) -> tuple[Gap, ...]:
    """Every gap once. A node that answered with an error has a finding of its own."""
    failed = {f"final-{read.node}.jsonl" for read in run.final_reads if read.error is not None}
    gaps = dict.fromkeys(gap for need in EVERYTHING for gap in need(run))
    return tuple(gap for gap in gaps if gap.part not in failed)


CHECKER = Checker(
    name="completeness",
    question="The evidence is whole.",
    check=check,
    finds=(INCOMPLETE_EVIDENCE,),
)
