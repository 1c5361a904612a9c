"""Is there an order of the transactions that a level allows? One look for circles. Pure.

All that must come before something else becomes one directed graph. If it has no circle, any order
along its edges is what the level asks for; if it has one, the transactions on it contradict the
level.

Snapshot isolation lets a transaction read at one moment and commit at a later one, so there each
has two nodes: it reads, then it commits. What it depends on had committed before it read; what it
did not see (``rw``) committed after it had read. A circle in that graph is a circle of dependencies
in which no two ``rw`` follow one another: just what snapshot isolation forbids (Cerone and Gotsman
2016), and without a circle the graph's order says when each transaction read and committed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from chaos.consistency.levels import AntiDependencies, Level, Order
from chaos.consistency.transactions.columns import NEVER, OK, Bools, Ints, Transactions
from chaos.consistency.transactions.edges import RW, WR, WW, Dependencies


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderDemand:
    """What must come before what: a level, or a part of one."""

    reads_count: bool
    rw: AntiDependencies
    order: Order

    @classmethod
    def of(cls, level: Level) -> OrderDemand:
        """What a level demands."""
        return cls(reads_count=level.reads_count, rw=level.rw, order=level.order)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The transactions between which an order is looked for, and what orders them."""

    dependencies: Dependencies
    ended_ok: Bools
    process: Ints
    began: Ints
    ended: Ints

    @classmethod
    def of(cls, history: Transactions, dependencies: Dependencies) -> Parts:
        """All transactions of a history."""
        return cls(
            dependencies=dependencies,
            ended_ok=(history.outcome == OK) & (history.ended != NEVER),
            process=history.process,
            began=history.began,
            ended=history.ended,
        )

    @property
    def count(self) -> int:
        """So many transactions."""
        return len(self.process)

    def only(self, chosen: Ints) -> Parts:
        """These transactions, numbered from 0, and the edges between them."""
        whole = self.dependencies
        number = np.full(self.count + whole.hubs, -1, np.int64)
        number[chosen] = np.arange(len(chosen))
        number[self.count :] = len(chosen) + np.arange(whole.hubs)
        source, target = number[whole.source], number[whole.target]
        kept = (source >= 0) & (target >= 0)
        return Parts(
            dependencies=Dependencies(
                source=source[kept],
                target=target[kept],
                kind=whole.kind[kept],
                took_part=whole.took_part[chosen],
                hubs=whole.hubs,
            ),
            ended_ok=self.ended_ok[chosen],
            process=self.process[chosen],
            began=self.began[chosen],
            ended=self.ended[chosen],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderGraph:
    """Nodes, and what must come before what."""

    source: Ints
    target: Ints
    nodes: int
    transactions: int
    is_split: bool
    """Each transaction has two nodes: its own number is where it reads, and that plus the number
    of all transactions is where it commits."""

    def transaction_of(self, node: int) -> int | None:
        """The transaction of a node; None for a hub or a place on the clock."""
        own = self.transactions * (2 if self.is_split else 1)
        return node % self.transactions if node < own else None


def build_graph(parts: Parts, demand: OrderDemand) -> OrderGraph:
    """The graph of a demand."""
    dependencies, count = parts.dependencies, parts.count
    is_split = demand.rw == "apart"
    commit = count if is_split else 0
    own = count + commit
    kinds = WW | (WR if demand.reads_count else 0)
    before = (dependencies.kind & kinds) != 0
    sources = [dependencies.source[before] + commit]
    targets = [dependencies.target[before]]
    if demand.rw in {"apart", "any"}:
        unseen = dependencies.kind == RW
        source, target = dependencies.source[unseen], dependencies.target[unseen]
        sources.append(np.where(source >= count, source + commit, source))
        targets.append(target + commit)  # a hub's number is beyond both nodes of a transaction
    if is_split:
        each = np.arange(count, dtype=np.int64)
        sources.append(each)
        targets.append(each + count)
    nodes = own + dependencies.hubs
    if demand.order == "session":
        first, second = _session_edges(parts)
        sources.append(first + commit)
        targets.append(second)
    elif demand.order == "clock":
        first, second, ends = _clock_edges(parts, nodes)
        sources.append(np.where(first < count, first + commit, first))
        targets.append(second)
        nodes += ends
    return OrderGraph(
        source=np.concatenate(sources),
        target=np.concatenate(targets),
        nodes=nodes,
        transactions=count,
        is_split=is_split,
    )


def _session_edges(parts: Parts) -> tuple[Ints, Ints]:
    """The acknowledged transactions of each session, one after the other."""
    ok = np.flatnonzero(parts.ended_ok)
    ordered = ok[np.lexsort((parts.ended[ok], parts.process[ok]))]
    same = parts.process[ordered][1:] == parts.process[ordered][:-1]
    return ordered[:-1][same], ordered[1:][same]


def _clock_edges(parts: Parts, free: int) -> tuple[Ints, Ints, int]:
    """Who ended before whom began, through one node for each end, numbered from ``free``.

    The ends stand in a chain, as the clock has them. A transaction leads to its own end, and the
    last end before a transaction began leads to it: three edges a transaction, however many ran
    side by side.
    """
    ok = np.flatnonzero(parts.ended_ok)
    ended = ok[np.argsort(parts.ended[ok], kind="stable")]
    ends = free + np.arange(len(ended))
    who = np.flatnonzero(parts.dependencies.took_part)
    last = np.searchsorted(parts.ended[ended], parts.began[who]) - 1
    late = last >= 0
    return (
        np.concatenate([ended, ends[:-1], ends[last[late]]]),
        np.concatenate([ends, ends[1:], who[late]]),
        len(ended),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """The circles of a graph, as the sets of nodes that reach one another."""

    count: int
    label: Ints
    """The component of each node."""

    def has_circle(self) -> bool:
        """Whether any node can be left and reached again."""
        return self.count < len(self.label)

    def sizes(self) -> Ints:
        """Of each component: so many nodes."""
        return np.bincount(self.label, minlength=self.count)


def find_components(graph: OrderGraph) -> Components:
    """The strong components of a graph, in time linear in its edges."""
    matrix = csr_array(
        (np.ones(len(graph.source), np.bool_), (graph.source, graph.target)),
        shape=(graph.nodes, graph.nodes),
    )
    count, label = connected_components(matrix, directed=True, connection="strong")
    return Components(count=int(count), label=label.astype(np.int64))


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """When each transaction read, and when it committed: places in one order."""

    read_at: Ints
    commit_at: Ints
    """The same as ``read_at`` where a level knows only one moment."""

    @property
    def is_split(self) -> bool:
        """A transaction reads at one moment and commits at another."""
        return not np.array_equal(self.read_at, self.commit_at)


def places_of(graph: OrderGraph, components: Components) -> Ints | None:
    """The place of each node in an order along all edges; None if there is none to be had.

    The components of scipy come in an order along the edges, or against them. That is not
    promised, so it is looked at here, and what is made of it is replayed (``proof.py``).
    """
    label = components.label
    if (label[graph.source] < label[graph.target]).all():
        return label
    if (label[graph.source] > label[graph.target]).all():
        against: Ints = components.count - 1 - label
        return against
    return None


def timeline_of(graph: OrderGraph, components: Components) -> Timeline | None:
    """An order along all edges of a graph without circles; None if there is none to be had."""
    place = places_of(graph, components)
    if place is None:
        return None
    count = graph.transactions
    read_at = place[:count]
    return Timeline(
        read_at=read_at, commit_at=place[count : 2 * count] if graph.is_split else read_at
    )
