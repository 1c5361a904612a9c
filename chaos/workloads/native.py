"""The operations of a run on one clock, as the judges of histories want them. Pure.

Judges know no seconds: for them the clock is the position of an event among all begins and ends.
The load processes of a run share CLOCK_MONOTONIC, so their histories are one. A workload's
``WorkloadKind.judge`` makes its operations into a history and judges it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chaos.evidence.records import Operation, Scalar
from chaos.evidence.run import Run
from replication.wire.wal import format_lsn

if TYPE_CHECKING:
    from chaos.consistency.attempts import AttemptOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedOperation:
    """An operation, and where it began and ended among all events."""

    operation: Operation
    began: int
    """When the attempt began that took effect: the earlier ones certainly did not."""
    ended: int | None
    """None: it may have taken effect at any time after it began, or never."""
    process: int
    """The worker; numbered over all sites."""

    @property
    def outcome(self) -> AttemptOutcome:
        """How it ended. What another caller had applied already took no effect here."""
        outcome = self.operation.outcome
        return "fail" if outcome == "already" else outcome

    @property
    def name(self) -> str:
        """What sentences call it."""
        one = self.operation
        return one.id if one.node is None else f"{one.id} on {one.node}"

    @property
    def details(self) -> Mapping[str, Scalar]:
        """What a person needs to find it again, and to know where and when it was."""
        one = self.operation
        said: dict[str, Scalar] = {
            "operation": one.id,
            "node": one.node,
            "source": one.source,
            "begin_s": one.begin_s,
            "ended_s": one.ended_s,
            "timeline": one.timeline,
            "lsn": None if one.lsn is None else format_lsn(one.lsn),
            "outcome": one.outcome,
        }
        return {name: value for name, value in said.items() if value is not None}


def placed(operations: Iterable[Operation]) -> list[PlacedOperation]:
    """Operations on one clock, in the order in which they began.

    Where one ends in the moment in which another begins, they count as being at the same time.
    """
    some = sorted(operations, key=lambda one: one.begin_s)
    processes: dict[tuple[str, int], int] = {}
    events: list[tuple[float, int, int]] = []
    for index, one in enumerate(some):
        events.append((one.begin_s, 0, index))
        if one.outcome == "ok" and one.ended_s is not None:
            events.append((one.ended_s, 1, index))
    began, ended = [0] * len(some), dict[int, int]()
    for position, (_, is_end, index) in enumerate(sorted(events)):
        if is_end:
            ended[index] = position
        else:
            began[index] = position
    return [
        PlacedOperation(
            operation=one,
            began=began[index],
            ended=ended.get(index),
            process=processes.setdefault((one.site, one.worker), len(processes)),
        )
        for index, one in enumerate(some)
    ]


def units_of(run: Run) -> Iterable[Operation]:
    """The units of work of all sites: what went through the primary."""
    return (one for history in run.histories for one in history.operations)


def reads_of(run: Run) -> Iterable[Operation]:
    """The reads of all sites on the nearest member that were served."""
    return (one for history in run.histories for one in history.reads if one.outcome == "ok")
