"""Why one transaction comes before another, told from the history alone. Pure.

This is the second function: it confirms each step of a circle with nothing but the two transactions
and what a model asks the history for, not with the dependencies in which the circle was found.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from chaos.consistency.levels import Order
from chaos.consistency.transactions.columns import OK, Bools, Ints, Transactions


@dataclass(frozen=True, slots=True, kw_only=True)
class CircleStep:
    """One transaction before another."""

    before: int
    after: int
    kind: str
    """``ww``, ``wr``, ``rw``, ``session`` or ``clock``."""
    why: str
    """A sentence in which ``{a}`` is the first transaction and ``{b}`` the second."""


class CircleWitness(ABC):
    """What a history says of pairs of transactions."""

    def __init__(self, history: Transactions) -> None:
        self._history = history

    @abstractmethod
    def shown(self, transaction: int) -> str:
        """What a transaction did: ``append x 1, r y [1 2]``."""

    @abstractmethod
    def _ww(self, before: int, after: int) -> str:
        """Why what the second one wrote came after what the first one wrote; empty: it did not."""

    @abstractmethod
    def _wr(self, before: int, after: int) -> str:
        """What the second one saw that the first one wrote; empty: nothing."""

    @abstractmethod
    def _rw(self, before: int, after: int) -> str:
        """What the first one did not yet see that the second one wrote; empty: nothing."""

    def step(self, before: int, after: int, kinds: Sequence[str]) -> CircleStep | None:
        """The first of some kinds for which one comes before the other; None: none holds."""
        tellers = {"ww": self._ww, "wr": self._wr, "rw": self._rw}
        for kind in kinds:
            told = self._ordered(before, after, kind) if kind not in tellers else ""
            if kind in tellers:
                told = tellers[kind](before, after)
            if told:
                return CircleStep(before=before, after=after, kind=kind, why=told)
        return None

    def come_before(self, before: int, after: Ints, order: Order) -> Bools:
        """Which of some transactions the session or the clock has after one."""
        history = self._history
        if history.outcome[before] != OK or order == "none":
            return np.zeros(len(after), np.bool_)
        if order == "clock":
            is_later: Bools = history.began[after] > history.ended[before]
            return is_later
        is_later = history.ended[after] > history.ended[before]
        is_later &= history.process[after] == history.process[before]
        is_later &= history.outcome[after] == OK
        return is_later

    def _ordered(self, before: int, after: int, kind: str) -> str:
        history = self._history
        if not self.come_before(before, np.array([after]), cast(Order, kind))[0]:
            return ""
        if kind == "clock":
            return "{a} had ended before {b} began"
        if kind == "session":
            return f"{{a}} came before {{b}} in the session of process {history.process[before]}"
        return ""

    def _writes(self, transaction: int) -> list[tuple[int, int]]:
        """Key and value of everything that a transaction appended or wrote."""
        history = self._history
        return [
            (int(history.key[micro]), int(history.value[micro]))
            for micro in history.micro_ops(transaction)
            if not history.is_read[micro]
        ]

    def _reads(self, transaction: int) -> list[tuple[int, list[int]]]:
        """Key and answer of every read of a transaction of which an answer is known."""
        history = self._history
        return [
            (int(history.key[micro]), history.list_of(micro))
            for micro in history.micro_ops(transaction)
            if history.is_read[micro] and history.length[micro] >= 0
        ]

    def _names(self, key: int, *values: int) -> tuple[str, ...]:
        history = self._history
        return (f"key {history.key_name(key)}", *(str(history.value_name(one)) for one in values))


def kinds_of(order: Order, *, reads_count: bool, with_rw: bool) -> list[str]:
    """The kinds of steps that count, those of the lists first."""
    kinds = ["ww", "wr"] if reads_count else ["ww"]
    if order != "none":
        kinds.append(order)
    return [*kinds, "rw"] if with_rw else kinds
