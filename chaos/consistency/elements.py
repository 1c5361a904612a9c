"""What became of each element of a set, read by read.

An element is *known* from the end of its addition, or of the first read that has it, whichever
comes first. It is

- *stable* if the last read that began, of those that tell it apart, has it;
- *lost* if reads that began after it was known lack it, and none that began later has it;
- *stale* if it is stable, and a read that began after it was known lacked it;
- never read, if it is neither stable nor lost.

Source: Jepsen's ``checker/set-full``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from chaos.consistency.attempts import ClientAttempt
from chaos.consistency.calls import shown
from chaos.consistency.errors import HistoryValueError

ADD = "add"
READ = "read"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetRead:
    """One read that ended well."""

    attempt: ClientAttempt
    elements: Mapping[Hashable, int]
    """How often each stands in it."""


@dataclass(slots=True)
class Fate:
    """What is known of one element that somebody tried to add."""

    element: Hashable
    addition: ClientAttempt
    known_at: int | None = None
    """The position from which everybody may expect it."""
    present: ClientAttempt | None = None
    """Of the reads that have it, the last to begin."""
    absent: ClientAttempt | None = None
    """Of the reads that lack it, the last to begin."""

    @property
    def is_stable(self) -> bool:
        """No read that began later than the last one that has it lacks it."""
        return self.present is not None and _began(self.absent) < self.present.began

    @property
    def is_lost(self) -> bool:
        """It was known, a later read lacks it, and none after that has it."""
        return (
            self.known_at is not None
            and self.absent is not None
            and max(_began(self.present), self.known_at) < self.absent.began
        )

    @property
    def is_stale(self) -> bool:
        """It is stable, and a read that began when it was known lacked it."""
        return (
            self.is_stable
            and self.known_at is not None
            and self.absent is not None
            and self.known_at < self.absent.began
        )


def fates_of(attempts: Sequence[ClientAttempt]) -> list[Fate]:
    """What became of each element that somebody tried to add, in the order of the additions."""
    fates: dict[Hashable, Fate] = {}
    for one in additions_of(attempts):
        fates.setdefault(element_of(one), Fate(element_of(one), one))
    ends = [one for one in attempts if one.is_ok and one.ended is not None]
    for one in sorted(ends, key=lambda one: one.ended or 0):
        if one.f == ADD:
            fate = fates[element_of(one)]
            fate.known_at = one.ended if fate.known_at is None else fate.known_at
        elif one.f == READ and one.answered is not None:
            _see(fates, one)
    return list(fates.values())


def _see(fates: Mapping[Hashable, Fate], read: ClientAttempt) -> None:
    elements = set(_elements(read))
    for element, fate in fates.items():
        if fate.addition.began > (read.ended or 0):
            continue
        if element in elements:
            fate.known_at = read.ended if fate.known_at is None else fate.known_at
            if _began(fate.present) < read.began:
                fate.present = read
        elif _began(fate.absent) < read.began:
            fate.absent = read


def _began(one: ClientAttempt | None) -> int:
    return -1 if one is None else one.began


def additions_of(attempts: Sequence[ClientAttempt]) -> Iterator[ClientAttempt]:
    """What somebody tried to add."""
    return (one for one in attempts if one.f == ADD)


def reads_of(attempts: Sequence[ClientAttempt]) -> list[SetRead]:
    """The reads that ended well.

    Raises:
        HistoryValueError: one answered no set.
    """
    return [
        SetRead(attempt=one, elements=Counter(_elements(one)))
        for one in attempts
        if one.f == READ and one.is_ok and one.answered is not None
    ]


def element_of(addition: ClientAttempt) -> Hashable:
    """What an addition adds.

    Raises:
        HistoryValueError: it cannot be an element.
    """
    return _frozen(addition.asked)


def _elements(read: ClientAttempt) -> list[Hashable]:
    if not isinstance(read.answered, list | tuple):
        raise HistoryValueError(
            f"a read of {shown(read.answered)}, which is no set",
            line=read.end_line,
            remedy="a list of all elements",
        )
    return [_frozen(one) for one in read.answered]


def _frozen(value: object) -> Hashable:
    if isinstance(value, list | tuple):
        return tuple(_frozen(one) for one in value)
    if isinstance(value, Hashable):
        return value
    raise HistoryValueError(f"{shown(value)} cannot be an element of a set")
