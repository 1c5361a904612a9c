"""Transfers: whether every balance is what the entries say, and the entries what was asked.

Each node is held against itself: its accounts and its entries were read in one snapshot, and a
transfer writes both in one transaction. That an acknowledged transfer has its entry, and only one,
is for the checkers of lost, phantom and duplicate entries.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

from chaos.checkers.authority import count
from chaos.evidence.records import FinalRead, LedgerRow, Operation, Scalar
from chaos.evidence.run import Run
from chaos.scenarios.model import WorkloadSpec
from chaos.verdict import Finding, FindingKind, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What one transfer moved, as its entry or its invocation says."""

    source: str
    target: str
    amount: int


def check(run: Run) -> list[Finding]:
    """One finding a node whose balances are wrong, one for entries that nobody asked for so."""
    spec = run.info.scenario.workload
    findings = []
    for read in run.final_reads:
        wrong = wrong_balances(spec, read)
        if wrong:
            findings.append(
                Finding(
                    kind=FindingKind.WRONG_BALANCE,
                    verdict=Verdict.INVALID,
                    summary=f"On {read.node} {count(len(wrong), 'account has', 'accounts have')} "
                    "another balance than its transfers say.",
                    evidence=tuple(wrong),
                )
            )
    altered = _altered(run)
    if altered:
        findings.append(
            Finding(
                kind=FindingKind.WRONG_BALANCE,
                verdict=Verdict.INVALID,
                summary=f"{count(len(altered), 'transfer moved', 'transfers moved')} something "
                "else than was asked.",
                evidence=tuple(altered),
            )
        )
    return findings


def wrong_balances(spec: WorkloadSpec, read: FinalRead) -> list[dict[str, Scalar]]:
    """The accounts of a node whose balance differs from what its entries add up to."""
    if read.error is not None:
        return []
    says: Counter[str] = Counter({str(n): spec.opening_balance for n in range(spec.accounts)})
    for row in read.rows:
        moved = moved_of_entry(row)
        says[moved.source] -= moved.amount
        says[moved.target] += moved.amount
    found = balances_of(read)
    return [
        {
            "node": read.node,
            "account": account,
            "balance": found.get(account),
            "entries_say": says.get(account),
        }
        for account in sorted(says.keys() | found.keys(), key=lambda name: (len(name), name))
        if found.get(account) != says.get(account)
    ]


def balances_of(read: FinalRead) -> dict[str, int]:
    """Account to balance, as the node held them."""
    return {row.id: int(row.content) for row in read.state}


def moved_of_entry(row: LedgerRow) -> Moved:
    """What an entry says (``chaos/workloads/transfers.py`` writes it as JSON).

    Raises:
        ValueError, KeyError: it says something else.
    """
    content = json.loads(row.content)
    return Moved(
        source=str(content["source"]), target=str(content["target"]), amount=int(content["amount"])
    )


def moved_of_operation(operation: Operation) -> Moved | None:
    """What an operation was asked to move; None where it is no transfer."""
    work = operation.work
    if not operation.leaves_entry or not {"source", "target", "amount"} <= work.keys():
        return None
    return Moved(
        source=str(work["source"]), target=str(work["target"]), amount=int(str(work["amount"]))
    )


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
