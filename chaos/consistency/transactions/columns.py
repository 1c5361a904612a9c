"""A history of transactions as columns: one row a transaction, one row a micro-operation. Pure.

A micro-operation writes a value to a key, or reads the key. What a write does, the model says: it
appends to a list, or replaces what was there. What a read saw is a list of values in either case; a
register is read as a list of one value, or of none. Columns instead of objects are why a million
transactions can be judged in a second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chaos.consistency.edn import frozen
from chaos.evidence.records import Scalar

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

OK, FAIL, INFO = 0, 1, 2
"""How a transaction ended: it took effect, it did not, nobody knows."""

NEVER = int(np.iinfo(np.int64).max)
"""When a transaction ended of which nobody knows that it did."""
UNKNOWN_LENGTH = -1
"""The length of a list that nobody saw: of a write, and of a read without an answer."""
VALUE_BITS = 32
"""A key and a value are told apart by one number: values are below 2**32, keys below 2**31."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transactions:
    """A history, in the order in which the transactions began.

    Times are positions in the history: a smaller one was earlier. Keys are numbered from 0 without
    gaps; what a key or a value was called is in ``key_name`` and ``value_name``.
    """

    outcome: NDArray[np.int8]
    process: Ints
    """The session: one transaction after the other."""
    began: Ints
    """-1 where only the end is in the history."""
    ended: Ints
    """NEVER unless it was acknowledged (OK)."""

    op: Ints
    """The transaction of each micro-operation; ascending."""
    is_read: Bools
    key: Ints
    value: Ints
    """What a write writes; -1 for a read."""
    offset: Ints
    """Where in ``elements`` the list begins that a read saw."""
    length: Ints
    elements: NDArray[np.integer]
    """The lists that were read, end to end."""

    keys: int
    """So many keys."""
    key_name: Callable[[int], object]
    value_name: Callable[[int], object]
    details: Callable[[int], Mapping[str, Scalar]]
    """What is known of a transaction for people: its lines, process, node, time, LSN."""

    @property
    def count(self) -> int:
        """So many transactions."""
        return len(self.outcome)

    def micro_ops(self, transaction: int) -> range:
        """The micro-operations of a transaction, in its order."""
        first, end = np.searchsorted(self.op, [transaction, transaction + 1])
        return range(int(first), int(end))

    def list_of(self, read: int) -> list[int]:
        """What a read saw."""
        start, length = int(self.offset[read]), int(self.length[read])
        return [int(one) for one in self.elements[start : start + max(length, 0)]]


def ranges(starts: Ints, lengths: Ints) -> Ints:
    """The numbers of many ranges, end to end: those of [5, 0] and [2, 3] are 5, 6, 0, 1, 2."""
    total = int(lengths.sum())
    if not total:
        return np.zeros(0, np.int64)
    first = np.cumsum(lengths) - lengths
    shifts: Ints = np.repeat(starts - first, lengths)
    return shifts + np.arange(total, dtype=np.int64)


class Numbering:
    """Numbers for things, from 0, in the order in which they are met."""

    def __init__(self) -> None:
        self._numbers: dict[object, int] = {}
        self._names: list[object] = []

    def of(self, name: object) -> int:
        """The number of a thing, which is given one if it has none."""
        if isinstance(name, list | dict):
            name = frozen(name)
        number = self._numbers.get(name)
        if number is None:
            number = self._numbers[name] = len(self._names)
            self._names.append(name)
        return number

    def name(self, number: int) -> object:
        """The thing of a number."""
        return self._names[number]

    def __len__(self) -> int:
        return len(self._names)


def ints(values: Sequence[int]) -> Ints:
    """A column."""
    return np.array(values, np.int64)
