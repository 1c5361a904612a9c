"""Single writes and group reads as they stand in the history of a run. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from chaos.checkers.authority import authority
from chaos.evidence.records import Operation
from chaos.evidence.run import Run
from chaos.workloads.long_fork import LongForkOptions
from chaos.workloads.native import reads_of


def options_of(run: Run) -> LongForkOptions:
    """What the transactions of a run with this workload asked for."""
    options = run.info.scenario.workload.options
    assert isinstance(options, LongForkOptions)  # only such runs are judged here
    return options


def seen_by(read: Operation) -> set[int]:
    """The keys that an acknowledged read saw."""
    text = str(read.result["seen"])
    return set(map(int, text.split(","))) if text else set()


def group_of(read: Operation) -> range:
    """All keys that a read asked for."""
    first, keys = int(str(read.work["first"])), int(str(read.work["keys"]))
    return range(first, first + keys)


def is_read(one: Operation) -> bool:
    """Whether an operation reads a group, and was answered."""
    return one.work["op"] == "read" and one.outcome == "ok"


def keys_at_end(run: Run) -> set[int] | None:
    """The keys that the primary has at the end; None: no node has the last word."""
    primary = authority(run)
    return None if primary is None else {int(row.content) for row in primary.rows}


def keys_taken_back(run: Run) -> set[int]:
    """What a read beside the units of work saw, and the primary does not have at the end."""
    there = keys_at_end(run)
    if there is None:
        return set()
    return {key for read in reads_of(run) for key in seen_by(read)} - there


def by_member(reads: Iterable[Operation]) -> dict[str, list[Operation]]:
    """Reads by who served them: a member, in one of its two roles."""
    some: dict[str, list[Operation]] = defaultdict(list)
    for read in reads:
        some[f"{read.node}, {read.source}"].append(read)
    return dict(sorted(some.items()))
