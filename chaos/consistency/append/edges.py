"""Which transaction must come before which: the dependencies that the lists show. Pure.

Adya's three kinds, from versions: ``ww`` between neighbours in a list, ``wr`` from the writer of
the last element of a read to its reader, ``rw`` from a reader to the writer of the next element.
An append that nobody saw comes after everything that was seen of its key: that finds an
acknowledged append that was lost. The idea is Elle's (``elle.list-append``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chaos.consistency.append.columns import FAIL, OK, Bools, Ints, Transactions, ranges
from chaos.consistency.append.versions import Versions

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


class _Edges:
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


def find_dependencies(history: Transactions, versions: Versions) -> Dependencies:
    """All dependencies of a history, for every level."""
    edges = _Edges()
    writer = versions.writer_if_real(history)
    start, length = versions.start, versions.length()
    took_part = _took_part(history, versions)

    follows = versions.key[1:] == versions.key[:-1]
    edges.add(WW, np.where(follows, writer[:-1], -1), writer[1:])

    reads = versions.reads
    key, reader, seen = history.key[reads], history.op[reads], history.length[reads]
    after = start[key] + seen
    some = seen > 0
    edges.add(WR, writer[after[some] - 1], reader[some])
    more = seen < length[key]
    edges.add(RW, reader[more], writer[after[more]])

    unseen = np.flatnonzero(~history.is_read & (versions.position < 0) & took_part[history.op])
    unseen = unseen[history.outcome[history.op[unseen]] != FAIL]
    unseen_key = history.key[unseen]
    known = unseen_key[length[unseen_key] > 0]
    last = np.full(len(unseen), -1, np.int64)
    last[length[unseen_key] > 0] = writer[start[known + 1] - 1]
    edges.add(WW, last, history.op[unseen])
    hubs = _unseen_after_readers(history, edges, unseen, reads[~more])
    return Dependencies(
        source=np.concatenate(edges.source),
        target=np.concatenate(edges.target),
        kind=np.concatenate(edges.kind),
        took_part=took_part,
        hubs=hubs,
    )


def _took_part(history: Transactions, versions: Versions) -> Bools:
    """Acknowledged, or seen: somebody read what it appended, or it said what it read."""
    took_part: Bools = history.outcome == OK
    took_part = took_part.copy()
    real = versions.writer_if_real(history)
    took_part[real[real >= 0]] = True
    took_part[history.op[versions.reads]] = True
    return took_part


def _unseen_after_readers(
    history: Transactions, edges: _Edges, unseen: Ints, last_reads: Ints
) -> int:
    """``rw`` from everybody who saw all that was seen of a key to the unseen appends to it.

    Returns:
        So many hubs were made.
    """
    last_reads = last_reads[np.isin(history.key[last_reads], history.key[unseen])]
    last_reads = last_reads[np.argsort(history.key[last_reads], kind="stable")]
    key = history.key[last_reads]
    first = np.searchsorted(key, history.key[unseen], "left")
    readers = np.searchsorted(key, history.key[unseen], "right") - first
    pairs_of_key = np.bincount(history.key[unseen], weights=readers, minlength=history.keys)
    wide = pairs_of_key[history.key[unseen]] > _PAIRS_PER_KEY_MAX
    few = np.flatnonzero(~wide)
    which = ranges(first[few], readers[few])
    writers = np.repeat(history.op[unseen[few]], readers[few])
    edges.add(RW, history.op[last_reads[which]], writers)
    hubs = 0
    for one in np.unique(history.key[unseen[wide]]).tolist():
        readers_of_key = np.unique(history.op[last_reads[key == one]])
        writers_of_key = np.unique(history.op[unseen[history.key[unseen] == one]])
        hubs += _through_hubs(edges, readers_of_key, writers_of_key, history.count + hubs)
    return hubs


def _through_hubs(edges: _Edges, readers: Ints, writers: Ints, free: int) -> int:
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
