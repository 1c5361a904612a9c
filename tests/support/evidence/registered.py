"""Tiny runs of the register workload, written by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from support.evidence.tiny import A, op, run, scenario

from chaos.evidence.records import FinalRead, LedgerRow, Operation, OperationOutcome, Scalar
from chaos.evidence.run import Run
from chaos.scenarios.model import WorkloadSpec
from chaos.workloads.register import RegisterOptions


def call(
    id_: str,
    at_s: float,
    asked: Mapping[str, Scalar],
    answered: Mapping[str, Scalar] | None = None,
    *,
    took_s: float = 0.005,
    outcome: OperationOutcome = "ok",
    timeline: int = 1,
) -> Operation:
    """An operation on register 1."""
    return op(
        id_,
        at_s,
        took_s=took_s,
        outcome=outcome,
        timeline=timeline,
        leaves_entry=asked["op"] != "read",
        work={"key": 1, **asked},
        result=answered or {},
    )


def reading(id_: str, at_s: float, value: int | None, version: int | None) -> Operation:
    """A read; without a version where ``version`` is None."""
    versions: dict[str, Scalar] = {} if version is None else {"version": version}
    return call(id_, at_s, {"op": "read"}, {"value": value, **versions})


def writing(
    id_: str, at_s: float, value: int, version: int | None, *, timeline: int = 1
) -> Operation:
    """An acknowledged write."""
    versions: dict[str, Scalar] = {} if version is None else {"version": version}
    return call(id_, at_s, {"op": "write", "value": value}, versions, timeline=timeline)


def registered(
    operations: Sequence[Operation], value: int | None, version: int, *, lost_max: int = 0
) -> Run:
    """A run whose primary holds ``value`` in register 1 at the end."""
    spec = WorkloadSpec(options=RegisterOptions(registers=2))
    entries = [one.id for one in operations if one.outcome == "ok" and one.leaves_entry]
    held = json.dumps({"value": value, "version": version})
    final = FinalRead(
        node=A,
        rows=tuple(LedgerRow(id=id_, content="") for id_ in entries),
        state=(LedgerRow(id="1", content=held),),
        timeline=max((one.timeline or 1 for one in operations), default=1),
        is_primary=True,
    )
    return run(operations, reads=[final], asked=scenario(workload=spec, lost_max=lost_max))
