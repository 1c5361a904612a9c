"""Transfers: whether the sum of all balances was always the one that the accounts opened with.

A transfer takes from one account what it gives to another, so every snapshot that is not torn shows
the same total: each read of the total on a primary, and the final read of every node. A wrong total
is a transaction of which one half was seen or kept, or an update that was lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chaos.checkers import needs
from chaos.checkers.base import Checker
from chaos.evidence.records import FinalRead, Operation
from chaos.evidence.run import Run
from chaos.findings import Evidence, Finding, FindingKind, Verdict
from chaos.wording import counted
from chaos.workloads.transfers.accounts import (
    balances_of,
    moved_of_operation,
    options_of,
    wrong_balances,
)

WRONG_TOTAL = FindingKind(
    word="wrong-total",
    meaning="INVALID: the sum of all balances is not the opening one.",
    heading="Total that was not kept",
    proved="the total of all balances was not kept",
    undecided="it is not known whether the total was kept",
)

BEFORE = 3
"""This many transfers that ended before a wrong read are named: it may have missed their half."""

SURROUNDED_MAX = 20
"""For this many wrong reads the operations around them are named: the first show the cause, and
each costs a pass over all operations."""


def check(run: Run) -> list[Finding]:
    """One finding for all snapshot reads, one a node for its final read."""
    options = options_of(run)
    opening = options.accounts * options.opening_balance
    operations = [op for history in run.histories for op in history.operations]
    reads = [op for op in operations if op.outcome == "ok" and "total" in op.result]
    wrong = [
        op
        for op in reads
        if op.result["total"] != opening
        or op.result.get("accounts", options.accounts) != options.accounts
    ]
    wrong.sort(key=lambda op: op.begin_s)
    findings = []
    if wrong:
        evidence: list[Evidence] = []
        for index, read in enumerate(wrong):
            evidence.append(_read_evidence(read, opening))
            if index < SURROUNDED_MAX:
                evidence += _around(read, operations)
        words = counted(len(reads), "read of the total", "reads of the total")
        summary = f"{len(wrong):,} of {words} on a primary found another one than {opening:,}."
        findings.append(_finding(summary, evidence))
    for final in run.final_reads:
        if final.error is not None:
            continue
        balances = balances_of(final)
        total = sum(balances.values())
        if total == opening and len(balances) == options.accounts:
            continue
        summary = (
            f"On {final.node} the balances of {counted(len(balances), 'account')} add up to "
            f"{total:,} at the end; {counted(options.accounts, 'account')} began with {opening:,}."
        )
        head: Evidence = {"node": final.node, "total": total, "opening": opening}
        findings.append(_finding(summary, [head, *_suspects(run, final, operations)]))
    return findings


def _read_evidence(read: Operation, opening: int) -> Evidence:
    return {
        "id": read.id,
        "site": read.site,
        "node": read.node,
        "timeline": read.timeline,
        "begin_s": read.begin_s,
        "ended_s": read.ended_s,
        "total": read.result["total"],
        "opening": opening,
    }


def _around(read: Operation, operations: Sequence[Operation]) -> Iterator[Evidence]:
    """The transfers that may have taken effect during a read, and the last ones before it."""
    began_s, over_s = read.begin_s, read.end_s
    transfers = [op for op in operations if op.outcome != "fail" and moved_of_operation(op)]
    during = [op for op in transfers if op.invoked_s <= over_s and op.end_s >= began_s]
    before = sorted((op for op in transfers if op.end_s < began_s), key=lambda op: op.end_s)[
        -BEFORE:
    ]
    for words, some in (("just before", before), ("at the same time", during)):
        for operation in sorted(some, key=lambda op: op.begin_s):
            yield {**_transfer(operation), "around": read.id, "when": words}


def _suspects(run: Run, read: FinalRead, operations: Sequence[Operation]) -> Iterator[Evidence]:
    """The transfers on the wrong accounts of a node that did not go through at the first try."""
    wrong = {one["account"] for one in wrong_balances(options_of(run), read)}
    for operation in operations:
        moved = moved_of_operation(operation)
        smooth = operation.outcome == "ok" and operation.attempts == 1 and not operation.resolved
        if moved is None or operation.outcome == "fail" or smooth:
            continue
        if {moved.source, moved.target} & wrong:
            yield {**_transfer(operation), "around": read.node}


def _transfer(operation: Operation) -> Evidence:
    moved = moved_of_operation(operation)
    return {
        "id": operation.id,
        "site": operation.site,
        "node": operation.node,
        "timeline": operation.timeline,
        "begin_s": operation.begin_s,
        "ended_s": operation.ended_s,
        "outcome": operation.outcome,
        "resolved": operation.resolved,
        "moved": f"{moved.amount} from {moved.source} to {moved.target}" if moved else None,
    }


def _finding(summary: str, evidence: list[Evidence]) -> Finding:
    return Finding(
        kind=WRONG_TOTAL,
        verdict=Verdict.INVALID,
        summary=summary,
        evidence=tuple(evidence),
    )


CHECKER = Checker(
    name="total-kept",
    question="Money was neither made nor lost: every total is the opening one.",
    check=check,
    finds=(WRONG_TOTAL,),
    needs=(needs.histories, needs.final_reads),
    workloads=("transfers",),
)
