"""A history of list-append, judged at a level, with a proof or with a circle. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from chaos.consistency.answer import HistoryAnswer
from chaos.consistency.append.anomalies import find_anomalies
from chaos.consistency.append.edges import find_dependencies
from chaos.consistency.append.proof import replay
from chaos.consistency.append.sentences import ListTeller
from chaos.consistency.append.steps import ListWitness
from chaos.consistency.append.versions import Versions, find_versions
from chaos.consistency.levels import LEVELS, Level
from chaos.consistency.transactions.columns import Bools, Ints, Transactions
from chaos.consistency.transactions.edges import Dependencies
from chaos.consistency.transactions.judge import TransactionsJudge
from chaos.consistency.transactions.order import Components, OrderGraph, Timeline, timeline_of
from chaos.consistency.transactions.replay import Replay
from chaos.consistency.transactions.sentences import ORDERS


class ListAppendJudge(TransactionsJudge):
    """Judges one history of lists."""

    model = "list-append"
    writes = "appends"
    written = "appended"

    def __init__(self, history: Transactions, *, first_of_equals: bool = False) -> None:
        super().__init__(history)
        self._first_of_equals = first_of_equals

    def _judge(self, level: Level) -> HistoryAnswer:
        """The verdict, where it does not hang on which of two equally long reads counts."""
        answer = super()._judge(level)
        if level.reads_count or not self._versions.is_contested or self._first_of_equals:
            return answer
        other = ListAppendJudge(self._history, first_of_equals=True).judge(level)
        if other.verdict is answer.verdict:
            return answer
        return self._unknown(
            level,
            "two equally long reads of a key contradict one another, and only with one of them do"
            " the appends stand in a circle",
        )

    def _proved(self, level: Level, graph: OrderGraph, components: Components) -> HistoryAnswer:
        """VALID, if the order of the graph explains the history."""
        timeline = timeline_of(graph, components)
        if timeline is None:
            return self._unknown(level, "no order could be made of the graph")
        return self._valid(level, self._dependencies.took_part, timeline)

    def _replay(self, took_part: Bools, timeline: Timeline, level: Level) -> Replay:
        return replay(self._history, took_part, timeline, level)

    def _method(self, level: Level, replayed: Replay) -> str:
        """What the replay has shown, in a sentence."""
        del replayed
        how = _METHODS[level.rw if level.reads_count else "appends"]
        if level.rw == "any" and "internal" not in level.forbids:
            how += ", but for what they had appended themselves"
        return how + ORDERS[level.order]

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
    def _witness(self) -> ListWitness:
        return ListWitness(self._history, first_of_equals=self._first_of_equals)

    @cached_property
    def _teller(self) -> ListTeller:
        return ListTeller(history=self._history, versions=self._versions, witness=self._witness)


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


def judge_transactions(history: Transactions, level: str) -> HistoryAnswer:
    """The verdict on a history at a level of ``LEVELS``."""
    return ListAppendJudge(history).judge(LEVELS[level])
