"""The smallest circle that shows why a level does not hold, and its name. Pure.

The weakest demand that already has a circle gives the worst anomaly: it is looked for first, within
the transactions that reach one another. Names are Elle's: ``G0`` of writes only, ``G1c`` with
reads, ``G-single-item`` with one ``rw``, ``G-nonadjacent-item`` with several but never two in a
row, ``G2-item`` with two in a row; ``-process`` and ``-realtime`` where it needs the sessions or
the clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from chaos.consistency.levels import AntiDependencies, Order
from chaos.consistency.transactions.columns import Ints
from chaos.consistency.transactions.edges import RW, WR, WW
from chaos.consistency.transactions.order import (
    Components,
    OrderDemand,
    OrderGraph,
    Parts,
    build_graph,
    find_components,
)
from chaos.consistency.transactions.steps import CircleStep, CircleWitness, kinds_of

_STARTS_MAX = 256
"""From so many nodes of the smallest component the way back is looked for."""
_VISITS_MAX = 2_000_000
"""So many edges are followed in all. The first circle found counts from there on."""
_LONG = 32
"""From so many transactions on, the way around is taken in leaps."""
BACKWARD_VISITS_MAX = 20_000_000
"""So many nodes are met in looking for ways back; about ten seconds."""
_STRENGTH: Sequence[AntiDependencies] = ("none", "one", "apart", "any")


@dataclass(frozen=True, slots=True, kw_only=True)
class Circle:
    """Transactions of which each must come before the next, and the last before the first."""

    name: str
    steps: tuple[CircleStep, ...]


def members_of_circles(graph: OrderGraph, components: Components) -> Ints:
    """The transactions of all components that have a circle."""
    big = components.sizes()[components.label] > 1
    own = graph.transactions
    in_circle = big[:own].copy()
    if graph.is_split:
        in_circle |= big[own : 2 * own]
    return np.flatnonzero(in_circle)


def smallest_circle(
    witness: CircleWitness, parts: Parts, members: Ints, demand: OrderDemand
) -> Circle | None:
    """A smallest circle of the worst kind that a demand forbids.

    Args:
        witness: Confirms and words each step.
        parts: Everything that orders the transactions.
        members: Where to look: the transactions that stand on circles.
        demand: What has a circle.

    Returns:
        The circle; None if none could be confirmed.
    """
    inner = parts.only(members)
    for weaker in _up_to(demand):
        path = _path(inner, weaker)
        if path is not None:
            circle = _confirmed(witness, [int(members[one]) for one in path], weaker)
            if circle is not None:
                return circle
    return None


def _path(parts: Parts, demand: OrderDemand) -> list[int] | None:
    """The transactions of a short circle that a demand forbids; None if none is found."""
    if (pair := _pair_against_order(parts, demand)) is not None:
        return pair
    if demand.rw == "one":
        try:
            return path_with_one_rw(parts, demand)
        except SearchLimitError:
            return None
    graph = build_graph(parts, demand)
    components = find_components(graph)
    return _shortest(graph, components) if components.has_circle() else None


def _pair_against_order(parts: Parts, demand: OrderDemand) -> list[int] | None:
    """Two transactions of which one must come before the other, and the session or the clock has
    them the other way round: the circle that is told most easily."""
    if demand.order == "none":
        return None
    kinds = WW | (WR if demand.reads_count else 0) | (RW if demand.rw != "none" else 0)
    dependencies = parts.dependencies
    usable = (dependencies.kind & kinds) != 0
    usable &= (dependencies.source < parts.count) & (dependencies.target < parts.count)
    before, after = dependencies.source[usable], dependencies.target[usable]
    if demand.order == "clock":
        against = parts.ended_ok[after] & (parts.ended[after] < parts.began[before])
    else:
        against = parts.ended_ok[after] & parts.ended_ok[before]
        against &= parts.process[after] == parts.process[before]
        against &= parts.ended[after] < parts.ended[before]
    found = np.flatnonzero(against)
    return [int(before[found[0]]), int(after[found[0]])] if len(found) else None


def _up_to(demand: OrderDemand) -> Iterator[OrderDemand]:
    """The demands that are no stronger, weakest first."""
    orders: list[Order] = ["none"] if demand.order == "none" else ["none", demand.order]
    for order in orders:
        yield OrderDemand(reads_count=False, rw="none", order=order)
        if demand.reads_count:
            for rw in _STRENGTH[: _STRENGTH.index(demand.rw) + 1]:
                if rw != "one" or demand.rw == "one":
                    yield OrderDemand(reads_count=True, rw=rw, order=order)


def _shortest(graph: OrderGraph, components: Components) -> list[int] | None:
    """The transactions of a short circle in the smallest component."""
    sizes = components.sizes()
    smallest = int(np.argmin(np.where(sizes > 1, sizes, sizes.max() + 1)))
    inside = components.label == smallest
    edges = np.flatnonzero(inside[graph.source] & inside[graph.target])
    ways = _Ways(graph.source[edges], graph.target[edges])
    best: list[int] | None = None
    visits = 0
    for start in ways.busiest(_STARTS_MAX):
        path, cost = _way(ways, start, len(best) if best else graph.nodes)
        visits += cost
        if path is not None and (best is None or len(path) < len(best)):
            best = path
        if visits > _VISITS_MAX:
            break
    return None if best is None else _transactions(graph, best)


class _Ways:
    """Where one can go on from each node. Arrays: a component can have millions of edges."""

    def __init__(self, source: Ints, target: Ints) -> None:
        order = np.argsort(source, kind="stable")
        self._target = target[order]
        nodes, first = np.unique(source[order], return_index=True)
        end = np.searchsorted(source[order], nodes, "right")
        places = zip(first.tolist(), end.tolist(), strict=True)
        self._range = dict(zip(nodes.tolist(), places, strict=True))

    def __iter__(self) -> Iterator[int]:
        return iter(self._range)

    def on_from(self, node: int) -> list[int]:
        """The next nodes."""
        first, end = self._range.get(node, (0, 0))
        following: list[int] = self._target[first:end].tolist()
        return following

    def busiest(self, count: int) -> list[int]:
        """The nodes with the most ways on."""
        return sorted(self._range, key=lambda node: self._range[node][0] - self._range[node][1])[
            :count
        ]


def _way(ways: _Ways, start: int, longest: int) -> tuple[list[int] | None, int]:
    """A shortest way from a node back to it, and how many edges were looked at."""
    came_from: dict[int, int] = {}
    depth = {start: 0}
    waiting = deque([start])
    visits = 0
    while waiting:
        node = waiting.popleft()
        if depth[node] >= longest:
            break
        for following in ways.on_from(node):
            visits += 1
            if following == start:
                path = [node]
                while path[-1] != start:
                    path.append(came_from[path[-1]])
                return path[::-1], visits
            if following not in depth:
                depth[following] = depth[node] + 1
                came_from[following] = node
                waiting.append(following)
    return None, visits


def _transactions(graph: OrderGraph, path: Sequence[int]) -> list[int]:
    """The transactions of a way around, without what stands for nothing, each once."""
    all_of_them = [graph.transaction_of(node) for node in path]
    found = [one for one in all_of_them if one is not None]
    return [one for index, one in enumerate(found) if one != found[index - 1] or len(found) == 1]


class SearchLimitError(Exception):
    """So much had to be searched that it was given up."""


def path_with_one_rw(parts: Parts, demand: OrderDemand) -> list[int] | None:
    """The transactions of a circle with exactly one ``rw``, which parallel snapshot isolation
    forbids; None if there is none.

    From every transaction whose write a reader did not see, a way back to that reader is looked
    for over what is no ``rw``; the way back may not use a hub, through which only ``rw`` passes.

    Raises:
        SearchLimitError: more than ``BACKWARD_VISITS_MAX`` nodes were met.
    """
    anything = OrderDemand(reads_count=True, rw="any", order=demand.order)
    label = find_components(build_graph(parts, anything)).label
    graph = build_graph(parts, OrderDemand(reads_count=True, rw="none", order=demand.order))
    inside = label[graph.source] == label[graph.target]
    ways = _Ways(graph.source[inside], graph.target[inside])
    missed = _missed(parts)
    best: list[int] | None = None
    visits = 0
    for writer in sorted(missed):
        readers = {one for one in missed[writer] if label[one] == label[writer]}
        found, met = _reached(ways, writer, readers)
        visits += met
        for reader, path in found.items():
            if best is None or len(path) + 1 < len(best):
                best = [reader, *path]
        if visits > BACKWARD_VISITS_MAX and best is None:
            raise SearchLimitError
    return None if best is None else _transactions(graph, best)


def _missed(parts: Parts) -> dict[int, set[int]]:
    """Of each writer: the readers that did not see its next write. Hubs are seen through."""
    dependencies = parts.dependencies
    is_rw = dependencies.kind == RW
    ways = _Ways(dependencies.source[is_rw], dependencies.target[is_rw])
    missed: dict[int, set[int]] = {}
    for reader in (node for node in ways if node < parts.count):
        waiting = ways.on_from(reader)
        met = set(waiting)
        while waiting:
            node = waiting.pop()
            if node < parts.count:
                missed.setdefault(node, set()).add(reader)
                continue
            fresh = set(ways.on_from(node)) - met
            met |= fresh
            waiting += fresh
    return missed


def _reached(ways: _Ways, start: int, wanted: set[int]) -> tuple[dict[int, list[int]], int]:
    """Of some nodes, those that can be reached, each with a shortest way that leaves the node out;
    and how many nodes were met."""
    came_from = {start: -1}
    waiting = deque([start])
    found: dict[int, list[int]] = {}
    while waiting and len(found) < len(wanted):
        node = waiting.popleft()
        if node in wanted:
            path = [came_from[node]]
            while came_from[path[-1]] != -1:
                path.append(came_from[path[-1]])
            found[node] = path[::-1]
        for following in ways.on_from(node):
            if following not in came_from:
                came_from[following] = node
                waiting.append(following)
    return found, len(came_from)


def _confirmed(witness: CircleWitness, path: Sequence[int], demand: OrderDemand) -> Circle | None:
    """The circle with its reasons; None where the history does not bear a step out."""
    kinds = kinds_of(demand.order, reads_count=demand.reads_count, with_rw=demand.rw != "none")
    path = _leaped(witness, path, demand.order)
    whole: list[CircleStep] = []
    for before, after in zip(path, [*path[1:], path[0]], strict=True):
        step = witness.step(before, after, kinds)
        if step is None:
            return None
        whole.append(step)
    for steps in (_shortened(witness, whole, demand.order), whole):
        unseen = [step.kind == "rw" for step in steps]
        in_a_row = any(one and unseen[index - 1] for index, one in enumerate(unseen))
        if (demand.rw == "apart" and in_a_row) or (demand.rw == "one" and sum(unseen) != 1):
            continue
        return Circle(name=_name(steps, in_a_row=in_a_row), steps=tuple(steps))
    return None


def _leaped(witness: CircleWitness, path: Sequence[int], order: Order) -> Sequence[int]:
    """A long way around with leaps: from each transaction to the last one on the way before which
    the session or the clock has it anyway."""
    if order == "none" or len(path) <= _LONG:
        return path
    whole = np.array(path, np.int64)
    leaped, at = [path[0]], 0
    while at < len(path) - 1:
        later = np.flatnonzero(witness.come_before(path[at], whole[at + 1 :], order))
        at += 1 + (int(later[-1]) if len(later) else 0)
        leaped.append(path[at])
    return leaped


def _shortened(
    witness: CircleWitness, steps: Sequence[CircleStep], order: Order
) -> Sequence[CircleStep]:
    """The circle, cut short where the session or the clock alone leads on.

    The way around was found over single ends on the clock, so it may be long where one step says
    the same: whoever ended first began before whoever began last.
    """
    if order == "none":
        return steps
    numbers = {step.before: number for number, step in enumerate(steps)}
    found = {(numbers[step.before], numbers[step.after]): step for step in steps}
    for before, after in permutations(numbers, 2):
        pair = (numbers[before], numbers[after])
        if pair not in found and (step := witness.step(before, after, [order])) is not None:
            found[pair] = step
    ways = _Ways(*np.array(list(found), np.int64).T)
    shortest = steps
    for start in ways:
        path, _ = _way(ways, start, len(shortest))
        if path is not None and len(path) < len(shortest):
            shortest = [found[pair] for pair in zip(path, [*path[1:], path[0]], strict=True)]
    return shortest


def _name(steps: Sequence[CircleStep], *, in_a_row: bool) -> str:
    kinds = [step.kind for step in steps]
    unseen = kinds.count("rw")
    if unseen == 1:
        name = "G-single-item"
    elif unseen:
        name = "G2-item" if in_a_row else "G-nonadjacent-item"
    else:
        name = "G1c" if "wr" in kinds else "G0"
    if "clock" in kinds:
        return f"{name}-realtime"
    return f"{name}-process" if "session" in kinds else name
