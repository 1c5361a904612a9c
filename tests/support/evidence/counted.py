"""Tiny runs of the counter workload, written by hand."""

from __future__ import annotations

from collections.abc import Sequence

from support.evidence.tiny import A, op, run, scenario

from chaos.evidence.records import FinalRead, LedgerRow, Operation, OperationOutcome
from chaos.evidence.run import Run
from chaos.scenarios.model import WorkloadSpec
from chaos.workloads.counter import CounterOptions


def added(
    id_: str,
    at_s: float,
    value: int | None,
    *,
    outcome: OperationOutcome = "ok",
    timeline: int = 1,
) -> Operation:
    """An addition, and the value that it was told; None: it was told none."""
    return op(
        id_,
        at_s,
        outcome=outcome,
        timeline=timeline,
        work={"op": "add"},
        result={} if value is None else {"value": value},
    )


def counting(operations: Sequence[Operation], end: int, *, lost_max: int = 0) -> Run:
    """A run whose primary holds ``end`` at the end."""
    final = FinalRead(
        node=A,
        rows=tuple(LedgerRow(id=one.id, content="") for one in operations if one.outcome == "ok"),
        state=(LedgerRow(id="counter", content=str(end)),),
        timeline=max((one.timeline or 1 for one in operations), default=1),
        is_primary=True,
    )
    spec = WorkloadSpec(options=CounterOptions())
    return run(operations, reads=[final], asked=scenario(workload=spec, lost_max=lost_max))
