"""A history of rw-register, judged at a level, with a proof or with a circle. Pure.

Which of two writes to a register came first is not in the history. So there is a gap between what
is refuted and what is proved. INVALID is what Elle's rules refute (``edges.refuting``), VALID what
an order explains that was found and replayed; everything between is UNKNOWN, and the reason says
what stands against it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np

from chaos.consistency.answer import HistoryAnswer
from chaos.consistency.levels import AntiDependencies, Level, Order
from chaos.consistency.rw_register import edges
from chaos.consistency.rw_register.accesses import Accesses, find_accesses
from chaos.consistency.rw_register.proof import replay
from chaos.consistency.rw_register.search import Searched, search_order
from chaos.consistency.rw_register.sentences import RegisterTeller
from chaos.consistency.rw_register.steps import RegisterWitness
from chaos.consistency.transactions.columns import Bools, Ints, Transactions
from chaos.consistency.transactions.cycles import members_of_circles, smallest_circle
from chaos.consistency.transactions.edges import Dependencies
from chaos.consistency.transactions.judge import TransactionsJudge
from chaos.consistency.transactions.order import (
    Components,
    OrderDemand,
    OrderGraph,
    Parts,
    Timeline,
    build_graph,
    find_components,
    timeline_of,
)
from chaos.consistency.transactions.replay import Replay
from chaos.consistency.transactions.sentences import ORDERS
from chaos.wording import counted

_STRONGER: Mapping[Order, tuple[Order, ...]] = {
    "none": ("clock", "session", "none"),
    "session": ("clock", "session"),
    "clock": ("clock",),
}
"""What an order may keep to beside, strongest first: that leaves the fewest to look at."""


class RwRegisterJudge(TransactionsJudge):
    """Judges one history of registers."""

    model = "rw-register"
    writes = "writes"
    written = "written"

    def __init__(self, history: Transactions) -> None:
        super().__init__(history)
        self._searched: dict[OrderDemand, Searched | str] = {}

    def _unfit(self) -> str:
        if twice := super()._unfit():
            return twice
        history = self._history
        for micro in np.flatnonzero(~history.is_read).tolist():
            if history.value_name(int(history.value[micro])) is None:
                name = history.key_name(int(history.key[micro]))
                return (
                    f"nil is written to key {name}: a read of nil could be of that write, or of the"
                    " time before any"
                )
        return ""

    def _proved(self, level: Level, graph: OrderGraph, components: Components) -> HistoryAnswer:
        """VALID, if an order can be found that explains the history."""
        del graph, components  # of what refutes; an order has more to keep to
        if strange := self._strange_read(level):
            return self._unknown(level, strange)
        if level.rw == "none":
            return self._along_edges(level)
        took_part = self._accesses.took_part
        kinds: tuple[AntiDependencies, ...] = ("any",) if level.rw == "any" else ("any", "apart")
        demands = [self._demand(kind, order) for order in _STRONGER[level.order] for kind in kinds]
        for demand in demands:
            found = self._search(demand)
            if isinstance(found, Searched) and found.timeline is not None:
                return self._valid(level, took_part, found.timeline)
        if level.rw == "one":
            return self._along_edges(level)
        between = self._between(demands[-1])
        if level.order == "clock" and (stale := self._teller.stale_read()):
            return self._unknown(level, f"{between}. {stale}")
        return self._unknown(level, between)

    def _strange_read(self, level: Level) -> str:
        """A read that no order can explain, although Elle says nothing against it."""
        history, accesses = self._history, self._accesses
        if len(phantoms := accesses.phantoms()):
            read = int(phantoms[0])
            return (
                f"{self._teller.seen(read)} was read in {self._teller.key(read)}, and nobody in the"
                " history wrote it: it was there before, or came out of nowhere"
            )
        reads = accesses.external_reads[accesses.saw[accesses.external_reads] >= 0]
        own = reads[history.op[accesses.saw[reads]] == history.op[reads]]
        if len(own) and level.reads_count:
            read = int(own[0])
            return (
                f"{self._teller.seen(read)} was read in {self._teller.key(read)} by the transaction"
                " that wrote it only afterwards"
            )
        return ""

    def _along_edges(self, level: Level) -> HistoryAnswer:
        """The order of the dependencies alone, where that may be enough."""
        demand = OrderDemand.of(level) if level.rw == "none" else self._demand("none", level.order)
        parts = self._bound_by_all_reads if level.rw == "none" else self._bound
        graph = build_graph(parts, demand)
        timeline = timeline_of(graph, find_components(graph))
        if timeline is None:
            return self._unknown(level, self._circle(parts, demand))
        return self._valid(level, self._accesses.took_part, timeline)

    @staticmethod
    def _demand(rw: AntiDependencies, order: Order) -> OrderDemand:
        return OrderDemand(reads_count=True, rw=rw, order=order)

    def _search(self, demand: OrderDemand) -> Searched | str:
        """What a search for an order came to; where there is a circle, why there is no order."""
        if demand not in self._searched:
            graph = build_graph(self._bound, demand)
            if find_components(graph).has_circle():
                self._searched[demand] = self._circle(self._bound, demand)
            else:
                by_clock = demand.order == "clock"
                found = search_order(self._history, self._accesses, graph, by_clock=by_clock)
                self._searched[demand] = found
        return self._searched[demand]

    def _between(self, demand: OrderDemand) -> str:
        """Why a history is neither refuted nor proved."""
        found = self._search(demand)
        if isinstance(found, str):
            return found
        steps = counted(found.steps, "step")
        if found.is_exhausted:
            why = f"all were looked at ({steps})" if found.steps else "the clock leaves none"
            return (
                "no anomaly that Elle knows is in it, but no order of the transactions explains"
                f" every read: {why}"
            )
        return (
            "no anomaly was found, and no order that explains every read: the search gave up after"
            f" {steps}"
        )

    def _circle(self, parts: Parts, demand: OrderDemand) -> str:
        """A circle that Elle does not look for, in words."""
        graph = build_graph(parts, demand)
        members = members_of_circles(graph, find_components(graph))
        circle = smallest_circle(self._witness, parts, members, demand)
        opening = "no anomaly that Elle knows is in it, but no order explains it"
        if circle is None:
            return opening
        told = self._teller.circle(circle, "any order", 1)
        who = "; ".join(
            f"{one['transaction']} is {one['did']} (process {one['process']})"
            for one in told.evidence
        )
        return f"{opening}. {' '.join(told.sentences[:-1])} {who}"

    def _replay(self, took_part: Bools, timeline: Timeline, level: Level) -> Replay:
        return replay(self._history, took_part, timeline, level)

    def _method(self, level: Level, replayed: Replay) -> str:
        """What the replay has shown, in a sentence."""
        how = _METHODS[replayed.how]
        if level.rw == "any" and "internal" not in level.forbids:
            how += ", but for what they had read or written themselves"
        return how + ORDERS[level.order]

    @cached_property
    def _accesses(self) -> Accesses:
        return find_accesses(self._history)

    @cached_property
    def _anomalies(self) -> Mapping[str, Ints]:
        return self._accesses.anomalies

    @cached_property
    def _dependencies(self) -> Dependencies:
        return edges.refuting(self._history, self._accesses)

    @cached_property
    def _bound(self) -> Parts:
        """What binds an order in which external reads count."""
        return self._bound_by(self._accesses.external_reads)

    @cached_property
    def _bound_by_all_reads(self) -> Parts:
        """What binds one where a transaction may contradict itself."""
        return self._bound_by(np.flatnonzero(self._accesses.saw >= 0))

    def _bound_by(self, reads: Ints) -> Parts:
        history = self._history
        return Parts.of(history, edges.binding(history, self._accesses, reads))

    @cached_property
    def _witness(self) -> RegisterWitness:
        return RegisterWitness(self._history)

    @cached_property
    def _teller(self) -> RegisterTeller:
        return RegisterTeller(history=self._history, accesses=self._accesses, witness=self._witness)


_METHODS: Mapping[str, str] = {
    "writes": "In this order of commits the writes of no two transactions come in both orders; what"
    " was read is not asked for",
    "committed": "In this order of commits every read is nil, its own, or the last write to that"
    " key of a transaction that committed before",
    "visible": "Each transaction sees some of those before it in this order, and all that those"
    " saw; of them the last one to write a key wrote what it read",
    "snapshot": "At the moment where each transaction reads, every key is what it saw, and of two"
    " that write one key one commits before the other reads",
    "serial": "Carried out one after the other in this order, the transactions read what they read",
}
