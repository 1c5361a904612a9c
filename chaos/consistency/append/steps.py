"""Why one transaction comes before another, told from the lists they appended to and read. Pure.

Of the history it uses the two transactions and the longest read of a key.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chaos.consistency.transactions.columns import FAIL, Transactions
from chaos.consistency.transactions.steps import CircleWitness

ELEMENTS_SHOWN_MAX = 8
"""So many elements of a list are written, the last ones."""


class ListWitness(CircleWitness):
    """What a history of lists says of pairs of transactions."""

    def __init__(self, history: Transactions, *, first_of_equals: bool = False) -> None:
        super().__init__(history)
        self._choice = 0 if first_of_equals else -1
        self._longest: dict[int, list[int]] = {}

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

    def _ww(self, before: int, after: int) -> str:
        earlier = set(self._writes(before))
        for key, value in self._writes(after):
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
        appended = set(self._writes(before))
        for key, seen in self._reads(after):
            if seen and (key, seen[-1]) in appended:
                name, value = self._names(key, seen[-1])
                return f"{{b}} saw {value} in {name}, which {{a}} had appended"
        return ""

    def _rw(self, before: int, after: int) -> str:
        appended = self._writes(after)
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
