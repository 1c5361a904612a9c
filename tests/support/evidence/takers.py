"""Tiny runs of the write-skew workload, written by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from support.evidence.tiny import A, op, run, scenario

from chaos.evidence.records import FinalRead, LedgerRow, Operation, OperationOutcome
from chaos.evidence.run import Run
from chaos.scenarios.model import WorkloadSpec
from chaos.workloads.kind import IsolationName
from chaos.workloads.write_skew import WriteSkewOptions


def taker(
    id_: str,
    at_s: float,
    found: str | None = "",
    *,
    outcome: OperationOutcome = "ok",
    timeline: int = 1,
) -> Operation:
    """Somebody who wants place 1, and whom it found there."""
    return op(
        id_,
        at_s,
        took_s=0.5,
        outcome=outcome,
        timeline=timeline,
        work={"op": "take", "place": 1},
        result={} if found is None else {"found": found},
    )


def taking(
    operations: Sequence[Operation],
    there: Mapping[str, int],
    *,
    isolation: IsolationName = "serializable",
    lost_max: int = 0,
) -> Run:
    """A run in which those are ``there`` at the end, each at its place."""
    final = FinalRead(
        node=A,
        rows=tuple(LedgerRow(id=one.id, content="") for one in operations if one.outcome == "ok"),
        state=tuple(LedgerRow(id=id_, content=str(place)) for id_, place in there.items()),
        timeline=max((one.timeline or 1 for one in operations), default=1),
        is_primary=True,
    )
    spec = WorkloadSpec(options=WriteSkewOptions(isolation=isolation))
    return run(operations, reads=[final], asked=scenario(workload=spec, lost_max=lost_max))
