"""Whether calls on one object can be put in an order: Wing and Gong's search with Lowe's cache.

An order is right when the object can answer so one call at a time, and when no call stands behind
one that began after its end (linearizability: Herlihy and Wing, 1990). The search tries, from the
first call on, every call that may come next (Wing and Gong, 1993), and never twice the same set of
placed calls in the same state (Lowe, 2017), as Knossos and Porcupine do. Six things keep it small:

- Closed calls are numbered by their ends. Those placed are all up to a number, and a few beside it:
  a set of placed calls is that number and a bit mask as wide as the concurrency, not the history.
- A call that only looks is placed as soon as its answer is right: to wait can never help it.
- Open calls that ask the same are one class, used in the order in which they began: an open call
  can do whatever a younger one like it can. One is used only to lead to what a running call
  needs to find, not to be overwritten.
- Of running calls that ask the same, the one that ends first is placed first: they could change
  places.
- What failed with some open calls used fails with more of them used.
- Where the next look is known, no blind write can come before it, and what the object holds cannot
  lead to it any more (a text that is no beginning of the one read), nothing further is tried.

The question is NP-complete (Gibbons and Korach, 1997), so the search has a limit and says so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from chaos.consistency.calls import Call
from chaos.consistency.objects import ANY, ILLEGAL, ObjectState, SequentialObject

SITUATIONS_MAX = 500_000
"""The search gives up after so many situations: some 200 MB and 20 s. Each of the public
histories of Porcupine and Knossos is decided within a hundredth of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Linearization:
    """An order that explains all answers."""

    calls: tuple[Call, ...]
    """Every closed call, and the open ones that were needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stuck:
    """There is no such order."""

    call: Call
    """A call that no order of those that began before its end has a place for. It is the first one
    by its end, unless looks ahead cut the search short: then an earlier one may be."""
    states: tuple[ObjectState, ...]
    """The states in which it found no place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GaveUp:
    """The search came to its limit."""

    situations: int
    """How many it had looked at."""


class _Situation(NamedTuple):
    """How far an order has come."""

    first: int
    """The first closed call, by the number of its end, that is not placed."""
    beside: int
    """Bit i: the closed call ``first + i`` is placed."""
    used: int
    """How many open calls of each class are placed, and whether the last call is one of them: the
    counters of ``_OpenCalls``."""
    state: ObjectState
    order: _Path | None


class _Path(NamedTuple):
    """The calls placed so far, the last first."""

    call: Call
    before: _Path | None


def search(
    calls: Sequence[Call], on: SequentialObject, *, situations_max: int = SITUATIONS_MAX
) -> Linearization | Stuck | GaveUp:
    """An order that explains the answers, the call that no order has a place for, or neither.

    Args:
        calls: Calls on one object, in any order.
        on: The object.
        situations_max: After so many different situations the search gives up.
    """
    return _Search(calls, on).run(situations_max)


class _OpenCalls:
    """The open calls in classes of those that ask the same, and counters of those placed.

    All counters stand in one number, each with a zero bit above it: that one of two numbers is at
    most the other in every counter shows in one subtraction, which borrows none of these bits.
    """

    def __init__(self, calls: Iterable[Call], on: SequentialObject) -> None:
        classes: dict[tuple[str, Hashable], list[Call]] = defaultdict(list)
        for call in sorted(calls, key=lambda call: call.began):
            classes[call.f, call.value].append(call)
        self._classes = list(classes.values())
        self._shifts = []
        self._of_result: dict[ObjectState, list[int]] = defaultdict(list)
        self._needs = [on.needs(alike[0]) for alike in self._classes]
        shift = 2
        for number, alike in enumerate(self._classes):
            self._shifts.append(shift)
            shift += len(alike).bit_length() + 1
            self._of_result[on.leaves(alike[0])].append(number)
        self._guards = 2 | sum(
            1 << (shift + len(alike).bit_length())
            for shift, alike in zip(self._shifts, self._classes, strict=True)
        )

    LAST_IS_OPEN = 1
    """In the lowest bit: whether the call placed last is open."""

    def next_of(self, number: int, used: int) -> Call | None:
        """The oldest call of a class that is not placed."""
        alike = self._classes[number]
        count = used >> self._shifts[number] & (1 << len(alike).bit_length()) - 1
        return alike[count] if count < len(alike) else None

    def with_one_more(self, number: int, used: int) -> int:
        """The counters after one more of a class, which is the last call now."""
        return used + (1 << self._shifts[number]) | self.LAST_IS_OPEN

    def is_within(self, few: int, many: int) -> bool:
        """Whether no counter of one is above that of the other."""
        return ((many | self._guards) - few) & self._guards == self._guards

    def helpful(self, wanted: set[ObjectState]) -> Iterable[int]:
        """The classes that lead to one of the states wanted, perhaps by way of others."""
        if ANY in wanted or ANY in self._of_result:
            return range(len(self._classes))
        found: dict[int, None] = {}
        todo = list(wanted)
        while todo:
            for number in self._of_result.get(todo.pop(), ()):
                if number not in found:
                    found[number] = None
                    if self._needs[number] is not ANY:
                        todo.append(self._needs[number])
        return found

    def has_blind_one_before(self, end: int, used: int) -> bool:
        """Whether one that is blind and not placed began before a position."""
        return any(
            alike[0].is_blind and (call := self.next_of(number, used)) and call.began < end
            for number, alike in enumerate(self._classes)
        )


class _Search:
    def __init__(self, calls: Sequence[Call], on: SequentialObject) -> None:
        self._on = on
        self._closed = sorted((c for c in calls if c.ended is not None), key=_end)
        self._beside = _begun_before_the_end_of(self._closed)
        self._open = _OpenCalls((c for c in calls if c.is_open and not c.only_looks), on)
        self._next_look = _next_look_of(self._closed)
        self._seen: dict[tuple[int, int, ObjectState], list[int]] = {}
        self._furthest = 0
        self._stuck_in: dict[ObjectState, None] = {}

    def run(self, situations_max: int) -> Linearization | Stuck | GaveUp:
        """Depth first, without recursion: histories are longer than Python's stack is deep."""
        begin = self._look(
            _Situation(0, 0, 0, self._on.opening, None),
        )
        self._is_new(begin)
        situations = 1
        stack = [(begin, self._next(begin))]
        while stack:
            situation, choices = stack[-1]
            if situation.first == len(self._closed):
                return Linearization(calls=_as_order(situation.order))
            for chosen in choices:
                situations += 1
                after = self._look(chosen)
                if self._is_new(after) and not self._is_hopeless(after):
                    stack.append((after, self._next(after)))
                    break
            else:
                stack.pop()
            if situations > situations_max:
                return GaveUp(situations=situations)
        return Stuck(call=self._closed[self._furthest], states=tuple(self._stuck_in))

    def _look(self, at: _Situation) -> _Situation:
        """Places every call that only looks and is right about the state, as far as that leads."""
        first, beside, used, order = at.first, at.beside, at.used, at.order
        placed = True
        while placed and first < len(self._closed):
            placed = False
            for number in (first, *self._beside[first]):
                call, bit = self._closed[number], 1 << (number - first)
                if beside & bit or not call.only_looks:
                    continue
                if self._on.after(at.state, call) is not ILLEGAL:
                    beside |= bit
                    order = _Path(call, order)
                    used &= ~_OpenCalls.LAST_IS_OPEN
            while beside & 1:
                beside >>= 1
                first += 1
                placed = True
        return _Situation(first, beside, used, at.state, order)

    def _next(self, at: _Situation) -> Iterator[_Situation]:
        """Every situation one changing call further: closed calls first, the oldest end first."""
        if at.first == len(self._closed):
            return
        last_is_open = at.used & _OpenCalls.LAST_IS_OPEN
        wanted, tried = set(), set()
        for number in (at.first, *self._beside[at.first]):
            call, bit = self._closed[number], 1 << (number - at.first)
            if at.beside & bit:
                continue
            if not call.is_blind:
                wanted.add(self._on.needs(call))
            elif last_is_open:
                continue
            if call.only_looks or (alike := (call.f, call.value)) in tried:
                continue
            tried.add(alike)
            state = self._on.after(at.state, call)
            if state is not ILLEGAL:
                yield _settled(at, at.beside | bit, state, call)
        end = _end(self._closed[at.first])
        for number in self._open.helpful(wanted):
            open_ = self._open.next_of(number, at.used)
            if open_ is None or open_.began > end or (last_is_open and open_.is_blind):
                continue
            state = self._on.after(at.state, open_)
            if state is not ILLEGAL and state != at.state:
                used = self._open.with_one_more(number, at.used)
                yield _Situation(at.first, at.beside, used, state, _Path(open_, at.order))

    def _is_new(self, at: _Situation) -> bool:
        """Whether nothing like it was seen with as few open calls used; remembers it."""
        self._note(at.first, at.state)
        key = (at.first, at.beside, at.state)
        seen = self._seen.get(key)
        if seen is None:
            self._seen[key] = [at.used]
            return True
        if any(self._open.is_within(one, at.used) for one in seen):
            return False
        seen[:] = [one for one in seen if not self._open.is_within(at.used, one)]
        seen.append(at.used)
        return True

    def _is_hopeless(self, at: _Situation) -> bool:
        """Whether the next look can never be right: it notes that this far was come."""
        number = self._next_look[at.first]
        while number < len(self._closed) and at.beside >> (number - at.first) & 1:
            number = self._next_look[number + 1]
        if number == len(self._closed) or self._on.may_lead(at.state, self._closed[number]):
            return False
        look = self._closed[number]
        for other in (*range(at.first, number), *self._beside[number]):
            if self._closed[other].is_blind and not at.beside >> (other - at.first) & 1:
                return False
        if self._open.has_blind_one_before(_end(look), at.used):
            return False
        self._note(number, at.state)
        return True

    def _note(self, number: int, state: ObjectState) -> None:
        """Remembers the furthest call that was waited for, and in which states."""
        if number > self._furthest:
            self._furthest = number
            self._stuck_in = {}
        if number == self._furthest and number < len(self._closed):
            self._stuck_in[state] = None


def _settled(at: _Situation, beside: int, state: ObjectState, call: Call) -> _Situation:
    first = at.first
    while beside & 1:
        beside >>= 1
        first += 1
    return _Situation(
        first, beside, at.used & ~_OpenCalls.LAST_IS_OPEN, state, _Path(call, at.order)
    )


def _begun_before_the_end_of(closed: Sequence[Call]) -> list[tuple[int, ...]]:
    """For each call the numbers of those that end after it and began before its end."""
    running: list[list[int]] = [[] for _ in closed]
    by_begin = sorted(range(len(closed)), key=lambda number: closed[number].began)
    begun = 0
    live: list[int] = []
    for number, call in enumerate(closed):
        while begun < len(closed) and closed[by_begin[begun]].began < _end(call):
            live.append(by_begin[begun])
            begun += 1
        live = [one for one in live if one > number]
        running[number] = sorted(live)
    return [tuple(some) for some in running]


def _next_look_of(closed: Sequence[Call]) -> list[int]:
    """For each number the first one from there on that only looks; the length where none does."""
    following = [len(closed)] * (len(closed) + 1)
    for number in reversed(range(len(closed))):
        following[number] = number if closed[number].only_looks else following[number + 1]
    return following


def _as_order(path: _Path | None) -> tuple[Call, ...]:
    calls = []
    while path is not None:
        calls.append(path.call)
        path = path.before
    return tuple(reversed(calls))


def _end(call: Call) -> int:
    assert call.ended is not None
    return call.ended
