"""What a restore of the whole cluster was allowed to take: what came after the point in time.

A restore in place sets the data back to an entry of the ledger. What was acknowledged after that
entry, and before the cluster was destroyed, is given up on purpose: it is the restore's loss, which
the checker ``restored`` tells and bounds, and no lost write, no dead timeline and no stale read.
Everything else that is missing is a loss like any other. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from chaos.evidence.rebuilds import Rebuild
from chaos.evidence.records import Operation
from chaos.evidence.run import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenUp:
    """The time that one restore took back. All moments are those of the load processes, but for the
    death of the cluster, which is of the same clock."""

    rebuild: Rebuild
    entry: Operation
    """It names the point in time."""
    dead_s: float

    @property
    def until_s(self) -> float:
        """What begins later comes after the entry."""
        if self.entry.outcome == "ok":
            return min(self.entry.end_s, self.rebuild.named_s)
        return self.rebuild.named_s

    def precedes(self, operation: Operation) -> bool:
        """It was over before the attempt began that wrote the entry: it must be there."""
        return operation.end_s < self.entry.begin_s

    def follows(self, operation: Operation) -> bool:
        """It was begun after the entry and over before the end of the cluster: it must be gone."""
        return operation.begin_s > self.until_s and operation.end_s <= self.dead_s

    def covers(self, operation: Operation) -> bool:
        """It may be gone: it is not surely older than the entry, and whoever was told of it was
        told by the cluster that was destroyed."""
        return not self.precedes(operation) and operation.end_s <= self.dead_s


def given_up(run: Run) -> tuple[GivenUp, ...]:
    """One for every restore in place whose entry is on record and is older than the cluster's end.

    A restore whose entry nobody knows gives nobody leave to lose anything.
    """
    if not run.rebuilds:
        return ()
    known = {one.id: one for history in run.histories for one in history.operations}
    return tuple(
        GivenUp(rebuild=one, entry=known[one.entry], dead_s=one.dead_s)
        for one in run.rebuilds
        if one.dead_s is not None and one.entry in known
    )


def given_up_ids(run: Run) -> frozenset[str]:
    """The operations that a restore was allowed to take, by their ids."""
    times = given_up(run)
    if not times:
        return frozenset()
    return frozenset(one.id for one in _operations(run) if any(time.covers(one) for time in times))


def given_up_operations(run: Run) -> tuple[Operation, ...]:
    """The acknowledged entries that a restore took, in the order of their acknowledgement: those
    that the primary no longer has. Empty where no single primary could be read."""
    ids = given_up_ids(run)
    primaries = [one for one in run.final_reads if one.is_primary and one.error is None]
    if not ids or len(primaries) != 1:
        return ()
    there = {row.id for row in primaries[0].rows}
    gone = [
        one
        for one in _operations(run)
        if one.outcome == "ok" and one.leaves_entry and one.id in ids and one.id not in there
    ]
    return tuple(sorted(gone, key=lambda one: (one.end_s, one.id)))


def _operations(run: Run) -> Iterator[Operation]:
    return (one for history in run.histories for one in history.operations)
