"""Split brain: two primaries that acknowledged writes in overlapping windows.

What a node acknowledged on one timeline is a **reign**: PostgreSQL begins a new timeline at every
promotion, so a node that rules, loses the lead and rules again has two reigns. Primaries that
follow each other have reigns that do not overlap, whatever the order (A, B, A again).

The proof is the order of real time. An operation takes effect between the begin of the attempt that
ended it and its end. Let ``first_end`` of a reign be the earliest end of an operation, and
``last_begin`` the latest begin of an attempt: the reign surely committed something not after
``first_end``, and something not before ``last_begin``. If now A's ``last_begin`` comes after B's
``first_end`` and B's ``last_begin`` after A's ``first_end``, then neither reign was over when the
other one began. Everything that is not precisely known widens an operation's interval or leaves the
operation out, so that imprecision can hide a split brain but never invent one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

from chaos.checkers import needs
from chaos.checkers.base import Checker
from chaos.evidence.records import Operation, Scalar
from chaos.evidence.run import Run
from chaos.findings import INCOMPLETE_EVIDENCE, Finding, FindingKind, Verdict
from chaos.wording import counted

SPLIT_BRAIN = FindingKind(
    word="split-brain",
    meaning="INVALID: two nodes acknowledged writes as primary at the same time.",
    heading="Two primaries at the same time",
    proved="two primaries acknowledged writes at the same time",
    undecided="two primaries at the same time cannot be ruled out",
)


@dataclass(slots=True)
class Reign:
    """What one node surely did as primary on one timeline; filled operation by operation."""

    node: str
    timeline: int
    first: Operation
    """The operation that ended first."""
    last: Operation
    """The operation whose attempt began last."""

    def take(self, operation: Operation) -> None:
        """Widens the reign by an operation of its node and timeline."""
        if operation.end_s < self.first.end_s:
            self.first = operation
        if operation.begin_s > self.last.begin_s:
            self.last = operation


def check(run: Run) -> list[Finding]:
    """One finding for every pair of reigns of different nodes that certainly overlap."""
    findings = [
        _finding(one, other)
        for one, other in combinations(reigns(run), 2)
        if one.node != other.node and overlap(one, other)
    ]
    return findings or _undecided(run)


def reigns(run: Run) -> list[Reign]:
    """The reigns on record, by their first acknowledgement.

    Resolved operations are left out: their answer came from the node that was asked later. So are
    those without node or timeline.
    """
    known: dict[tuple[str, int], Reign] = {}
    for history in run.histories:
        for operation in history.operations:
            if operation.outcome != "ok" or operation.resolved or operation.ended_s is None:
                continue
            if operation.node is None or operation.timeline is None:
                continue
            key = (operation.node, operation.timeline)
            if key in known:
                known[key].take(operation)
            else:
                known[key] = Reign(
                    node=operation.node,
                    timeline=operation.timeline,
                    first=operation,
                    last=operation,
                )
    return sorted(known.values(), key=lambda reign: (reign.first.end_s, reign.node))


def overlap(one: Reign, other: Reign) -> bool:
    """Whether neither can have ended before the other began (the module says why)."""
    return one.last.begin_s > other.first.end_s and other.last.begin_s > one.first.end_s


def _finding(one: Reign, other: Reign) -> Finding:
    evidence = [
        _evidence(operation, reign, role)
        for reign in (one, other)
        for operation, role in ((reign.first, "first to end"), (reign.last, "last to begin"))
    ]
    return Finding(
        kind=SPLIT_BRAIN,
        verdict=Verdict.INVALID,
        summary=f"{one.node} (timeline {one.timeline}) and {other.node} (timeline "
        f"{other.timeline}) both acknowledged writes as primary at the same time.",
        evidence=tuple(evidence),
    )


def _evidence(operation: Operation, reign: Reign, role: str) -> dict[str, Scalar]:
    return {
        "node": reign.node,
        "timeline": reign.timeline,
        "proof": role,
        "id": operation.id,
        "site": operation.site,
        "begin_s": operation.begin_s,
        "acknowledged_s": operation.ended_s,
    }


def _undecided(run: Run) -> list[Finding]:
    """Acknowledged operations that cannot be assigned, where that could hide a second primary."""
    acknowledged = [
        operation
        for history in run.histories
        for operation in history.operations
        if operation.outcome == "ok" and not operation.resolved
    ]
    nodes = {operation.node for operation in acknowledged}
    unassigned = [op for op in acknowledged if op.node is None or op.timeline is None]
    if len(nodes) <= 1 or not unassigned:
        return []
    return [
        Finding(
            kind=INCOMPLETE_EVIDENCE,
            verdict=Verdict.UNKNOWN,
            summary=f"{counted(len(unassigned), 'acknowledged entry', 'acknowledged entries')} "
            "without node or timeline: a second primary cannot be excluded.",
            evidence=tuple({"id": op.id, "site": op.site, "node": op.node} for op in unassigned),
        )
    ]


CHECKER = Checker(
    name="split-brain",
    question="Never did two primaries acknowledge writes at the same time.",
    check=check,
    finds=(SPLIT_BRAIN, INCOMPLETE_EVIDENCE),
    needs=(needs.histories,),
)
