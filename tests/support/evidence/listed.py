"""Tiny runs of the append workload, written by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from support.evidence.tiny import A, B, op, run, scenario

from chaos.evidence.records import FinalRead, LedgerRow, Operation, OperationOutcome, ReadPromise
from chaos.evidence.run import Run
from chaos.scenarios.model import WorkloadSpec
from chaos.workloads.append import AppendOptions
from chaos.workloads.kind import IsolationName


def txn(
    id_: str,
    at_s: float,
    does: str,
    saw: str | None = None,
    *,
    took_s: float = 0.005,
    outcome: OperationOutcome = "ok",
    node: str = A,
    timeline: int = 1,
) -> Operation:
    """A unit of work on lists."""
    return op(
        id_,
        at_s,
        took_s=took_s,
        outcome=outcome,
        node=node,
        timeline=timeline,
        leaves_entry="append" in does,
        work={"op": "txn", "txn": does},
        result={} if saw is None else {"read": saw},
    )


def near(id_: str, at_s: float, does: str, saw: str, *, after: str | None = None) -> Operation:
    """A read on a replica, with a causal token or without."""
    asks: ReadPromise = "any" if after is None else "after"
    return replace(
        txn(id_, at_s, does, saw, node=B),
        asks=asks,
        after=after,
        source="replica",
        timeline=None,
        lsn=None,
        attempt_s=None,
    )


def listed(
    operations: Sequence[Operation],
    lists: Mapping[int, str],
    *,
    isolation: IsolationName = "serializable",
    lost_max: int = 0,
) -> Run:
    """A run whose nodes hold ``lists`` at the end."""
    spec = WorkloadSpec(options=AppendOptions(isolation=isolation))
    entries = [one.id for one in operations if one.outcome == "ok" and one.leaves_entry]
    state = tuple(LedgerRow(id=str(key), content=items) for key, items in lists.items())
    finals = [
        FinalRead(
            node=node,
            rows=tuple(LedgerRow(id=id_, content="") for id_ in entries),
            state=state,
            timeline=max((one.timeline or 1 for one in operations), default=1),
            lsn=10_000,
            is_primary=node == A,
        )
        for node in (A, B)
    ]
    judged = run(
        [one for one in operations if one.asks is None],
        reads=finals,
        asked=scenario(workload=spec, lost_max=lost_max),
    )
    (history,) = judged.histories
    reads = tuple(one for one in operations if one.asks is not None)
    return replace(judged, histories=(replace(history, reads=reads),))


LONG_FORK = [
    txn("x", 1.0, "append 1 10", took_s=0.5),
    txn("y", 1.1, "append 2 20", took_s=0.5),
    txn("here", 1.2, "read 1; read 2", "10;"),
    near("there", 1.3, "read 1; read 2", ";20"),
]
"""The primary shows x first, the replica y."""
