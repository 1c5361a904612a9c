"""Which transaction must come before which: the dependencies that the lists show. Pure.

Adya's three kinds, from versions: ``ww`` between neighbours in a list, ``wr`` from the writer of
the last element of a read to its reader, ``rw`` from a reader to the writer of the next element.
An append that nobody saw comes after everything that was seen of its key: that finds an
acknowledged append that was lost. The idea is Elle's (``elle.list-append``).
"""

from __future__ import annotations

import numpy as np

from chaos.consistency.append.versions import Versions
from chaos.consistency.transactions.columns import FAIL, OK, Bools, Transactions
from chaos.consistency.transactions.edges import (
    RW,
    WR,
    WW,
    Dependencies,
    Edges,
    readers_before_writers,
)


def find_dependencies(history: Transactions, versions: Versions) -> Dependencies:
    """All dependencies of a history, for every level."""
    edges = Edges()
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
    hubs = readers_before_writers(history, edges, reads[~more], unseen)
    return edges.together(took_part, hubs)


def _took_part(history: Transactions, versions: Versions) -> Bools:
    """Acknowledged, or seen: somebody read what it appended, or it said what it read."""
    took_part: Bools = history.outcome == OK
    took_part = took_part.copy()
    real = versions.writer_if_real(history)
    took_part[real[real >= 0]] = True
    took_part[history.op[versions.reads]] = True
    return took_part
