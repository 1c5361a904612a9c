"""What each transaction shows of each register, and what is wrong within one. Pure.

Of a transaction only its first read of a key, before it wrote the key itself, and its last write of
a key concern others: they are external. Names and meanings of the anomalies are Elle's
(``elle.rw-register``, ``elle.txn``): what is found here, Elle finds too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from chaos.consistency.transactions.columns import FAIL, OK, Bools, Ints, Transactions, ints
from chaos.consistency.transactions.writes import writes_of

NOBODY, NIL, NO_READ = -1, -2, -3
"""Who wrote what a read saw: nobody in the history, nobody yet, and where it is no known read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accesses:
    """The micro-operations of a history, by what they mean."""

    saw: Ints
    """Of each micro-operation: the write that a read saw; or one of the constants above."""
    external_reads: Ints
    """The first reads, of acknowledged transactions."""
    final_writes: Ints
    """The last writes, of all transactions but the failed ones."""
    took_part: Bools
    """Of each transaction: it was acknowledged, or an acknowledged one saw what it wrote."""
    anomalies: Mapping[str, Ints]
    """The micro-operations at which each anomaly shows; only anomalies that are there."""

    def phantoms(self) -> Ints:
        """Reads of what nobody in the history wrote."""
        return np.flatnonzero(self.saw == NOBODY)


def find_accesses(history: Transactions) -> Accesses:
    """What a history shows in which no value is written twice to a key."""
    saw = _seen_writes(history)
    within = _Within(history)
    real = saw[saw >= 0]
    writers = history.op[real]
    took_part: Bools = history.outcome == OK
    took_part = took_part.copy()
    took_part[writers[history.outcome[writers] != FAIL]] = True
    reads = np.flatnonzero(saw >= 0)
    seen = saw[reads]
    of_failed = history.outcome[history.op[seen]] == FAIL
    of_half = np.isin(seen, ints(within.intermediate)) & (history.op[seen] != history.op[reads])
    found = {
        "internal": ints(within.contradicting),
        "G1a": reads[of_failed],
        "G1b": reads[of_half],
        "lost-update": ints(within.lost_updates()),
    }
    return Accesses(
        saw=saw,
        external_reads=ints(within.external_reads),
        final_writes=ints(sorted(within.final_writes)),
        took_part=took_part,
        anomalies={name: np.sort(micro) for name, micro in found.items() if len(micro)},
    )


def _seen_writes(history: Transactions) -> Ints:
    saw = np.full(len(history.op), NO_READ, np.int64)
    saw[history.is_read & (history.length == 0)] = NIL
    reads = np.flatnonzero(history.is_read & (history.length > 0))
    saw[reads] = writes_of(
        history, history.key[reads], history.elements[history.offset[reads]].astype(np.int64)
    )
    return saw


class _Within:
    """One walk through all transactions."""

    def __init__(self, history: Transactions) -> None:
        self.external_reads: list[int] = []
        self.final_writes: list[int] = []
        self.intermediate: list[int] = []
        self.contradicting: list[int] = []
        self._updates: dict[tuple[int, int], list[int]] = defaultdict(list)
        ops, keys = history.op.tolist(), history.key.tolist()
        reads, lengths = history.is_read.tolist(), history.length.tolist()
        values, offsets = history.value.tolist(), history.offset.tolist()
        outcomes, elements = history.outcome.tolist(), history.elements.tolist()
        begin = 0
        while begin < len(ops):
            end = begin
            transaction = _OneWalk()
            is_ok = outcomes[ops[begin]] == OK
            while end < len(ops) and ops[end] == ops[begin]:
                key = keys[end]
                if not reads[end]:
                    transaction.write(end, key, values[end])
                elif lengths[end] >= 0:
                    transaction.read(end, key, elements[offsets[end]] if lengths[end] else NIL)
                end += 1
            self.intermediate += transaction.intermediate
            if outcomes[ops[begin]] != FAIL:
                self.final_writes += transaction.last_write.values()
            if is_ok:
                self.external_reads += transaction.external_reads
                self.contradicting += transaction.contradicting[:1]
                for key, read, value in transaction.updates:
                    self._updates[key, value].append(read)
            begin = end

    def lost_updates(self) -> list[int]:
        """Reads of one value by several transactions that then all wrote the key."""
        return [read for reads in self._updates.values() if len(reads) > 1 for read in reads]


class _OneWalk:
    """One transaction, while one walks through it."""

    def __init__(self) -> None:
        self.held: dict[int, int] = {}
        self.first_read: dict[int, tuple[int, int]] = {}
        self.last_write: dict[int, int] = {}
        self.updated: set[int] = set()
        self.external_reads: list[int] = []
        self.intermediate: list[int] = []
        self.contradicting: list[int] = []
        self.updates: list[tuple[int, int, int]] = []

    def read(self, micro: int, key: int, value: int) -> None:
        if key not in self.held:
            self.external_reads.append(micro)
        elif self.held[key] != value:
            self.contradicting.append(micro)
        self.held[key] = value
        self.first_read.setdefault(key, (micro, value))

    def write(self, micro: int, key: int, value: int) -> None:
        if key in self.last_write:
            self.intermediate.append(self.last_write[key])
        self.last_write[key] = micro
        self.held[key] = value
        if key in self.first_read and key not in self.updated:
            self.updated.add(key)
            self.updates.append((key, *self.first_read[key]))
