"""A history of list-append, judged at a level, with a proof or with a circle. Pure."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np

from chaos.consistency.answer import Anomaly, HistoryAnswer, Proof
from chaos.consistency.append.anomalies import find_anomalies
from chaos.consistency.append.columns import Ints, Transactions
from chaos.consistency.append.cycles import (
    BACKWARD_VISITS_MAX,
    SearchLimitError,
    members_of_circles,
    path_with_one_rw,
    smallest_circle,
)
from chaos.consistency.append.edges import Dependencies, find_dependencies
from chaos.consistency.append.order import (
    Components,
    OrderDemand,
    OrderGraph,
    Parts,
    Timeline,
    build_graph,
    find_components,
    timeline_of,
)
from chaos.consistency.append.proof import replay
from chaos.consistency.append.sentences import Teller
from chaos.consistency.append.steps import CircleWitness
from chaos.consistency.append.versions import Versions, appended_twice, find_versions
from chaos.consistency.levels import LEVELS, Level
from chaos.findings import Verdict
from chaos.wording import counted

MODEL = "list-append"


class ListAppendJudge:
    """Judges one history, at as many levels as are asked; what they share is found once."""

    def __init__(self, history: Transactions, *, first_of_equals: bool = False) -> None:
        self._history = history
        self._first_of_equals = first_of_equals

    def judge(self, level: Level) -> HistoryAnswer:
        """The verdict at a level."""
        if unfit := self._unfit():
            return self._answer(level, Verdict.UNKNOWN, unfit)
        answer = self._judge(level)
        if level.reads_count or not self._versions.is_contested or self._first_of_equals:
            return answer
        other = ListAppendJudge(self._history, first_of_equals=True).judge(level)
        if other.verdict is answer.verdict:
            return answer
        return self._answer(
            level,
            Verdict.UNKNOWN,
            "two equally long reads of a key contradict one another, and only with one of them do"
            " the appends stand in a circle",
        )

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
            return self._valid(level, timeline_of(graph, components))
        return self._circular(
            level, local, demand, members_of_circles(graph, components), components
        )

    def _unfit(self) -> str:
        """Why nothing can be said of this history at any level; empty: something can."""
        history = self._history
        if not history.count:
            return "there is no transaction of a client in it"
        twice = appended_twice(history)
        if twice is None:
            return ""
        value = history.value_name(int(history.value[twice]))
        key = history.key_name(int(history.key[twice]))
        return (
            f"{value} is appended more than once to key {key}: the order of a list can only be told"
            " where each value is appended once"
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
                return self._answer(
                    level,
                    Verdict.UNKNOWN,
                    f"{counted(len(members), 'transaction')} hang together, and among them a"
                    " circle with one missed append was looked for up to the limit of"
                    f" {BACKWARD_VISITS_MAX:,}",
                )
            if path is not None:
                return self._circular(level, local, OrderDemand.of(level), members, circles)
        if local:
            return self._invalid(level, local)
        return self._valid(level, timeline_of(graph, components))

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
            return self._answer(
                level,
                Verdict.UNKNOWN,
                f"{counted(len(members), 'transaction')} hang together in circles, but no circle"
                " could be confirmed by the history alone",
            )
        several = int((components.sizes() > 1).sum())
        told = self._teller.circle(circle, level.name, max(several, 1))
        return self._invalid(level, (told, *local))

    def _invalid(self, level: Level, anomalies: tuple[Anomaly, ...]) -> HistoryAnswer:
        names = ", ".join(dict.fromkeys(one.name for one in anomalies))
        return self._answer(
            level, Verdict.INVALID, f"it shows what {level.name} forbids: {names}", anomalies
        )

    def _valid(self, level: Level, timeline: Timeline | None) -> HistoryAnswer:
        """VALID, if the order explains the history."""
        history, took_part = self._history, self._dependencies.took_part
        if timeline is None:
            return self._answer(level, Verdict.UNKNOWN, "no order could be made of the graph")
        started = time.perf_counter()
        replayed = replay(history, took_part, timeline, level)
        took_s = time.perf_counter() - started
        if replayed.wrong:
            return self._answer(
                level,
                Verdict.UNKNOWN,
                f"no anomaly was found, but the order that was found does not explain the history:"
                f" {replayed.wrong}",
            )
        return self._answer(
            level,
            Verdict.VALID,
            f"{counted(int(took_part.sum()), 'transaction')} stand in an order that explains every"
            f" read as {level.name} asks",
            proof=Proof(
                method=_method(level),
                order=_OrderInWords(history, took_part, timeline, is_split=level.is_snapshot),
                checked=replayed.checked,
                took_s=took_s,
            ),
        )

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
            model=MODEL,
            level=level.name,
            verdict=verdict,
            reason=reason,
            anomalies=anomalies,
            proof=proof,
            counts={
                "transactions": history.count,
                "acknowledged": int((history.outcome == 0).sum()),
                "reads": int(history.is_read.sum()),
                "appends": int((~history.is_read).sum()),
                "keys": history.keys,
            },
        )

    @cached_property
    def _versions(self) -> Versions:
        return find_versions(self._history, first_of_equals=self._first_of_equals)

    @cached_property
    def _anomalies(self) -> Mapping[str, Ints]:
        return find_anomalies(self._history, self._versions)

    @cached_property
    def _dependencies(self) -> Dependencies:
        return find_dependencies(self._history, self._versions)

    @cached_property
    def _parts(self) -> Parts:
        return Parts.of(self._history, self._dependencies)

    @cached_property
    def _witness(self) -> CircleWitness:
        return CircleWitness(self._history, first_of_equals=self._first_of_equals)

    @cached_property
    def _teller(self) -> Teller:
        return Teller(history=self._history, versions=self._versions, witness=self._witness)


_METHODS: Mapping[str, str] = {
    "appends": "In this order of commits every list grows as its longest read shows",
    "none": "In this order of commits every read is what its key had been at some time before,"
    " without a part of any transaction",
    "one": "In this order of commits every read is what its key had been at some time before, and"
    " no transaction missed an append that what it saw depends on",
    "apart": "At the moment where each transaction reads, every key is what it saw, and of two"
    " that append to one key one commits before the other reads",
    "any": "Carried out one after the other in this order, the transactions read what they read",
}
_ORDERS: Mapping[str, str] = {
    "none": ".",
    "session": "; the acknowledged transactions of each process stand in its order.",
    "clock": "; none stands before one that had ended before it began.",
}


def _method(level: Level) -> str:
    """What the replay has shown, in a sentence."""
    how = _METHODS[level.rw if level.reads_count else "appends"]
    if level.rw == "any" and "internal" not in level.forbids:
        how += ", but for what they had appended themselves"
    return how + _ORDERS[level.order]


class _OrderInWords(Sequence[str]):
    """The steps of an order, worded when somebody asks."""

    def __init__(
        self, history: Transactions, took_part: np.ndarray, timeline: Timeline, *, is_split: bool
    ) -> None:
        who = np.flatnonzero(took_part)
        reads, commits = timeline.read_at[who], timeline.commit_at[who]
        places = np.concatenate([reads, commits]) if is_split else reads
        order = np.argsort(places, kind="stable")
        self._history = history
        self._who = np.concatenate([who, who])[order] if is_split else who[order]
        self._is_commit = order >= len(who)
        self._is_split = is_split

    def __len__(self) -> int:
        return len(self._who)

    def __getitem__(self, index: int) -> str:  # type: ignore[override]
        details = self._history.details(int(self._who[index]))
        lines = [str(details[key]) for key in ("began_line", "ended_line") if key in details]
        what = ("commits " if self._is_commit[index] else "reads   ") if self._is_split else ""
        return f"{what}process {details.get('process')}, lines {' to '.join(lines)}"

    def __iter__(self) -> Iterator[str]:
        return (self[index] for index in range(len(self)))


def judge_transactions(history: Transactions, level: str) -> HistoryAnswer:
    """The verdict on a history at a level of ``LEVELS``."""
    return ListAppendJudge(history).judge(LEVELS[level])
