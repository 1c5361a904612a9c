"""The single writes and group reads of a run, and what ``bascule judge`` says of them. Pure.

The final read of the primary is a read of every group, after everything else. A key that a replica
showed and that is not there at the end was never acknowledged, or is lost, which has a finding of
its own: a failover took it back. It counts as unwritten in the reads on members.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from chaos.checkers.authority import authority
from chaos.consistency import long_fork
from chaos.consistency.answer import HistoryAnswer
from chaos.consistency.attempts import ClientAttempt
from chaos.evidence.records import Operation
from chaos.evidence.run import Run
from chaos.workloads.long_fork.groups import (
    group_of,
    is_read,
    keys_at_end,
    keys_taken_back,
    seen_by,
)
from chaos.workloads.native import PlacedOperation, placed, reads_of, units_of

WRITTEN = 1
"""The value of a key that is written: there is only one."""


def judge_run(run: Run, level: str | None) -> HistoryAnswer:
    """Whether reads of one group stand in a row.

    Args:
        run: with this workload.
        level: None: what is promised, so the units of work alone, which go through the primary;
            else the reads on all members too.
    """
    if level is None:
        return judge_reads(run, units_of(run))
    return judge_reads(run, [*units_of(run), *reads_of(run)], level=level)


def judge_reads(
    run: Run, operations: Iterable[Operation], *, level: str = long_fork.SNAPSHOT_ISOLATION
) -> HistoryAnswer:
    """What the judge says of some of a run's operations, and of the end."""
    some = placed(operations)
    back = keys_taken_back(run)
    attempts = [_attempt(one, back) for one in some]
    last = max((one.ended or one.began for one in some), default=0) + 1
    return long_fork.judge([*attempts, *_final(run, some, last)], level=level)


def _attempt(one: PlacedOperation, back: set[int]) -> ClientAttempt:
    operation = one.operation
    if operation.work["op"] == "write":
        f, asked = "write", [["w", operation.work["key"], WRITTEN]]
        answered: list[list[object]] | None = None
    else:
        f, asked = "read", [["r", key, None] for key in group_of(operation)]
        answered = None
        if operation.outcome == "ok":
            seen = seen_by(operation) - (back if operation.asks is not None else set())
            answered = _values(group_of(operation), seen)
    return ClientAttempt(
        f=f,
        asked=asked,
        answered=answered,
        outcome=one.outcome,
        began=one.began,
        ended=one.ended,
        process=one.process,
        name=one.name,
    )


def _final(run: Run, some: Sequence[PlacedOperation], last: int) -> list[ClientAttempt]:
    """The primary's final read, as one read of each group that somebody has read."""
    primary, there = authority(run), keys_at_end(run)
    if primary is None or there is None:
        return []
    groups = dict.fromkeys(group_of(one.operation) for one in some if is_read(one.operation))
    return [
        ClientAttempt(
            f="read",
            answered=_values(group, there),
            outcome="ok",
            began=last + 2 * index,
            ended=last + 2 * index + 1,
            name=f"the final read of {primary.node}",
        )
        for index, group in enumerate(groups)
    ]


def _values(group: range, seen: set[int]) -> list[list[object]]:
    return [["r", key, WRITTEN if key in seen else None] for key in group]
