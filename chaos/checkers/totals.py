"""Transfers: whether the sum of all balances was always the one that the accounts opened with.

A transfer takes from one account what it gives to another, so every snapshot that is not torn shows
the same total: each read of the total on a primary, and the final read of every node. A wrong total
is a transaction of which one half was seen or kept, or an update that was lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chaos.checkers.authority import count
from chaos.checkers.balances import balances_of, moved_of_operation, wrong_balances
from chaos.checkers.split_brain import begin_s, end_s
from chaos.evidence.records import FinalRead, Operation, Scalar
from chaos.evidence.run import Run
from chaos.verdict import Finding, FindingKind, Verdict

BEFORE = 3
"""So many transfers that had ended before a wrong read are named: it may have missed their half."""

SURROUNDED_MAX = 20
"""For so many wrong reads the operations around them are named: the first ones show the cause, and
each costs a pass over all operations."""

Evidence = dict[str, Scalar]


def check(run: Run) -> list[Finding]:
    """One finding for all snapshot reads, one a node for its final read."""
    spec = run.info.scenario.workload
    opening = spec.accounts * spec.opening_balance
    operations = [op for history in run.histories for op in history.operations]
    reads = [op for op in operations if op.outcome == "ok" and "total" in op.result]
    wrong = [
        op
        for op in reads
        if op.result["total"] != opening
        or op.result.get("accounts", spec.accounts) != spec.accounts
    ]
    wrong.sort(key=begin_s)
    findings = []
    if wrong:
        evidence: list[Evidence] = []
        for index, read in enumerate(wrong):
            evidence.append(_read_evidence(read, opening))
            if index < SURROUNDED_MAX:
                evidence += _around(read, operations)
        words = count(len(reads), "read of the total", "reads of the total")
        summary = f"{len(wrong):,} of {words} on a primary found another one than {opening:,}."
        findings.append(_finding(summary, evidence))
    for final in run.final_reads:
        if final.error is not None:
            continue
        balances = balances_of(final)
        total = sum(balances.values())
        if total == opening and len(balances) == spec.accounts:
            continue
        summary = (
            f"On {final.node} the balances of {count(len(balances), 'account')} add up to "
            f"{total:,} at the end; {count(spec.accounts, 'account')} began with {opening:,}."
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
        "begin_s": begin_s(read),
        "ended_s": read.ended_s,
        "total": read.result["total"],
        "opening": opening,
    }


def _around(read: Operation, operations: Sequence[Operation]) -> Iterator[Evidence]:
    """The transfers that may have taken effect during a read, and the last ones before it."""
    began_s, over_s = begin_s(read), end_s(read)
    transfers = [op for op in operations if op.outcome != "fail" and moved_of_operation(op)]
    during = [op for op in transfers if op.invoked_s <= over_s and end_s(op) >= began_s]
    before = sorted((op for op in transfers if end_s(op) < began_s), key=end_s)[-BEFORE:]
    for words, some in (("just before", before), ("at the same time", during)):
        for operation in sorted(some, key=begin_s):
            yield {**_transfer(operation), "around": read.id, "when": words}


def _suspects(run: Run, read: FinalRead, operations: Sequence[Operation]) -> Iterator[Evidence]:
    """The transfers on the wrong accounts of a node that did not go through at the first try."""
    wrong = {one["account"] for one in wrong_balances(run.info.scenario.workload, read)}
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
        "begin_s": begin_s(operation),
        "ended_s": operation.ended_s,
        "outcome": operation.outcome,
        "resolved": operation.resolved,
        "moved": f"{moved.amount} from {moved.source} to {moved.target}" if moved else None,
    }


def _finding(summary: str, evidence: list[Evidence]) -> Finding:
    return Finding(
        kind=FindingKind.WRONG_TOTAL,
        verdict=Verdict.INVALID,
        summary=summary,
        evidence=tuple(evidence),
    )
