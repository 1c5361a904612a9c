"""Which transaction must come before which: what the registers show. Pure.

Two sets. ``refuting`` is what Elle takes for certain when it is told nothing of the keys
(``elle.rw-register`` without ``:wfr-keys?``, ``:sequential-keys?`` and ``:linearizable-keys?``, the
default of elle-cli): ``wr`` from a writer to its readers, and ``rw`` from who saw nil to every
writer of that key, both among acknowledged transactions. ``binding`` has all of that and more that
every order must keep to: unacknowledged writers whose writes were seen, and, where a transaction
read a value and replaced it, ``rw`` to it from every other reader of that value. An order is looked
for with the second set; only the first one makes a verdict INVALID.
"""

from __future__ import annotations

import numpy as np

from chaos.consistency.rw_register.accesses import NIL, Accesses
from chaos.consistency.transactions.columns import OK, Ints, Transactions
from chaos.consistency.transactions.edges import (
    RW,
    WR,
    Dependencies,
    Edges,
    readers_before_writers,
)


def refuting(history: Transactions, accesses: Accesses) -> Dependencies:
    """What contradicts itself if it has a circle."""
    edges = Edges()
    reads, seen = _reads_of_others(accesses, accesses.external_reads)
    is_final = np.isin(seen, accesses.final_writes)
    is_ok = history.outcome[history.op[seen]] == OK
    chosen = is_final & is_ok
    edges.add(WR, history.op[seen[chosen]], history.op[reads[chosen]])
    writes = accesses.final_writes
    writes = writes[history.outcome[history.op[writes]] == OK]
    hubs = readers_before_writers(history, edges, _nil_reads(accesses), writes)
    return edges.together(accesses.took_part, hubs)


def binding(history: Transactions, accesses: Accesses, reads: Ints) -> Dependencies:
    """What every order must keep to in which each of some reads sees the last write."""
    edges = Edges()
    reads, seen = _reads_of_others(accesses, reads)
    edges.add(WR, history.op[seen], history.op[reads])
    writes = accesses.final_writes[accesses.took_part[history.op[accesses.final_writes]]]
    hubs = readers_before_writers(history, edges, _nil_reads(accesses), writes)
    _before_who_replaced_it(history, edges, accesses, writes)
    return edges.together(accesses.took_part, hubs)


def _reads_of_others(accesses: Accesses, reads: Ints) -> tuple[Ints, Ints]:
    reads = reads[accesses.saw[reads] >= 0]
    return reads, accesses.saw[reads]


def _nil_reads(accesses: Accesses) -> Ints:
    reads: Ints = accesses.external_reads[accesses.saw[accesses.external_reads] == NIL]
    return reads


def _before_who_replaced_it(
    history: Transactions, edges: Edges, accesses: Accesses, writes: Ints
) -> None:
    """``rw`` from the other readers of a value to one that read it and then wrote the key."""
    reads, seen = _reads_of_others(accesses, accesses.external_reads)
    width = np.int64(max(history.keys, 1))
    written = history.op[writes] * width + history.key[writes]
    updates = np.isin(history.op[reads] * width + history.key[reads], written)
    replaced_by = np.full(len(history.op), -1, np.int64)
    replaced_by[seen[updates]] = history.op[reads[updates]]
    edges.add(RW, history.op[reads], replaced_by[seen])
