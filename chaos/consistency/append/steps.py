"""Why one transaction comes before another, told from the history alone. Pure.

This is the second function: it confirms each step of a circle with nothing but the two transactions
and the longest read of a key, not with the dependencies in which the circle was found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from chaos.consistency.append.columns import FAIL, OK, Bools, Ints, Transactions
from chaos.consistency.levels import Order

ELEMENTS_SHOWN_MAX = 8
"""So many elements of a list are written, the last ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CircleStep:
    """One transaction before another."""

    before: int
    after: int
    kind: str
    """``ww``, ``wr``, ``rw``, ``session`` or ``clock``."""
    why: str
    """A sentence in which ``{a}`` is the first transaction and ``{b}`` the second."""


class CircleWitness:
    """What a history says of pairs of transactions."""

    def __init__(self, history: Transactions, *, first_of_equals: bool = False) -> None:
        self._history = history
        self._choice = 0 if first_of_equals else -1
        self._longest: dict[int, list[int]] = {}

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

    def longest(self, key: int) -> list[int]:
        """The longest read of a key; empty where nobody saw anything."""
        if key not in self._longest:
            history = self._history
            reads = np.flatnonzero(history.is_read & (history.key == key) & (history.length > 0))
            reads = reads[history.outcome[history.op[reads]] != FAIL]
            longest = reads[history.length[reads] == history.length[reads].max(initial=0)]
            self._longest[key] = history.list_of(int(longest[self._choice])) if len(longest) else []
        return self._longest[key]

    def shown_list(self, elements: Sequence[int]) -> str:
        """A list as people write it, cut to its last elements."""
        names = [str(self._history.value_name(one)) for one in elements[-ELEMENTS_SHOWN_MAX:]]
        return f"[{'... ' if len(elements) > ELEMENTS_SHOWN_MAX else ''}{' '.join(names)}]"

    def shown(self, transaction: int) -> str:
        """What a transaction did: ``append x 1, r y [1 2]``."""
        history = self._history
        parts = []
        for micro in history.micro_ops(transaction):
            key = history.key_name(int(history.key[micro]))
            if not history.is_read[micro]:
                parts.append(f"append {key} {history.value_name(int(history.value[micro]))}")
            elif history.length[micro] < 0:
                parts.append(f"r {key} ?")
            else:
                parts.append(f"r {key} {self.shown_list(history.list_of(micro))}")
        return ", ".join(parts)

    def _appends(self, transaction: int) -> list[tuple[int, int]]:
        history = self._history
        return [
            (int(history.key[micro]), int(history.value[micro]))
            for micro in history.micro_ops(transaction)
            if not history.is_read[micro]
        ]

    def _reads(self, transaction: int) -> list[tuple[int, list[int]]]:
        history = self._history
        return [
            (int(history.key[micro]), history.list_of(micro))
            for micro in history.micro_ops(transaction)
            if history.is_read[micro] and history.length[micro] >= 0
        ]

    def _ww(self, before: int, after: int) -> str:
        earlier = set(self._appends(before))
        for key, value in self._appends(after):
            seen = self.longest(key)
            at = seen.index(value) if value in seen else len(seen)
            if at and (key, seen[at - 1]) in earlier:
                names = self._names(key, value, seen[at - 1])
                unseen = "" if at < len(seen) else ", which nobody saw,"
                return "{{b}} appended {1}{3} to {0} after {{a}} had appended {2}".format(
                    *names, unseen
                )
        return ""

    def _wr(self, before: int, after: int) -> str:
        appended = set(self._appends(before))
        for key, seen in self._reads(after):
            if seen and (key, seen[-1]) in appended:
                name, value = self._names(key, seen[-1])
                return f"{{b}} saw {value} in {name}, which {{a}} had appended"
        return ""

    def _rw(self, before: int, after: int) -> str:
        appended = self._appends(after)
        for key, seen in self._reads(before):
            longest = self.longest(key)
            following = longest[len(seen)] if len(seen) < len(longest) else None
            for other, value in appended:
                unseen = following is None and value not in longest
                if other == key and (value == following or unseen):
                    name, shown = self._names(key, value)
                    what = self.shown_list(seen)
                    return f"{{a}} saw {name} as {what}, without {shown}, which {{b}} appended"
        return ""

    def _ordered(self, before: int, after: int, kind: str) -> str:
        history = self._history
        if not self.come_before(before, np.array([after]), cast(Order, kind))[0]:
            return ""
        if kind == "clock":
            return "{a} had ended before {b} began"
        if kind == "session":
            return f"{{a}} came before {{b}} in the session of process {history.process[before]}"
        return ""

    def _names(self, key: int, *values: int) -> tuple[str, ...]:
        history = self._history
        return (f"key {history.key_name(key)}", *(str(history.value_name(one)) for one in values))


def kinds_of(order: Order, *, reads_count: bool, with_rw: bool) -> list[str]:
    """The kinds of steps that count, those of the lists first."""
    kinds = ["ww", "wr"] if reads_count else ["ww"]
    if order != "none":
        kinds.append(order)
    return [*kinds, "rw"] if with_rw else kinds
