"""What is wrong inside one transaction or one list: anomalies that need no cycle. Pure.

Names and meanings are Elle's (``elle.list-append``). Each function gives the micro-operations at
which its anomaly shows, all of them: reads, unless it says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from chaos.consistency.append.versions import Versions
from chaos.consistency.transactions.columns import FAIL, OK, Bools, Ints, Transactions, ranges
from chaos.consistency.transactions.writes import writes_of


@dataclass(frozen=True, slots=True, kw_only=True)
class _Groups:
    """The micro-operations of one transaction on one key, where there are several: in its order,
    one group after the other."""

    micro: Ints
    group: Ints
    """The number of the group of each; ascending."""
    is_read: Bools
    is_ok: Bools
    """Whether its transaction was acknowledged."""

    def pairs(self) -> Ints:
        """The places whose successor is of the same group."""
        return np.flatnonzero(self.group[1:] == self.group[:-1])


def find_anomalies(history: Transactions, versions: Versions) -> Mapping[str, Ints]:
    """The micro-operations at which each anomaly shows; only anomalies that are there."""
    groups = _groups(history, versions)
    duplicates, phantoms = _strange_lists(history, versions)
    found = {
        "duplicate-elements": duplicates,
        "phantom-read": phantoms,
        "incompatible-order": versions.contradicting,
        "G1a": _aborted_reads(history, versions),
        "dirty-update": _dirty_updates(history, versions),
        "G1b": _intermediate_reads(history, versions, groups),
        "internal": _internal(history, versions, groups),
        "future-read": _future_reads(history, versions, groups),
        "lost-update": _lost_updates(history, versions, groups),
    }
    return {name: micro for name, micro in found.items() if len(micro)}


def _groups(history: Transactions, versions: Versions) -> _Groups:
    known = ~history.is_read | (history.length >= 0)
    known[versions.contradicting] = False
    micro = np.flatnonzero(known & (history.outcome[history.op] != FAIL))
    ids = history.op[micro] * np.int64(max(history.keys, 1)) + history.key[micro]
    order = np.argsort(ids, kind="stable")
    ids = ids[order]
    same = ids[1:] == ids[:-1]
    several = np.zeros(len(ids), np.bool_)
    several[1:] |= same
    several[:-1] |= same
    micro, ids = micro[order][several], ids[several]
    group = np.zeros(len(ids), np.int64)
    np.cumsum(ids[1:] != ids[:-1], out=group[1:])
    return _Groups(
        micro=micro,
        group=group,
        is_read=history.is_read[micro],
        is_ok=history.outcome[history.op[micro]] == OK,
    )


def _strange_lists(history: Transactions, versions: Versions) -> tuple[Ints, Ints]:
    """Reads with an element twice, and reads with an element that nobody appended.

    Only longest reads, and those that contradict them, must be looked at: the others are prefixes.
    """
    key_order = np.lexsort((versions.element, versions.key))
    key, element = versions.key[key_order], versions.element[key_order]
    twice = np.unique(key[1:][(key[1:] == key[:-1]) & (element[1:] == element[:-1])])
    unwritten = np.unique(versions.key[versions.append < 0])
    duplicates = [_longest_reads(history, versions, twice)]
    phantoms = [_longest_reads(history, versions, unwritten)]
    if len(odd := versions.contradicting):
        length = history.length[odd]
        owner = np.repeat(np.arange(len(odd)), length)
        seen = history.elements[ranges(history.offset[odd], length)].astype(np.int64)
        order = np.lexsort((seen, owner))
        o, s = owner[order], seen[order]
        duplicates.append(odd[np.unique(o[1:][(o[1:] == o[:-1]) & (s[1:] == s[:-1])])])
        append = writes_of(history, history.key[odd][owner], seen)
        phantoms.append(odd[np.unique(owner[append < 0])])
    return np.unique(np.concatenate(duplicates)), np.unique(np.concatenate(phantoms))


def _longest_reads(history: Transactions, versions: Versions, keys: Ints) -> Ints:
    """One longest read of each of some keys."""
    if not len(keys):
        return keys
    reads = versions.reads[np.isin(history.key[versions.reads], keys)]
    full = reads[history.length[reads] == versions.length()[history.key[reads]]]
    _, first = np.unique(history.key[full], return_index=True)
    longest: Ints = full[first]
    return longest


def _aborted_reads(history: Transactions, versions: Versions) -> Ints:
    """Acknowledged reads of what a failed transaction appended."""
    failed = np.flatnonzero(_outcomes(history, versions) == FAIL)
    if not len(failed):
        return failed
    never = np.iinfo(np.int64).max
    first = np.full(history.keys, never, np.int64)
    np.minimum.at(first, versions.key[failed], failed - versions.start[versions.key[failed]])
    reads = _sound_reads(history, versions)
    aborted: Ints = reads[history.length[reads] > first[history.key[reads]]]
    return aborted


def _dirty_updates(history: Transactions, versions: Versions) -> Ints:
    """Acknowledged appends (not reads) that stand after one of a failed transaction."""
    outcome = _outcomes(history, versions)
    failed = np.flatnonzero(outcome == FAIL)
    if not len(failed):
        return failed
    first = np.full(history.keys, len(outcome), np.int64)
    np.minimum.at(first, versions.key[failed], failed)
    after = (np.arange(len(outcome)) > first[versions.key]) & (outcome == OK)
    dirty: Ints = versions.append[after]
    return dirty


def _sound_reads(history: Transactions, versions: Versions) -> Ints:
    """Acknowledged reads that agree with the longest one."""
    sound = np.zeros(len(history.op), np.bool_)
    sound[versions.reads] = history.outcome[history.op[versions.reads]] == OK
    sound[versions.contradicting] = False
    return np.flatnonzero(sound)


def _outcomes(history: Transactions, versions: Versions) -> Ints:
    """Of each version: how its writer ended; -1 where nobody wrote it."""
    outcome = np.full(len(versions.writer), -1, np.int64)
    real = versions.writer >= 0
    outcome[real] = history.outcome[versions.writer[real]]
    return outcome


def _intermediate_reads(history: Transactions, versions: Versions, groups: _Groups) -> Ints:
    """Acknowledged reads of an append that was not its transaction's last one to that key."""
    is_append = ~groups.is_read
    appends, group = groups.micro[is_append], groups.group[is_append]
    intermediate = np.zeros(len(history.op), np.bool_)
    intermediate[appends[:-1][group[1:] == group[:-1]]] = True
    reads = _sound_reads(history, versions)
    reads = reads[history.length[reads] > 0]
    last = versions.append[versions.start[history.key[reads]] + history.length[reads] - 1]
    others = (last >= 0) & (history.op[last] != history.op[reads])
    found: Ints = reads[others & intermediate[last]]
    return found


def _internal(history: Transactions, versions: Versions, groups: _Groups) -> Ints:
    """Reads that contradict what their own transaction had read or appended before."""
    pairs = groups.pairs()
    pairs = pairs[groups.is_ok[pairs]]
    last_read = np.full(int(groups.group[-1]) + 1 if len(groups.group) else 0, -1, np.int64)
    at_read = np.flatnonzero(groups.is_read)
    np.maximum.at(last_read, groups.group[at_read], at_read)
    read_later = last_read[groups.group[pairs]] > pairs
    a, b = groups.micro[pairs], groups.micro[pairs + 1]
    a_reads, b_reads = history.is_read[a], history.is_read[b]
    end = versions.start[history.key[a]]
    expected = np.where(a_reads, end + history.length[a], versions.position[a] + 1)
    seen = np.where(b_reads, end + history.length[b], versions.position[b])
    unseen = ~a_reads & (versions.position[a] < 0)
    wrong = ((seen != expected) | unseen) & (b_reads | read_later)
    return np.unique(b[wrong])


def _future_reads(history: Transactions, versions: Versions, groups: _Groups) -> Ints:
    """Appends (not reads) that their own transaction had read before it made them."""
    base = groups.group * np.int64(len(versions.element) + 1)
    length = np.where(groups.is_read, history.length[groups.micro], 0)
    longest_yet = np.maximum.accumulate(base + length) - base if len(base) else base
    place = versions.position[groups.micro] - versions.start[history.key[groups.micro]]
    seen = ~groups.is_read & groups.is_ok & (versions.position[groups.micro] >= 0)
    found: Ints = groups.micro[seen & (place < longest_yet)]
    return found


def _lost_updates(history: Transactions, versions: Versions, groups: _Groups) -> Ints:
    """Reads of one version by acknowledged transactions that then both appended to its key."""
    if not len(groups.group):
        return groups.micro
    first = np.ones(len(groups.group), np.bool_)
    first[1:] = groups.group[1:] != groups.group[:-1]
    appended = np.zeros(int(groups.group[-1]) + 1, np.bool_)
    appended[groups.group[~groups.is_read]] = True
    reads = groups.micro[first & groups.is_read & groups.is_ok & appended[groups.group]]
    ids = history.key[reads] * np.int64(len(versions.element) + 1) + history.length[reads]
    order = np.argsort(ids, kind="stable")
    same = ids[order][1:] == ids[order][:-1]
    lost = np.zeros(len(ids), np.bool_)
    lost[1:] |= same
    lost[:-1] |= same
    found: Ints = reads[order][lost]
    return found
