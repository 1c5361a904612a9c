"""An order in which every read sees the last write, searched one transaction at a time. Pure.

Nothing tells in which order the writes of a register took effect, so the order is not read off a
graph, as with lists, but searched. Whatever must come first by the graph is done first; a
transaction may be next if each key is what it saw, and may overwrite a value only when everybody
who saw that value is done. Who only reads is done as soon as possible, which takes nothing from
anybody; among the writers the one that must be done first is tried first (``bounds.py``), and where
nobody can go on, the last choice is taken back. Situations that led nowhere are not entered twice.

With a graph of snapshot isolation a transaction reads at one step and commits at another, and from
its read to its commit nobody else may commit a write to a key that it writes.

Source: the search of Wing and Gong (1993) with Lowe's cache (2017), for whole transactions.
"""

from __future__ import annotations

import random
from bisect import bisect_left, insort
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from chaos.consistency.rw_register.accesses import NIL, Accesses
from chaos.consistency.rw_register.bounds import TimeBounds, narrowed, plain_bounds
from chaos.consistency.transactions.columns import NEVER, Transactions
from chaos.consistency.transactions.order import OrderGraph, Timeline, find_components

STEPS_MAX = 300_000
"""So many times it is asked whether a transaction may be next, and ``STEPS_PER_NODE`` times for
each node of the graph; a second or two for small histories."""
STEPS_PER_NODE = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """What came of a search."""

    timeline: Timeline | None
    """An order; None: there is none, or none was found."""
    is_exhausted: bool
    """Every order was looked at."""
    steps: int


@dataclass(slots=True)
class _Node:
    """A transaction; with snapshots, its read or its commit; or something that stands for nothing.

    Versions of registers are the numbers of the writes; behind them, those of nil, one a key.
    """

    deadline: int = NEVER
    reads: list[tuple[int, int]] = field(default_factory=list)
    """Key and version."""
    writes: list[tuple[int, int]] = field(default_factory=list)
    holds: list[int] = field(default_factory=list)
    """The keys that nobody else may write until its commit."""
    following: list[int] = field(default_factory=list)

    @property
    def only_reads(self) -> bool:
        return not self.writes and not self.holds


def search_order(
    history: Transactions, accesses: Accesses, graph: OrderGraph, *, by_clock: bool
) -> Searched:
    """Look for an order along the edges of a graph that has no circle.

    Args:
        history: The history.
        accesses: What it shows of each register.
        graph: What must come before what.
        by_clock: The clock is in the graph.
    """
    bounds = plain_bounds(history, accesses, graph)
    if by_clock and not graph.is_split:
        graph, bounds = narrowed(history, accesses, graph)
        if find_components(graph).has_circle():
            return Searched(timeline=None, is_exhausted=True, steps=0)
    return _OrderSearch(history, accesses, graph, bounds).run()


class _OrderSearch:
    def __init__(
        self, history: Transactions, accesses: Accesses, graph: OrderGraph, bounds: TimeBounds
    ) -> None:
        self._graph = graph
        self._count = history.count
        self._nodes = _nodes(history, accesses, graph)
        for node, latest in zip(self._nodes, bounds.latest.tolist(), strict=True):
            node.deadline = latest
        total = len(history.op) + history.keys
        self._current = [len(history.op) + key for key in range(history.keys)]
        self._left = [0] * total
        self._readers: dict[int, list[int]] = defaultdict(list)
        for number, node in enumerate(self._nodes):
            for _, version in node.reads:
                self._left[version] += 1
                if node.only_reads:
                    self._readers[version].append(number)
        self._held = [0] * history.keys
        self._waits_for = np.bincount(graph.target, minlength=graph.nodes).tolist()
        self._ready: list[tuple[int, int]] = []
        self._safe: list[int] = []
        self._trail: list[tuple[int, list[int]]] = []
        """What was done, and which versions it overwrote."""
        drawn = random.Random(0)
        self._mark = [drawn.getrandbits(64) for _ in range(graph.nodes + total)]
        self._situation = 0
        self._steps = 0

    def run(self) -> Searched:
        """Do one after the other, take back where nobody can go on."""
        for number, waits in enumerate(self._waits_for):
            if not waits:
                self._is_ready(number)
        steps_max = STEPS_MAX + STEPS_PER_NODE * len(self._nodes)
        choices: list[tuple[int, int, int]] = []
        dead: set[int] = set()
        at = 0
        while True:
            self._do_what_is_safe()
            if len(self._trail) == len(self._nodes):
                return Searched(timeline=self._timeline(), is_exhausted=False, steps=self._steps)
            if self._steps > steps_max:
                return Searched(timeline=None, is_exhausted=False, steps=self._steps)
            here = self._situation
            place = None if here in dead else self._next(at)
            if place is not None:
                choices.append((len(self._trail), place + 1, here))
                self._do(self._ready[place][1])
                at = 0
                continue
            dead.add(here)
            if not choices:
                return Searched(timeline=None, is_exhausted=True, steps=self._steps)
            length, at, _ = choices.pop()
            while len(self._trail) > length:
                self._undo()

    def _next(self, at: int) -> int | None:
        """The place of the next node that may be done, from a place on."""
        for place in range(at, len(self._ready)):
            if self._may(self._ready[place][1]):
                return place
        return None

    def _do_what_is_safe(self) -> None:
        while self._safe:
            number = self._safe.pop()
            entry = (self._nodes[number].deadline, number)
            place = bisect_left(self._ready, entry)
            if place < len(self._ready) and self._ready[place] == entry and self._may(number):
                self._do(number)

    def _may(self, number: int) -> bool:
        """Whether a node that waits for nobody may be next."""
        self._steps += 1
        node = self._nodes[number]
        if any(self._current[key] != version for key, version in node.reads):
            return False
        if any(self._held[key] for key in node.holds):
            return False
        for key, _ in node.writes:
            version = self._current[key]
            if self._left[version] > ((key, version) in node.reads):
                return False
        return True

    def _do(self, number: int) -> None:
        node = self._nodes[number]
        del self._ready[bisect_left(self._ready, (node.deadline, number))]
        self._situation ^= self._mark[number]
        for _, version in node.reads:
            self._left[version] -= 1
        for key in node.holds:
            self._held[key] += 1
        overwritten = []
        for key, version in node.writes:
            overwritten.append(self._current[key])
            self._put(key, version)
            if self._graph.is_split:
                self._held[key] -= 1
            self._safe += self._readers[version]
        self._trail.append((number, overwritten))
        for following in node.following:
            self._waits_for[following] -= 1
            if not self._waits_for[following]:
                self._is_ready(following)

    def _undo(self) -> None:
        number, overwritten = self._trail.pop()
        node = self._nodes[number]
        for following in node.following:
            if not self._waits_for[following]:
                entry = (self._nodes[following].deadline, following)
                del self._ready[bisect_left(self._ready, entry)]
            self._waits_for[following] += 1
        for (key, _), version in zip(node.writes, overwritten, strict=True):
            self._put(key, version)
            if self._graph.is_split:
                self._held[key] += 1
        for key in node.holds:
            self._held[key] -= 1
        for _, version in node.reads:
            self._left[version] += 1
        self._situation ^= self._mark[number]
        insort(self._ready, (node.deadline, number))

    def _put(self, key: int, version: int) -> None:
        first = len(self._nodes)
        self._situation ^= self._mark[first + self._current[key]] ^ self._mark[first + version]
        self._current[key] = version

    def _is_ready(self, number: int) -> None:
        insort(self._ready, (self._nodes[number].deadline, number))
        if self._nodes[number].only_reads:
            self._safe.append(number)

    def _timeline(self) -> Timeline:
        place = np.zeros(len(self._nodes), np.int64)
        place[[number for number, _ in self._trail]] = np.arange(len(self._trail))
        read_at = place[: self._count]
        split = self._graph.is_split
        return Timeline(
            read_at=read_at, commit_at=place[self._count : 2 * self._count] if split else read_at
        )


def _nodes(history: Transactions, accesses: Accesses, graph: OrderGraph) -> list[_Node]:
    nodes = [_Node() for _ in range(graph.nodes)]
    commit = history.count if graph.is_split else 0
    for source, target in zip(graph.source.tolist(), graph.target.tolist(), strict=True):
        nodes[source].following.append(target)
    nil = len(history.op)
    for micro in accesses.external_reads.tolist():
        key, saw = int(history.key[micro]), int(accesses.saw[micro])
        nodes[history.op[micro]].reads.append((key, nil + key if saw == NIL else saw))
    for micro in accesses.final_writes.tolist():
        op, key = int(history.op[micro]), int(history.key[micro])
        if accesses.took_part[op]:
            nodes[op + commit].writes.append((key, micro))
            if commit:
                nodes[op].holds.append(key)
    return nodes
