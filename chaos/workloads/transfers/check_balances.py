"""Transfers: whether every balance is what the entries say, and the entries what was asked.

Each node is held against itself: its accounts and its entries were read in one snapshot, and a
transfer writes both in one transaction. The checkers of lost, phantom and duplicate entries make
sure that an acknowledged transfer has its entry, and only one.
"""

from __future__ import annotations

from chaos.checkers import needs
from chaos.checkers.base import Checker
from chaos.evidence.records import Scalar
from chaos.evidence.run import Run
from chaos.findings import Finding, FindingKind, Verdict
from chaos.wording import counted
from chaos.workloads.transfers.accounts import (
    Moved,
    moved_of_entry,
    moved_of_operation,
    options_of,
    wrong_balances,
)

WRONG_BALANCE = FindingKind(
    word="wrong-balance",
    meaning="INVALID: a balance is not what the transfers say, or a transfer moved something else "
    "than was asked.",
    heading="Balance that its transfers do not explain",
    proved="balances were not what their transfers say",
    undecided="it is not known whether the balances are right",
)


def check(run: Run) -> list[Finding]:
    """One finding for each node with wrong balances, one for entries other than asked."""
    options = options_of(run)
    findings = []
    for read in run.final_reads:
        wrong = wrong_balances(options, read)
        if wrong:
            findings.append(
                Finding(
                    kind=WRONG_BALANCE,
                    verdict=Verdict.INVALID,
                    summary=f"On {read.node} {counted(len(wrong), 'account has', 'accounts have')} "
                    "another balance than its transfers say.",
                    evidence=tuple(wrong),
                )
            )
    altered = _altered(run)
    if altered:
        findings.append(
            Finding(
                kind=WRONG_BALANCE,
                verdict=Verdict.INVALID,
                summary=f"{counted(len(altered), 'transfer moved', 'transfers moved')} something "
                "else than was asked.",
                evidence=tuple(altered),
            )
        )
    return findings


def _altered(run: Run) -> list[dict[str, Scalar]]:
    """Entries that say something else than the invocation of their operation."""
    asked = {
        operation.id: moved
        for history in run.histories
        for operation in history.operations
        if (moved := moved_of_operation(operation)) is not None
    }
    return [
        {
            "id": row.id,
            "node": read.node,
            "asked": _words(asked[row.id]),
            "found": _words(moved_of_entry(row)),
        }
        for read in run.final_reads
        for row in read.rows
        if row.id in asked and moved_of_entry(row) != asked[row.id]
    ]


def _words(moved: Moved) -> str:
    return f"{moved.amount} from {moved.source} to {moved.target}"


CHECKER = Checker(
    name="balances",
    question="Every balance is what the transfers say, and they say what was asked.",
    check=check,
    finds=(WRONG_BALANCE,),
    needs=(needs.histories, needs.final_reads),
    workloads=("transfers",),
)
