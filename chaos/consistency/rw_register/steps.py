"""Why one transaction comes before another, told from the registers they read and wrote. Pure.

Of the history it uses the two transactions alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from chaos.consistency.transactions.steps import CircleWitness


class RegisterWitness(CircleWitness):
    """What a history of registers says of pairs of transactions.

    Which of two writes came first it does not say: there is no ``ww``.
    """

    def shown(self, transaction: int) -> str:
        """What a transaction did: ``w x 1, r y 2``."""
        history = self._history
        parts = []
        for micro in history.micro_ops(transaction):
            key = history.key_name(int(history.key[micro]))
            if not history.is_read[micro]:
                parts.append(f"w {key} {history.value_name(int(history.value[micro]))}")
            elif history.length[micro] < 0:
                parts.append(f"r {key} ?")
            else:
                parts.append(f"r {key} {self.shown_value(history.list_of(micro))}")
        return ", ".join(parts)

    def shown_value(self, seen: list[int]) -> str:
        """What a read saw."""
        return str(self._history.value_name(seen[0])) if seen else "nil"

    def _ww(self, before: int, after: int) -> str:
        del before, after
        return ""

    def _wr(self, before: int, after: int) -> str:
        written = dict(self._writes(before))
        for key, seen in self._reads(after):
            if seen and written.get(key) == seen[0]:
                name, value = self._names(key, seen[0])
                return f"{{b}} saw {value} in {name}, which {{a}} had written"
        return ""

    def _rw(self, before: int, after: int) -> str:
        written = dict(self._writes(after))
        replaced = dict(self._first_reads(after))
        for key, seen in self._first_reads(before):
            if key not in written:
                continue
            name, value = self._names(key, written[key])
            if not seen:
                return f"{{a}} saw {name} as nil, before {{b}} wrote {value} to it"
            if replaced.get(key) == seen:
                what = self.shown_value(seen)
                return f"{{a}} saw {name} as {what}, which {{b}} read and replaced by {value}"
        return ""

    def _first_reads(self, transaction: int) -> Iterator[tuple[int, list[int]]]:
        """Key and value of the reads of a transaction that show what others wrote."""
        history = self._history
        touched = set()
        for micro in history.micro_ops(transaction):
            key = int(history.key[micro])
            if key not in touched and history.is_read[micro] and history.length[micro] >= 0:
                yield key, history.list_of(micro)
            touched.add(key)
