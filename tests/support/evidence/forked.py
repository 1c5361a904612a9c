"""Tiny runs of the long-fork workload, written by hand: one group of six keys, from 0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from support.evidence.tiny import A, B, op, run, scenario

from chaos.evidence.records import FinalRead, LedgerRow, Operation, OperationOutcome, ReadPromise
from chaos.evidence.run import Run
from chaos.scenarios.model import WorkloadSpec
from chaos.workloads.kind import IsolationName
from chaos.workloads.long_fork import LongForkOptions

KEYS = 6


def single(
    id_: str, at_s: float, key: int, *, outcome: OperationOutcome = "ok", timeline: int = 1
) -> Operation:
    """The write of a key."""
    work = {"op": "write", "key": key}
    return op(id_, at_s, outcome=outcome, timeline=timeline, work=work)


def whole(
    id_: str, at_s: float, seen: str, *, took_s: float = 0.005, timeline: int = 1
) -> Operation:
    """A read of the group through the primary."""
    return op(
        id_,
        at_s,
        took_s=took_s,
        timeline=timeline,
        leaves_entry=False,
        work={"op": "read", "first": 0, "keys": KEYS},
        result={"seen": seen},
    )


def member_read(
    id_: str, at_s: float, seen: str, *, after: str | None = None, node: str = B
) -> Operation:
    """The same on a replica, with a causal token or without."""
    asks: ReadPromise = "any" if after is None else "after"
    one = replace(whole(id_, at_s, seen), node=node, asks=asks, after=after, source="replica")
    return replace(one, timeline=None, lsn=None, attempt_s=None)


def forking(
    operations: Sequence[Operation],
    there: Sequence[int],
    *,
    isolation: IsolationName = "repeatable-read",
    lost_max: int = 0,
) -> Run:
    """A run in which these keys are there at the end, each under the id of its write."""
    ids = {one.work.get("key"): one.id for one in operations}
    final = FinalRead(
        node=A,
        rows=tuple(LedgerRow(id=ids.get(key, "nobody"), content=str(key)) for key in there),
        timeline=max((one.timeline or 1 for one in operations), default=1),
        is_primary=True,
    )
    spec = WorkloadSpec(options=LongForkOptions(isolation=isolation))
    judged = run(
        [one for one in operations if one.asks is None],
        reads=[final],
        asked=scenario(workload=spec, lost_max=lost_max),
    )
    (history,) = judged.histories
    reads = tuple(one for one in operations if one.asks is not None)
    return replace(judged, histories=(replace(history, reads=reads),))
