"""Which transaction must come before which: edges of Adya's three kinds, in any model. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chaos.consistency.transactions.columns import Bools, Ints, Transactions, ranges

WW, WR, RW = 1, 2, 4

_PAIRS_PER_KEY_MAX = 4096
"""Readers times writers of a key that are joined one by one; beyond that through hubs, so that the
edges of a key stay linear. Any number is right; this one keeps small histories plain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """Edges between nodes. The first nodes are the transactions; those after them are hubs, which
    stand for nothing, and through which only ``rw`` passes."""

    source: Ints
    target: Ints
    kind: NDArray[np.int8]
    took_part: Bools
    """Of each transaction: it took effect, or was seen to; the others are left out of orders."""
    hubs: int


class Edges:
    """Edges while they are gathered."""

    def __init__(self) -> None:
        self.source: list[Ints] = []
        self.target: list[Ints] = []
        self.kind: list[NDArray[np.int8]] = []

    def add(self, kind: int, source: Ints, target: Ints) -> None:
        """Edges of a kind; those from or to nobody, and from oneself to oneself, are none."""
        keep = (source >= 0) & (target >= 0) & (source != target)
        self.source.append(source[keep])
        self.target.append(target[keep])
        self.kind.append(np.full(int(keep.sum()), kind, np.int8))

    def together(self, took_part: Bools, hubs: int) -> Dependencies:
        """All of them."""
        return Dependencies(
            source=np.concatenate(self.source),
            target=np.concatenate(self.target),
            kind=np.concatenate(self.kind),
            took_part=took_part,
            hubs=hubs,
        )


def readers_before_writers(history: Transactions, edges: Edges, reads: Ints, writes: Ints) -> int:
    """``rw`` from each of some reads to each of some writes of the same key (micro-operations).

    Returns:
        So many hubs were made.
    """
    reads = reads[np.isin(history.key[reads], history.key[writes])]
    reads = reads[np.argsort(history.key[reads], kind="stable")]
    key = history.key[reads]
    first = np.searchsorted(key, history.key[writes], "left")
    readers = np.searchsorted(key, history.key[writes], "right") - first
    pairs_of_key = np.bincount(history.key[writes], weights=readers, minlength=history.keys)
    wide = pairs_of_key[history.key[writes]] > _PAIRS_PER_KEY_MAX
    few = np.flatnonzero(~wide)
    which = ranges(first[few], readers[few])
    writers = np.repeat(history.op[writes[few]], readers[few])
    edges.add(RW, history.op[reads[which]], writers)
    hubs = 0
    for one in np.unique(history.key[writes[wide]]).tolist():
        readers_of_key = np.unique(history.op[reads[key == one]])
        writers_of_key = np.unique(history.op[writes[history.key[writes] == one]])
        hubs += _through_hubs(edges, readers_of_key, writers_of_key, history.count + hubs)
    return hubs


def _through_hubs(edges: Edges, readers: Ints, writers: Ints, free: int) -> int:
    """Every reader before every writer but itself, with edges as many as both together.

    Hubs stand in two chains along the writers: from hub ``i`` of the first one goes on to all
    writers up to ``i``, from hub ``i`` of the second to all from ``i`` on. A reader that is no
    writer enters the end of the first, one that is writer ``i`` enters beside itself.
    """
    count = len(writers)
    up_to, from_on = free + np.arange(count), free + count + np.arange(count)

    edges.add(RW, up_to, writers)
    edges.add(RW, up_to[1:], up_to[:-1])
    edges.add(RW, from_on, writers)
    edges.add(RW, from_on[:-1], from_on[1:])
    place = np.minimum(np.searchsorted(writers, readers), count - 1)
    both = writers[place] == readers
    edges.add(RW, readers[~both], np.full(int((~both).sum()), up_to[-1], np.int64))
    inner, at = readers[both], place[both]
    edges.add(RW, inner[at > 0], up_to[at[at > 0] - 1])
    edges.add(RW, inner[at < count - 1], from_on[at[at < count - 1] + 1])
    return 2 * count
