"""The order in which each list grew, as the longest read of it shows. Pure.

Every read of a list is a prefix of its longest read, or the reads contradict one another. So the
versions of a key are the prefixes of its longest read, a read is a key and a length, and the rest
is arithmetic on numbers. Versions of all keys stand in one column, key by key.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chaos.consistency.transactions.columns import (
    FAIL,
    Ints,
    Transactions,
    ranges,
)
from chaos.consistency.transactions.writes import writes_of

_READS_AT_ONCE = 30_000
"""So many reads are compared with the longest at once: their elements fit into a cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """The versions of every key, and which micro-operation made or saw which."""

    reads: Ints
    """The micro-operations that are reads of which something is known."""
    start: Ints
    """Where the versions of each key begin; one more entry, the number of all versions."""
    key: Ints
    """The key of each version."""
    element: Ints
    """The element that it added."""
    append: Ints
    """The micro-operation that appended it; -1: nobody did (a phantom)."""
    writer: Ints
    """The transaction of that; -1."""
    position: Ints
    """Of each micro-operation: the version that its append made; -1 where nobody saw it."""
    contradicting: Ints
    """Reads that are no prefix of the longest one."""
    is_contested: bool
    """Of some key another read, as long as the longest, contradicts it."""

    def length(self) -> Ints:
        """Of each key: how many versions were seen."""
        return np.diff(self.start)

    def seen(self, history: Transactions) -> Ints:
        """Of each micro-operation: the version that its read saw; -1 the empty list, -2 no read."""
        seen = np.full(len(history.op), -2, np.int64)
        length = history.length[self.reads]
        version = self.start[history.key[self.reads]] + length - 1
        seen[self.reads] = np.where(length > 0, version, -1)
        return seen

    def writer_if_real(self, history: Transactions) -> Ints:
        """The writers of the versions; -1 where it failed or nobody did."""
        failed = (self.writer >= 0) & (history.outcome[self.writer] == FAIL)
        return np.where(failed, -1, self.writer)


def find_versions(history: Transactions, *, first_of_equals: bool = False) -> Versions:
    """The versions of a history in which no value is appended twice to a key.

    Args:
        history: The history.
        first_of_equals: Of several longest reads of a key the first one counts, else the last one.
    """
    known = history.is_read & (history.length >= 0) & (history.outcome[history.op] != FAIL)
    reads = np.flatnonzero(known)
    key, length, offset = history.key[reads], history.length[reads], history.offset[reads]
    longest_length = np.zeros(history.keys, np.int64)
    np.maximum.at(longest_length, key, length)
    longest = np.zeros(history.keys, np.int64)
    is_longest = length == longest_length[key]
    step = -1 if first_of_equals else 1
    longest[key[is_longest][::step]] = offset[is_longest][::step]
    start = np.zeros(history.keys + 1, np.int64)
    np.cumsum(longest_length, out=start[1:])
    element = history.elements[ranges(longest, longest_length)].astype(np.int64)
    key_of = np.repeat(np.arange(history.keys), longest_length)
    append = writes_of(history, key_of, element)
    found = append >= 0
    position = np.full(len(history.op), -1, np.int64)
    position[append[found]] = np.flatnonzero(found)
    contradicting = reads[_not_prefixes(history, reads, start, element)]
    tied = history.length[contradicting] == longest_length[history.key[contradicting]]
    return Versions(
        reads=reads,
        start=start,
        key=key_of,
        element=element,
        append=append,
        writer=np.where(found, history.op[append], -1) if len(history.op) else append,
        position=position,
        contradicting=contradicting,
        is_contested=bool(tied.any()),
    )


def _not_prefixes(history: Transactions, reads: Ints, start: Ints, element: Ints) -> Ints:
    """The reads, by their place, that are no prefix of the longest read of their key."""
    wrong: list[Ints] = []
    for first in range(0, len(reads), _READS_AT_ONCE):
        some = reads[first : first + _READS_AT_ONCE]
        length = history.length[some]
        seen = history.elements[ranges(history.offset[some], length)]
        differs = seen != element[ranges(start[history.key[some]], length)]
        if differs.any():
            who = np.repeat(np.arange(len(some)), length)[differs]
            wrong.append(np.unique(who) + first)
    return np.concatenate(wrong) if wrong else np.zeros(0, np.int64)
