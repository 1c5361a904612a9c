"""A history of transactions, judged at a level: what all models do alike. Pure."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import ClassVar

from chaos.consistency.answer import Anomaly, HistoryAnswer, Proof
from chaos.consistency.levels import Level
from chaos.consistency.transactions.columns import OK, Bools, Ints, Transactions
from chaos.consistency.transactions.cycles import (
    BACKWARD_VISITS_MAX,
    SearchLimitError,
    members_of_circles,
    path_with_one_rw,
    smallest_circle,
)
from chaos.consistency.transactions.edges import Dependencies
from chaos.consistency.transactions.order import (
    Components,
    OrderDemand,
    OrderGraph,
    Parts,
    Timeline,
    build_graph,
    find_components,
)
from chaos.consistency.transactions.replay import Replay
from chaos.consistency.transactions.sentences import OrderInWords, Teller
from chaos.consistency.transactions.steps import CircleWitness
from chaos.consistency.transactions.writes import written_twice
from chaos.findings import Verdict
from chaos.wording import counted


class TransactionsJudge(ABC):
    """Judges one history, at as many levels as are asked; what they share is found once.

    A model says what depends on what, what is wrong without a circle, and how an order is proved.
    """

    model: ClassVar[str]
    writes: ClassVar[str]
    """What is not a read, in the plural: appends, writes."""
    written: ClassVar[str]
    """What was done to a value then: appended, written."""

    def __init__(self, history: Transactions) -> None:
        self._history = history

    def judge(self, level: Level) -> HistoryAnswer:
        """The verdict at a level."""
        if not self._history.count:
            return self._unknown(level, "there is no transaction of a client in it")
        if unfit := self._unfit():
            return self._unknown(level, unfit)
        return self._judge(level)

    def _unfit(self) -> str:
        """Why nothing can be said of this history at any level; empty: something can."""
        history = self._history
        twice = written_twice(history)
        if twice is None:
            return ""
        value = history.value_name(int(history.value[twice]))
        key = history.key_name(int(history.key[twice]))
        return (
            f"{value} is {self.written} more than once to key {key}: what came after what can only"
            f" be told where each value is {self.written} once"
        )

    @property
    @abstractmethod
    def _anomalies(self) -> Mapping[str, Ints]:
        """The micro-operations at which each anomaly shows that needs no circle."""

    @property
    @abstractmethod
    def _dependencies(self) -> Dependencies:
        """What refutes the history if it has a circle."""

    @property
    @abstractmethod
    def _witness(self) -> CircleWitness:
        """What confirms a circle."""

    @property
    @abstractmethod
    def _teller(self) -> Teller:
        """What words anomalies."""

    @abstractmethod
    def _proved(self, level: Level, graph: OrderGraph, components: Components) -> HistoryAnswer:
        """VALID, if an order explains the history, in which no anomaly was found."""

    @abstractmethod
    def _replay(self, took_part: Bools, timeline: Timeline, level: Level) -> Replay:
        """Hold an order against the history, with nothing but both."""

    @abstractmethod
    def _method(self, level: Level, replayed: Replay) -> str:
        """What the replay has shown, in a sentence."""

    def _judge(self, level: Level) -> HistoryAnswer:
        """The verdict on a history of which something can be said."""
        forbidden = [name for name in self._anomalies if name in level.forbids]
        local = tuple(self._teller.local(name, self._anomalies[name]) for name in forbidden)
        demand = OrderDemand.of(level)
        graph = build_graph(self._parts, demand)
        components = find_components(graph)
        if level.rw == "one":
            return self._parallel(level, local, graph, components)
        if not components.has_circle():
            if local:
                return self._invalid(level, local)
            return self._proved(level, graph, components)
        return self._circular(
            level, local, demand, members_of_circles(graph, components), components
        )

    def _parallel(
        self, level: Level, local: tuple[Anomaly, ...], graph: OrderGraph, components: Components
    ) -> HistoryAnswer:
        """Parallel snapshot isolation: no circle of dependencies, and none with exactly one ``rw``.

        What snapshot isolation allows, it allows too. So only where that is broken is looked at.
        """
        stronger = OrderDemand(reads_count=True, rw="apart", order=level.order)
        apart = build_graph(self._parts, stronger)
        circles = find_components(apart)
        if circles.has_circle():
            members = members_of_circles(apart, circles)
            if components.has_circle():
                return self._circular(level, local, OrderDemand.of(level), members, components)
            try:
                path = path_with_one_rw(self._parts.only(members), OrderDemand.of(level))
            except SearchLimitError:
                if local:
                    return self._invalid(level, local)
                return self._unknown(
                    level,
                    f"{counted(len(members), 'transaction')} hang together, and among them a"
                    " circle with one missed write was looked for up to the limit of"
                    f" {BACKWARD_VISITS_MAX:,}",
                )
            if path is not None:
                return self._circular(level, local, OrderDemand.of(level), members, circles)
        if local:
            return self._invalid(level, local)
        return self._proved(level, graph, components)

    def _circular(
        self,
        level: Level,
        local: tuple[Anomaly, ...],
        demand: OrderDemand,
        members: Ints,
        components: Components,
    ) -> HistoryAnswer:
        """INVALID by a circle, if the second function confirms one."""
        circle = smallest_circle(self._witness, self._parts, members, demand)
        if circle is None and local:
            return self._invalid(level, local)
        if circle is None:
            return self._unknown(
                level,
                f"{counted(len(members), 'transaction')} hang together in circles, but no circle"
                " could be confirmed by the history alone",
            )
        several = int((components.sizes() > 1).sum())
        told = self._teller.circle(circle, level.name, max(several, 1))
        return self._invalid(level, (told, *local))

    def _valid(self, level: Level, took_part: Bools, timeline: Timeline) -> HistoryAnswer:
        """VALID, if the order explains the history."""
        started = time.perf_counter()
        replayed = self._replay(took_part, timeline, level)
        took_s = time.perf_counter() - started
        if replayed.wrong:
            return self._unknown(
                level,
                f"no anomaly was found, but the order that was found does not explain the history:"
                f" {replayed.wrong}",
            )
        proof = Proof(
            method=self._method(level, replayed),
            order=OrderInWords(self._history, took_part, timeline),
            checked=replayed.checked,
            took_s=took_s,
        )
        reason = (
            f"{counted(int(took_part.sum()), 'transaction')} stand in an order that explains every"
            f" read as {level.name} asks"
        )
        return self._answer(level, Verdict.VALID, reason, proof=proof)

    def _invalid(self, level: Level, anomalies: tuple[Anomaly, ...]) -> HistoryAnswer:
        names = ", ".join(dict.fromkeys(one.name for one in anomalies))
        reason = f"it shows what {level.name} forbids: {names}"
        return self._answer(level, Verdict.INVALID, reason, anomalies)

    def _unknown(self, level: Level, reason: str) -> HistoryAnswer:
        return self._answer(level, Verdict.UNKNOWN, reason)

    def _answer(
        self,
        level: Level,
        verdict: Verdict,
        reason: str,
        anomalies: tuple[Anomaly, ...] = (),
        proof: Proof | None = None,
    ) -> HistoryAnswer:
        history = self._history
        return HistoryAnswer(
            model=self.model,
            level=level.name,
            verdict=verdict,
            reason=reason,
            anomalies=anomalies,
            proof=proof,
            counts={
                "transactions": history.count,
                "acknowledged": int((history.outcome == OK).sum()),
                "reads": int(history.is_read.sum()),
                self.writes: int((~history.is_read).sum()),
                "keys": history.keys,
            },
        )

    @cached_property
    def _parts(self) -> Parts:
        return Parts.of(self._history, self._dependencies)
