"""When each transaction took effect at the earliest and at the latest, by the clock. Pure.

A transaction took effect between its begin and its end, after whatever must come before it, and
before whatever must come after it. So bounds pass along the edges of a graph, and bounds give new
edges: the transactions that wrote or read one value of a key stand together, and all of them stand
before the writer of another value as soon as one of them ended before one of those began.

Source: the zones of Gibbons and Korach (1997), "Testing Shared Memories", for transactions.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from chaos.consistency.rw_register.accesses import Accesses
from chaos.consistency.transactions.columns import NEVER, OK, Ints, Transactions, ints
from chaos.consistency.transactions.order import OrderGraph, find_components, places_of

ROUNDS_MAX = 10
"""So often bounds give edges and edges bounds. Two or three are the rule; less narrows less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeBounds:
    """Positions in the history, one a node."""

    earliest: Ints
    latest: Ints


def plain_bounds(history: Transactions, accesses: Accesses, graph: OrderGraph) -> TimeBounds:
    """From the begin of each transaction to its end, or to that of who first read from it."""
    earliest, latest = np.full(graph.nodes, -1, np.int64), np.full(graph.nodes, NEVER, np.int64)
    count = history.count
    ended = np.where(history.outcome == OK, history.ended, NEVER)
    reads = accesses.external_reads[accesses.saw[accesses.external_reads] >= 0]
    np.minimum.at(ended, history.op[accesses.saw[reads]], ended[history.op[reads]])
    for first in (0, count) if graph.is_split else (0,):
        earliest[first : first + count] = history.began
        latest[first : first + count] = ended
    return TimeBounds(earliest=earliest, latest=latest)


def narrowed(
    history: Transactions, accesses: Accesses, graph: OrderGraph
) -> tuple[OrderGraph, TimeBounds]:
    """A graph of one moment a transaction and of the clock, with what its bounds add to it.

    The graph that comes back has a circle if the bounds contradict one another.
    """
    values = _values(history, accesses)
    wider, bounds = graph, plain_bounds(history, accesses, graph)
    for done in range(ROUNDS_MAX):
        passed = _passed_on(wider, bounds)
        if passed is None or (done and _are_equal(passed, bounds, graph.nodes)):
            break
        wider = _with_edges_between_values(graph, values, passed)
        more = np.zeros(wider.nodes - graph.nodes, np.int64)
        bounds = TimeBounds(
            earliest=np.concatenate([passed.earliest[: graph.nodes], more - 1]),
            latest=np.concatenate([passed.latest[: graph.nodes], more + NEVER]),
        )
    return wider, bounds


def _are_equal(some: TimeBounds, others: TimeBounds, nodes: int) -> bool:
    return np.array_equal(some.earliest[:nodes], others.earliest[:nodes]) and np.array_equal(
        some.latest[:nodes], others.latest[:nodes]
    )


@dataclass(slots=True)
class _Value:
    """A value of a key: who wrote it, and who read it and did not replace it."""

    writer: int
    readers: list[int]
    all_readers: list[int]


def _values(history: Transactions, accesses: Accesses) -> Mapping[int, list[_Value]]:
    """The values of each key that transactions wrote which took part."""
    by_write: dict[int, _Value] = {}
    of_key: dict[int, list[_Value]] = defaultdict(list)
    writes = set()
    for write in accesses.final_writes.tolist():
        op, key = int(history.op[write]), int(history.key[write])
        if accesses.took_part[op]:
            by_write[write] = value = _Value(op, [], [])
            of_key[key].append(value)
            writes.add((op, key))
    for read in accesses.external_reads.tolist():
        seen = by_write.get(int(accesses.saw[read]))
        if seen is not None:
            op = int(history.op[read])
            seen.all_readers.append(op)
            if (op, int(history.key[read])) not in writes:
                seen.readers.append(op)
    return of_key


def _passed_on(graph: OrderGraph, bounds: TimeBounds) -> TimeBounds | None:
    """The bounds, passed along all edges; None where the graph has a circle."""
    place = places_of(graph, find_components(graph))
    if place is None:
        return None
    along = np.argsort(place[graph.source], kind="stable")
    source, target = graph.source[along].tolist(), graph.target[along].tolist()
    earliest, latest = bounds.earliest.tolist(), bounds.latest.tolist()
    for before, after in zip(source, target, strict=True):
        earliest[after] = max(earliest[after], earliest[before])
    against = np.argsort(-place[graph.target], kind="stable")
    source, target = graph.source[against].tolist(), graph.target[against].tolist()
    for before, after in zip(source, target, strict=True):
        latest[before] = min(latest[before], latest[after])
    return TimeBounds(earliest=ints(earliest), latest=ints(latest))


def _with_edges_between_values(
    graph: OrderGraph, values: Mapping[int, list[_Value]], bounds: TimeBounds
) -> OrderGraph:
    """The graph, and the edges that the bounds give it.

    For each key one node a value, in a chain, as the values were over: whoever wrote or read it
    leads to its node, and from the last node before somebody began with a value it goes to the
    writer of that.
    """
    earliest, latest = bounds.earliest.tolist(), bounds.latest.tolist()
    source, target = [], []
    free = graph.nodes
    for of_key in values.values():
        over = {id(one): min(latest[op] for op in (one.writer, *one.all_readers)) for one in of_key}
        chain = sorted(of_key, key=lambda one: over[id(one)])
        ends = [over[id(one)] for one in chain]
        for index, one in enumerate(chain):
            members = [one.writer, *one.readers]
            source += members
            target += [free + index] * len(members)
            began = max(earliest[op] for op in (one.writer, *one.all_readers))
            last = bisect_left(ends, began) - 1
            if (before := min(last, index - 1)) >= 0:
                source.append(free + before)
                target.append(one.writer)
            for other in chain[index + 1 : last + 1]:
                members = [op for op in (other.writer, *other.readers) if op != one.writer]
                source += members
                target += [one.writer] * len(members)
        source += range(free, free + len(chain) - 1)
        target += range(free + 1, free + len(chain))
        free += len(chain)
    return replace(
        graph,
        source=np.concatenate([graph.source, ints(source)]),
        target=np.concatenate([graph.target, ints(target)]),
        nodes=free,
    )
