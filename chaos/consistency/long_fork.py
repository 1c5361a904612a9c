"""Long fork: two reads that saw two writes in opposite orders.

Each key is written once. A read of a group of keys sees some of them written; under snapshot
isolation the reads of one group can be put in a row in which no key disappears again. In parallel
snapshot isolation they need not: one read has x and not y, another y and not x. Sorted by how many
keys they saw, reads stand in a row if and only if each contains the one before it.

Source: Jepsen's ``tests/long_fork.clj``, which compares all pairs; Sovran et al., "Transactional
storage for geo-replicated systems" (2011), for parallel snapshot isolation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from chaos.consistency.answer import Anomaly, HistoryAnswer, Proof
from chaos.consistency.attempts import ClientAttempt
from chaos.consistency.calls import capital, shown
from chaos.consistency.errors import HistoryValueError
from chaos.findings import Verdict
from chaos.wording import counted

SNAPSHOT_ISOLATION = "snapshot-isolation"

READS = frozenset({"r", "read"})
WRITES = frozenset({"w", "write"})


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRead:
    """What one transaction saw of the keys of a group."""

    attempt: ClientAttempt
    values: Mapping[Hashable, Hashable]

    @property
    def seen(self) -> frozenset[Hashable]:
        """The keys that were written when it read."""
        return frozenset(key for key, value in self.values.items() if value is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkStep:
    """A step of the order that proves VALID: a key becomes visible, or a group is read."""

    key: Hashable = None
    read: GroupRead | None = None

    def __str__(self) -> str:
        return f"the write of {shown(self.key)}" if self.read is None else str(self.read.attempt)


def judge(attempts: Sequence[ClientAttempt], *, level: str) -> HistoryAnswer:
    """Whether the reads of each group stand in a row.

    UNKNOWN where a key is written twice, or read with two values: the order of its writes is not
    known then.

    Raises:
        HistoryValueError: an operation is no list of reads and writes of keys.
    """
    for one in attempts:
        _refuse_other_parts(one)
    reads = [read for one in attempts if (read := _group_read(one)) is not None]
    groups: dict[frozenset[Hashable], list[GroupRead]] = defaultdict(list)
    for read in reads:
        groups[frozenset(read.values)].append(read)
    counts = {"operations": len(attempts), "reads": len(reads), "groups": len(groups)}
    reason = _written_twice(attempts) or _two_values(reads)
    if reason is None and not reads:
        reason = "No group of keys was read."
    forks = [] if reason else [fork for some in groups.values() for fork in _forks(some)]
    steps: list[ForkStep] = []
    for some in () if reason or forks else groups.values():
        row = list(_in_order(some))
        if (wrong := objection(row, some)) is not None:
            reason = f"No fork was found, but the order does not explain the reads: {wrong}"
        steps += row
    if reason is not None:
        return HistoryAnswer(
            model="long-fork", level=level, verdict=Verdict.UNKNOWN, reason=reason, counts=counts
        )
    return HistoryAnswer.compared(
        model="long-fork",
        level=level,
        anomalies=[_anomaly(forks)] if forks else [],
        refuted_by=-1,
        holds=f"{capital(counted(len(reads), 'read'))} of {counted(len(groups), 'group')} of keys "
        "stand in a row.",
        proof=Proof(
            method="An order of the writes and reads of each group was replayed, one step at a "
            "time: each read saw exactly what was written before it.",
            order=[str(step) for step in steps],
            checked=len(reads),
        ),
        counts=counts,
    )


def _forks(reads: Sequence[GroupRead]) -> list[tuple[GroupRead, GroupRead]]:
    row = sorted(reads, key=lambda read: (len(read.seen), read.attempt.began))
    return [(one, other) for one, other in pairwise(row) if not one.seen <= other.seen]


def _in_order(reads: Sequence[GroupRead]) -> Iterator[ForkStep]:
    """The steps of one group whose reads stand in a row."""
    there: frozenset[Hashable] = frozenset()
    for read in sorted(reads, key=lambda read: (len(read.seen), read.attempt.began)):
        yield from (ForkStep(key=key) for key in read.values if key in read.seen - there)
        yield ForkStep(read=read)
        there = read.seen


def objection(order: Iterable[ForkStep], reads: Sequence[GroupRead]) -> str | None:
    """What is wrong with an order of one group, replayed step by step; None: it explains all reads.

    Each key is written once at most, each read is there once, and saw of its group what was
    written before it and nothing else.
    """
    written: set[Hashable] = set()
    left = {id(read) for read in reads}
    for step in order:
        if step.read is None:
            if step.key in written:
                return f"{shown(step.key)} is written twice."
            written.add(step.key)
            continue
        if id(step.read) not in left:
            return f"{capital(str(step.read.attempt))} stands twice, or is none of the history."
        left.remove(id(step.read))
        for key, value in step.read.values.items():
            if (value is not None) != (key in written):
                return f"{capital(str(step.read.attempt))} is wrong about {shown(key)}."
    return f"{capital(counted(len(left), 'read'))} missing in it." if left else None


def _anomaly(forks: Sequence[tuple[GroupRead, GroupRead]]) -> Anomaly:
    one, other = forks[0]
    here, there = next(iter(one.seen - other.seen)), next(iter(other.seen - one.seen))
    return Anomaly(
        name="long-fork",
        sentences=(
            f"{capital(str(one.attempt))} saw {shown(here)} written and {shown(there)} not.",
            f"{capital(str(other.attempt))} saw {shown(there)} written and {shown(here)} not.",
            f"No order of the writes of {shown(here)} and {shown(there)} explains both "
            f"{one.attempt} and {other.attempt}.",
        ),
        evidence=tuple(
            read.attempt.evidence(fork=number, saw=", ".join(sorted(map(shown, read.seen))))
            for number, pair in enumerate(forks, 1)
            for read in pair
        ),
        count=len(forks),
    )


def _refuse_other_parts(one: ClientAttempt) -> None:
    for value, line in ((one.asked, one.line), (one.answered, one.end_line)):
        if value is None:
            continue
        for part in value if isinstance(value, list) else [value]:
            match part:
                case [str(f), key, seen] if f in READS | WRITES:
                    if isinstance(key, Hashable) and isinstance(seen, Hashable):
                        continue
            raise HistoryValueError(
                f"{shown(part)} is no read or write of a key",
                line=line,
                remedy="a value is a list of [r key value] and [w key value]",
            )


def _group_read(one: ClientAttempt) -> GroupRead | None:
    """A transaction that only read, and ended well."""
    parts = one.answered
    if not one.is_ok or not isinstance(parts, list) or not parts:
        return None
    values: dict[Hashable, Hashable] = {}
    for part in parts:
        if part[0] not in READS:
            return None
        values[part[1]] = part[2]
    return GroupRead(attempt=one, values=values)


def _written_twice(attempts: Sequence[ClientAttempt]) -> str | None:
    written: dict[Hashable, ClientAttempt] = {}
    for one in attempts:
        match one.asked:
            case [[("w" | "write"), key, _]]:
                if key in written:
                    return f"{shown(key)} is written twice, by {written[key]} and {one}."
                written[key] = one
    return None


def _two_values(reads: Sequence[GroupRead]) -> str | None:
    values: dict[Hashable, tuple[Hashable, ClientAttempt]] = {}
    for read in reads:
        for key, value in read.values.items():
            if value is None:
                continue
            known, first = values.setdefault(key, (value, read.attempt))
            if known != value:
                return (
                    f"{shown(key)} was read as {shown(known)} by {first} and as {shown(value)} by "
                    f"{read.attempt}: only one write a key can be judged."
                )
    return None
