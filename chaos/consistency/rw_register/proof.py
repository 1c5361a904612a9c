"""Does this order explain this history? The proof of VALID, replayed against the history. Pure.

Nothing of the judge's reasoning is used: no accesses, no dependency, no search. Only the history,
and for each transaction the places at which it read and committed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from chaos.consistency.levels import Level
from chaos.consistency.transactions.columns import NEVER, OK, Bools, Transactions
from chaos.consistency.transactions.order import Timeline
from chaos.consistency.transactions.replay import Replay, order_breaks

VISIBILITY_MAX = 20_000
"""So many transactions are followed in what they see of one another; some 50 MB."""


@dataclass(frozen=True, slots=True)
class _Done:
    """A transaction: what it did, and when."""

    op: int
    read_at: int
    commit_at: int
    process: int
    ended: int
    """When it was acknowledged; NEVER: it was not."""
    micro_ops: list[tuple[bool, int, int | None]]
    """Whether it reads, the key, and what it saw (None: nil) or wrote. Reads of which nothing is
    known are left out."""

    def written(self) -> dict[int, int]:
        """What it wrote to each key in the end."""
        return {
            key: value
            for is_read, key, value in self.micro_ops
            if not is_read and value is not None
        }

    def external_reads(self) -> Iterator[tuple[int, int | None]]:
        """What it saw of each key before it did anything else with it."""
        touched = set()
        for is_read, key, value in self.micro_ops:
            if is_read and key not in touched:
                yield key, value
            touched.add(key)


def replay(history: Transactions, took_part: Bools, timeline: Timeline, level: Level) -> Replay:
    """Hold an order against the history.

    Args:
        history: What was observed.
        took_part: Which transactions took effect; none that was acknowledged may lack.
        timeline: The order.
        level: What the order must show.
    """
    wrong = order_breaks(history, took_part, timeline, level)
    if wrong or not level.reads_count:
        return Replay(checked=0, wrong=wrong, how="writes")
    done = _in_order(history, took_part, timeline)
    checked = int((history.is_read & (history.outcome[history.op] == OK)).sum())
    strict = "internal" in level.forbids
    if level.rw == "none":
        wrong, how = _not_committed(history, done), "committed"
    elif timeline.is_split:
        wrong, how = _no_snapshot(history, done, strict=strict), "snapshot"
    else:
        wrong, how = _not_serial(history, done, strict=strict), "serial"
        if wrong and level.rw == "one":
            wrong, how = _not_visible(history, done, by_session=level.order == "session"), "visible"
    return Replay(checked=checked, wrong=wrong, how=how)


def _in_order(history: Transactions, took_part: Bools, timeline: Timeline) -> list[_Done]:
    micro_ops: list[list[tuple[bool, int, int | None]]] = [[] for _ in range(history.count)]
    is_ok = (history.outcome == OK).tolist()
    elements = history.elements.tolist()
    for op, is_read, key, value, length, offset in zip(
        history.op.tolist(), history.is_read.tolist(), history.key.tolist(),
        history.value.tolist(), history.length.tolist(), history.offset.tolist(), strict=True,
    ):  # fmt: skip
        if not is_read:
            micro_ops[op].append((False, key, value))
        elif length >= 0 and is_ok[op]:
            micro_ops[op].append((True, key, elements[offset] if length else None))
    found = [
        _Done(
            op,
            int(timeline.read_at[op]),
            int(timeline.commit_at[op]),
            int(history.process[op]),
            int(history.ended[op]) if is_ok[op] else NEVER,
            micro_ops[op],
        )
        for op in np.flatnonzero(took_part).tolist()
    ]
    return sorted(found, key=lambda one: one.commit_at)


def _differs(history: Transactions, one: _Done, state: dict[int, int], *, strict: bool) -> str:
    """The first read that is not what a state and the transaction's own writes give it.

    Without ``strict`` a read of a key that it had read or written before may be anything.
    """
    own: dict[int, int] = {}
    touched = set()
    for is_read, key, value in one.micro_ops:
        if not is_read and value is not None:
            own[key] = value
        elif (strict or key not in touched) and value != own.get(key, state.get(key)):
            return f"a read of key {history.key_name(key)!r} saw something else than was there"
        touched.add(key)
    return ""


def _not_serial(history: Transactions, done: list[_Done], *, strict: bool) -> str:
    """Whether the transactions, one after the other, do not read what they read."""
    state: dict[int, int] = {}
    for one in done:
        if wrong := _differs(history, one, state, strict=strict):
            return wrong
        state |= one.written()
    return ""


def _no_snapshot(history: Transactions, done: list[_Done], *, strict: bool) -> str:
    """Whether one did not read what had been committed, or two wrote a key side by side."""
    state: dict[int, int] = {}
    committed_at: dict[int, int] = {}
    events = [(one.read_at, False, one) for one in done]
    events += [(one.commit_at, True, one) for one in done]
    for _, is_commit, one in sorted(events, key=lambda event: event[0]):
        if not is_commit:
            if wrong := _differs(history, one, state, strict=strict):
                return wrong
            continue
        for key, value in one.written().items():
            if committed_at.get(key, -1) > one.read_at:
                return f"two transactions wrote key {history.key_name(key)!r} side by side"
            committed_at[key], state[key] = one.commit_at, value
    return ""


def _not_committed(history: Transactions, done: list[_Done]) -> str:
    """Whether a read is neither nil, nor of its own transaction, nor of one that committed before,
    and then its last write to that key."""
    committed: set[tuple[int, int | None]] = set()
    for one in done:
        own: set[tuple[int, int | None]] = set()
        for is_read, key, value in one.micro_ops:
            if not is_read:
                own.add((key, value))
            elif value is not None and (key, value) not in own and (key, value) not in committed:
                return f"a read of key {history.key_name(key)!r} saw what was not committed before"
        committed.update(one.written().items())
    return ""


def _not_visible(history: Transactions, done: list[_Done], *, by_session: bool) -> str:
    """Whether one did not read the last write of those that it sees.

    It sees whom it read from, who wrote before it what it writes, its session so far where that
    counts, and whatever those see.
    """
    if len(done) > VISIBILITY_MAX:
        limit = f"{VISIBILITY_MAX:,}"
        return f"more than {limit} transactions are too many to follow what each of them sees"
    sees = [0] * len(done)
    """Of each place: the places that it sees and its own, as bits."""
    writer: dict[tuple[int, int | None], int] = {}
    writers: dict[int, list[int]] = {}
    sessions: dict[int, tuple[int, int]] = {}
    for place, one in enumerate(done):
        before = [writer[read] for read in one.external_reads() if read in writer]
        before += [writers[key][-1] for key in one.written() if key in writers]
        if by_session and one.ended != NEVER and one.process in sessions:
            before.append(sessions[one.process][1])
        for other in before:
            sees[place] |= sees[other]
        state = {}
        for key, _ in one.external_reads():
            last = next((w for w in reversed(writers.get(key, [])) if sees[place] >> w & 1), None)
            if last is not None:
                state[key] = done[last].written()[key]
        if wrong := _differs(history, one, state, strict=True):
            return wrong
        sees[place] |= 1 << place
        if one.ended != NEVER:
            sessions[one.process] = (one.ended, place)
        for key, value in one.written().items():
            writer[key, value] = place
            writers.setdefault(key, []).append(place)
    return ""
