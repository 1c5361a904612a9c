"""Whether calls on one object can be put in an order: Wing and Gong's search with Lowe's cache.

An order is right when the object can answer so one call at a time, and when no call stands behind
one that began after its end (linearizability: Herlihy and Wing, 1990). The search tries, from the
first call on, every call that may come next (Wing and Gong, 1993), and never twice the same set of
placed calls in the same state (Lowe, 2017), as Knossos and Porcupine do. Four things keep it small:

- Closed calls are numbered by their ends. Those placed are all up to a number, and a few beside it:
  a set of placed calls is that number and a bit mask as wide as the concurrency, not the history.
- A call that only looks is placed as soon as its answer is right: to wait can never help it.
- Open calls that ask the same are one class, used in the order in which they began: an open call
  can do whatever a younger one like it can.
- What failed with some open calls used fails with more of them used.

The question is NP-complete (Gibbons and Korach, 1997), so the search has a limit and says so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

from chaos.consistency.calls import Call
from chaos.consistency.objects import ILLEGAL, SequentialObject, State

SITUATIONS_MAX = 1_000_000
"""The search gives up at so many different situations: some 300 MB and 20 s. Each of the public
histories of Porcupine and Knossos needs less than a tenth of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order that explains all answers."""

    calls: tuple[Call, ...]
    """Every closed call, and the open ones that were needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stuck:
    """There is no such order."""

    call: Call
    """The first call, by its end, that no order has a place for: all that ended before have one."""
    states: tuple[State, ...]
    """The states, each from an order of all calls that ended before, in which it found no place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GaveUp:
    """The search came to its limit."""

    situations: int
    """How many it had looked at."""


@dataclass(frozen=True, slots=True)
class _Situation:
    """How far an order has come."""

    first: int
    """The first closed call, by the number of its end, that is not placed."""
    beside: int
    """Bit i: the closed call ``first + i`` is placed."""
    used: tuple[int, ...]
    """How many open calls of each class are placed."""
    state: State
    order: _Path | None


@dataclass(frozen=True, slots=True)
class _Path:
    """The calls placed so far, the last first."""

    call: Call
    before: _Path | None


def search(
    calls: Sequence[Call], on: SequentialObject, *, situations_max: int = SITUATIONS_MAX
) -> Order | Stuck | GaveUp:
    """An order that explains the answers, the call that no order has a place for, or neither.

    Args:
        calls: Calls on one object, in any order.
        on: The object.
        situations_max: After so many different situations the search gives up.
    """
    return _Search(calls, on).run(situations_max)


class _Search:
    def __init__(self, calls: Sequence[Call], on: SequentialObject) -> None:
        self._on = on
        self._closed = sorted((c for c in calls if c.ended is not None), key=_end)
        self._beside = _begun_before_the_end_of(self._closed)
        classes: dict[tuple[str, Hashable], list[Call]] = defaultdict(list)
        for call in sorted((c for c in calls if c.ended is None), key=lambda c: c.began):
            if not call.only_looks:
                classes[call.f, call.value].append(call)
        self._open = list(classes.values())
        self._seen: dict[tuple[int, int, State], list[tuple[int, ...]]] = {}
        self._furthest = 0
        self._stuck_in: dict[State, None] = {}

    def run(self, situations_max: int) -> Order | Stuck | GaveUp:
        """Depth first, without recursion: histories are longer than Python's stack is deep."""
        begin = self._look(
            _Situation(0, 0, (0,) * len(self._open), self._on.opening, None),
        )
        situations = 1
        stack = [(begin, self._next(begin))]
        while stack:
            situation, choices = stack[-1]
            if situation.first == len(self._closed):
                return Order(calls=_as_order(situation.order))
            for chosen in choices:
                after = self._look(chosen)
                if self._is_new(after):
                    situations += 1
                    stack.append((after, self._next(after)))
                    break
            else:
                stack.pop()
            if situations > situations_max:
                return GaveUp(situations=situations)
        return Stuck(call=self._closed[self._furthest], states=tuple(self._stuck_in))

    def _look(self, at: _Situation) -> _Situation:
        """Places every call that only looks and is right about the state, as far as that leads."""
        first, beside, order = at.first, at.beside, at.order
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
            while beside & 1:
                beside >>= 1
                first += 1
                placed = True
        return _Situation(first, beside, at.used, at.state, order)

    def _next(self, at: _Situation) -> Iterator[_Situation]:
        """Every situation one changing call further: closed calls first, the oldest end first."""
        if at.first == len(self._closed):
            return
        for number in (at.first, *self._beside[at.first]):
            call, bit = self._closed[number], 1 << (number - at.first)
            if at.beside & bit or call.only_looks:
                continue
            state = self._on.after(at.state, call)
            if state is not ILLEGAL:
                yield _settled(at, at.beside | bit, state, call)
        end = _end(self._closed[at.first])
        for number, alike in enumerate(self._open):
            if at.used[number] == len(alike) or (call := alike[at.used[number]]).began > end:
                continue
            state = self._on.after(at.state, call)
            if state is not ILLEGAL and state != at.state:
                used = (*at.used[:number], at.used[number] + 1, *at.used[number + 1 :])
                yield _Situation(at.first, at.beside, used, state, _Path(call, at.order))

    def _is_new(self, at: _Situation) -> bool:
        """Whether nothing like it was seen with as few open calls used; remembers it."""
        if at.first > self._furthest:
            self._furthest = at.first
            self._stuck_in = {}
        if at.first == self._furthest and at.first < len(self._closed):
            self._stuck_in[at.state] = None
        key = (at.first, at.beside, at.state)
        seen = self._seen.get(key)
        if seen is None:
            self._seen[key] = [at.used]
            return True
        if any(_is_within(one, at.used) for one in seen):
            return False
        seen[:] = [one for one in seen if not _is_within(at.used, one)]
        seen.append(at.used)
        return True


def _settled(at: _Situation, beside: int, state: State, call: Call) -> _Situation:
    first = at.first
    while beside & 1:
        beside >>= 1
        first += 1
    return _Situation(first, beside, at.used, state, _Path(call, at.order))


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


def _is_within(few: tuple[int, ...], many: tuple[int, ...]) -> bool:
    return all(one <= other for one, other in zip(few, many, strict=True))


def _as_order(path: _Path | None) -> tuple[Call, ...]:
    calls = []
    while path is not None:
        calls.append(path.call)
        path = path.before
    return tuple(reversed(calls))


def _end(call: Call) -> int:
    assert call.ended is not None
    return call.ended
