"""Tiny runs of the set workload, written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from support.evidence.tiny import A, B, op, run, scenario

from chaos.evidence.records import FinalRead, LedgerRow, Operation, OperationOutcome, ReadPromise
from chaos.evidence.run import Run
from chaos.scenarios.model import WorkloadSpec
from chaos.workloads.set import SetOptions


def element(
    id_: str, at_s: float, number: int, *, outcome: OperationOutcome = "ok", timeline: int = 1
) -> Operation:
    """An addition, at the place of its number."""
    return op(
        id_,
        at_s,
        outcome=outcome,
        timeline=timeline,
        work={"op": "add", "element": number},
        result={"seq": number} if outcome == "ok" else {},
    )


def looking(
    id_: str, at_s: float, elements: str, *, above: int = 0, after: str | None = None, node: str = B
) -> Operation:
    """A read on a replica."""
    asks: ReadPromise = "any" if after is None else "after"
    return replace(
        op(
            id_,
            at_s,
            node=node,
            leaves_entry=False,
            work={"op": "look", "above": above},
            result={"elements": elements},
        ),
        asks=asks,
        after=after,
        source="replica",
        timeline=None,
        lsn=None,
        attempt_s=None,
    )


def growing(operations: Sequence[Operation], *, lost_max: int = 0) -> Run:
    """A run that kept every acknowledged element."""
    rows = tuple(
        LedgerRow(id=one.id, content=str(one.work["element"]))
        for one in operations
        if one.asks is None and one.outcome == "ok"
    )
    timeline = max((one.timeline or 1 for one in operations), default=1)
    finals = [
        FinalRead(node=node, rows=rows, timeline=timeline, is_primary=node == A) for node in (A, B)
    ]
    judged = run(
        [one for one in operations if one.asks is None],
        reads=finals,
        asked=scenario(workload=WorkloadSpec(options=SetOptions()), lost_max=lost_max),
    )
    (history,) = judged.histories
    reads = tuple(one for one in operations if one.asks is not None)
    return replace(judged, histories=(replace(history, reads=reads),))
