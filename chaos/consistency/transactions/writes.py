"""Which write gave a key a value, where each value is written once. Pure."""

from __future__ import annotations

import numpy as np

from chaos.consistency.transactions.columns import VALUE_BITS, Ints, Transactions


def written_twice(history: Transactions) -> int | None:
    """A write of a value that another one writes to the same key; None if all differ."""
    writes = np.flatnonzero(~history.is_read)
    ids = _ids(history.key[writes], history.value[writes])
    order = np.argsort(ids, kind="stable")
    same = np.flatnonzero(ids[order][1:] == ids[order][:-1])
    return int(writes[order][same[0] + 1]) if len(same) else None


def _ids(key: Ints, value: Ints) -> Ints:
    """One number for a key and a value."""
    return (key << VALUE_BITS) | value


def writes_of(history: Transactions, key: Ints, value: Ints) -> Ints:
    """The micro-operation that wrote each value to its key; -1 where there is none."""
    writes = np.flatnonzero(~history.is_read)
    if not len(writes) or not len(key):
        return np.full(len(key), -1, np.int64)
    ids = _ids(history.key[writes], history.value[writes])
    order = np.argsort(ids, kind="stable")
    ids = ids[order]
    wanted = _ids(key, value)
    place = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    return np.where(ids[place] == wanted, writes[order][place], -1)
