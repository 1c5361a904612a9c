"""Does this order explain this history? The proof of VALID, replayed against the history. Pure.

Nothing of the judge's reasoning is used: no version, no dependency, no graph. Only the history, and
for each transaction the places at which it read and committed. Appends are put in the order of the
commits, and every acknowledged read is held against what had been appended then.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chaos.consistency.levels import Level
from chaos.consistency.transactions.columns import (
    FAIL,
    OK,
    VALUE_BITS,
    Bools,
    Ints,
    Transactions,
    ranges,
)
from chaos.consistency.transactions.order import Timeline
from chaos.consistency.transactions.replay import Replay, order_breaks

_READS_AT_ONCE = 30_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Appended:
    """The appends as the order has them, key by key."""

    micro: Ints
    key: Ints
    first: Ints
    """Where the appends of each key begin; one more entry, the number of all."""


def replay(history: Transactions, took_part: Bools, timeline: Timeline, level: Level) -> Replay:
    """Hold an order against the history.

    Args:
        history: What was observed.
        took_part: Which transactions took effect; none that was acknowledged may lack.
        timeline: The order.
        level: What the order must show.
    """
    appended = _in_order(history, took_part, timeline)
    reads = history.is_read & (history.length >= 0) & (history.outcome[history.op] == OK)
    reads = np.flatnonzero(reads)
    wrong = order_breaks(history, took_part, timeline, level)
    if not wrong and level.reads_count:
        wrong = _lengths_differ(history, appended, timeline, reads, level)
        wrong = wrong or _lists_differ(history, appended, reads)
        wrong = wrong or _parts_seen(history, appended, reads)
    elif not wrong:
        wrong = _longest_differ(history, appended, timeline)
    if not wrong and level.is_snapshot:
        wrong = _overlapping_writers(history, appended, timeline, reads)
    return Replay(checked=len(reads), wrong=wrong)


def _in_order(history: Transactions, took_part: Bools, timeline: Timeline) -> _Appended:
    micro = np.flatnonzero(~history.is_read & took_part[history.op])
    micro = micro[np.lexsort((timeline.commit_at[history.op[micro]], history.key[micro]))]
    key = history.key[micro]
    return _Appended(micro=micro, key=key, first=np.searchsorted(key, np.arange(history.keys + 1)))


def _lengths_differ(
    history: Transactions, appended: _Appended, timeline: Timeline, reads: Ints, level: Level
) -> str:
    """Whether a read is longer or shorter than what had been appended when it was made."""
    last = max(timeline.commit_at.max(initial=0), timeline.read_at.max(initial=0))
    width = np.int64(last) + 2
    committed = appended.key * width + timeline.commit_at[history.op[appended.micro]]
    key, length = history.key[reads], history.length[reads]
    moment = key * width + timeline.read_at[history.op[reads]]
    before = np.searchsorted(committed, moment, "left") - appended.first[key]
    with_own = before + _own_before(history)[reads]
    if level.rw in {"none", "one"}:
        wrong = length > with_own
    elif level.name == "repeatable-read":
        wrong = (length > with_own) | (length < before)
    else:
        wrong = length != with_own
    if not wrong.any():
        return ""
    first = int(np.flatnonzero(wrong)[0])
    name = history.key_name(int(key[first]))
    return f"a read of key {name!r} saw {length[first]} elements, not {with_own[first]}"


def _own_before(history: Transactions) -> Ints:
    """Of each micro-operation: so many appends of its transaction to its key came before it."""
    ids = history.op * np.int64(max(history.keys, 1)) + history.key
    order = np.argsort(ids, kind="stable")
    is_append = (~history.is_read[order]).astype(np.int64)
    before = np.cumsum(is_append) - is_append
    first = np.searchsorted(ids[order], ids[order], "left")
    own = np.empty(len(ids), np.int64)
    own[order] = before - before[first]
    return own


def _lists_differ(history: Transactions, appended: _Appended, reads: Ints) -> str:
    """Whether a read has other elements, or in another order, than were appended."""
    value = history.value[appended.micro]
    for begin in range(0, len(reads), _READS_AT_ONCE):
        some = reads[begin : begin + _READS_AT_ONCE]
        length = history.length[some]
        seen = history.elements[ranges(history.offset[some], length)]
        given = value[ranges(appended.first[history.key[some]], length)]
        if (differs := seen != given).any():
            first = some[np.repeat(np.arange(len(some)), length)[differs][0]]
            name = history.key_name(int(history.key[first]))
            return f"a read of key {name!r} has other elements than the order gives it"
    return ""


def _parts_seen(history: Transactions, appended: _Appended, reads: Ints) -> str:
    """Whether a read ends within what another transaction appended."""
    some = reads[history.length[reads] > 0]
    last = appended.first[history.key[some]] + history.length[some] - 1
    following = np.minimum(last + 1, len(appended.micro) - 1)
    writer = history.op[appended.micro]
    within = (writer[following] == writer[last]) & (following > last)
    within &= (appended.key[following] == appended.key[last]) & (writer[last] != history.op[some])
    return "a read saw a part of what a transaction appended" if within.any() else ""


def _longest_differ(history: Transactions, appended: _Appended, timeline: Timeline) -> str:
    """Whether a longest read shows its writers in another order than they committed in, or somebody
    who committed before the last of them appended something that it does not show.

    In which order one transaction's own appends take effect is not asked here, nor what stands on
    either side of an append that failed.
    """
    reads = np.flatnonzero(
        history.is_read & (history.length > 0) & (history.outcome[history.op] != FAIL)
    )
    reads = reads[np.lexsort((history.length[reads], history.key[reads]))]
    is_last = np.ones(len(reads), np.bool_)
    is_last[:-1] = history.key[reads][1:] != history.key[reads][:-1]
    longest = reads[is_last]
    key = np.repeat(history.key[longest], history.length[longest])
    seen = history.elements[ranges(history.offset[longest], history.length[longest])]
    ids = (appended.key << VALUE_BITS) | history.value[appended.micro]
    if not len(ids) or not len(seen):
        return ""
    by_id = np.argsort(ids)
    wanted = (key << VALUE_BITS) | seen
    at = by_id[np.minimum(np.searchsorted(ids[by_id], wanted), len(ids) - 1)]
    found = ids[at] == wanted
    commit_at = timeline.commit_at[history.op[appended.micro]]
    neighbours = found[1:] & found[:-1] & (key[1:] == key[:-1])
    if (neighbours & (commit_at[at][1:] < commit_at[at][:-1])).any():
        return "the order commits appends otherwise than a longest read shows them"
    is_end = np.append(key[1:] != key[:-1], True) & found
    last_seen = np.full(history.keys, -1, np.int64)
    last_seen[key[is_end]] = commit_at[at[is_end]]
    unseen = np.ones(len(ids), np.bool_)
    unseen[at[found]] = False
    early = unseen & (commit_at < last_seen[appended.key])
    return "the order commits an append that a later longest read lacks" if early.any() else ""


def _overlapping_writers(
    history: Transactions, appended: _Appended, timeline: Timeline, reads: Ints
) -> str:
    """Whether one of two neighbours in a list that somebody saw read before the other committed.

    Of appends that nobody saw no order is known, so none is demanded.
    """
    longest = np.zeros(history.keys, np.int64)
    np.maximum.at(longest, history.key[reads], history.length[reads])
    writer = history.op[appended.micro]
    place = np.arange(len(writer)) - appended.first[appended.key]
    neighbours = appended.key[1:] == appended.key[:-1]
    neighbours &= (writer[1:] != writer[:-1]) & (place[1:] < longest[appended.key[1:]])
    overlap = neighbours & (timeline.commit_at[writer[:-1]] >= timeline.read_at[writer[1:]])
    return "two transactions appended to one key side by side" if overlap.any() else ""
