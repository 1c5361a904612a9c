"""Phantom entries: rows that no operation wrote, or whose writer was told that it failed."""

from __future__ import annotations

from chaos.checkers import needs
from chaos.checkers.base import Checker
from chaos.evidence.records import Scalar
from chaos.evidence.run import Run
from chaos.findings import Finding, FindingKind, Verdict
from chaos.wording import counted

PHANTOM_WRITE = FindingKind(
    word="phantom-write",
    meaning="INVALID: an entry is there that was reported failed, or that nobody wrote. UNKNOWN: "
    "nobody is known to have written it, but a history was cut short.",
    heading="Entries that nobody wrote",
    proved="entries were found that nobody wrote",
    undecided="it is not known who wrote some entries",
)


def check(run: Run) -> list[Finding]:
    """Looks at the rows of every node that could be read.

    A row whose operation ended ``fail`` is always a phantom. A row that no history invoked is one
    too, unless a history is cut short or missing: then its invocation may be what is missing, and
    the finding is UNKNOWN.
    """
    outcomes = {
        operation.id: operation.outcome
        for history in run.histories
        for operation in history.operations
        if operation.leaves_entry
    }
    holders: dict[str, list[str]] = {}
    for read in run.final_reads:
        for id_ in dict.fromkeys(row.id for row in read.rows):
            if outcomes.get(id_) in {None, "fail"}:
                holders.setdefault(id_, []).append(read.node)
    denied = {id_: nodes for id_, nodes in holders.items() if id_ in outcomes}
    unheard = {id_: nodes for id_, nodes in holders.items() if id_ not in outcomes}
    findings = []
    if denied:
        findings.append(_finding(denied, Verdict.INVALID, "in the ledger though reported failed"))
    if unheard:
        verdict = Verdict.INVALID if _histories_are_whole(run) else Verdict.UNKNOWN
        findings.append(_finding(unheard, verdict, "in the ledger that nobody wrote"))
    return findings


def _histories_are_whole(run: Run) -> bool:
    """Whether every invocation there was is on record."""
    present = {history.site for history in run.histories}
    return (
        all(history.complete for history in run.histories)
        and all(site.name in present for site in run.info.client_sites)
        and not any("history-" in damage for damage in run.damage)
    )


def _finding(holders: dict[str, list[str]], verdict: Verdict, what: str) -> Finding:
    evidence: list[dict[str, Scalar]] = [
        {"id": id_, "nodes": ", ".join(nodes)} for id_, nodes in sorted(holders.items())
    ]
    return Finding(
        kind=PHANTOM_WRITE,
        verdict=verdict,
        summary=f"{counted(len(holders), 'entry', 'entries')} {what}.",
        evidence=tuple(evidence),
    )


CHECKER = Checker(
    name="phantom-entries",
    question="Every entry in the ledger was written, and none was reported failed.",
    check=check,
    finds=(PHANTOM_WRITE,),
    needs=(needs.histories, needs.final_reads),
)
