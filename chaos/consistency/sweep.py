"""The second opinion on INVALID: every situation that is possible, event by event, in one sweep.

A sweep through beginnings and ends in the order of the clock, with the set of all states that the
object may be in and of the running calls that may already have happened (just-in-time
linearization: Lowe, 2017; Knossos' ``linear``). The call at whose end the set is empty has no place
in any order. It shares nothing with the search but the object's rules, and is slower.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chaos.consistency.calls import Call
from chaos.consistency.objects import ILLEGAL, ObjectState, SequentialObject

SITUATIONS_MAX = 100_000
"""The sweep gives up where so many situations are possible at once: some 100 MB."""

Situation = tuple[ObjectState, frozenset[int]]
"""A state of the object, and the positions of the running calls that have happened already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadEnd:
    """A call whose end no situation allows."""

    call: Call
    before: tuple[ObjectState, ...]
    """The states that the object could be in just before the end of that call."""


class TooManyError(Exception):
    """More situations are possible at once than the sweep looks at."""


def sweep(
    calls: Sequence[Call], on: SequentialObject, *, situations_max: int = SITUATIONS_MAX
) -> DeadEnd | None:
    """The first call, by its end, that has no place in any order; None when all have one.

    Raises:
        TooManyError: more than ``situations_max`` situations are possible at once.
    """
    events = [(call.began, False, call) for call in calls]
    events += [(call.ended, True, call) for call in calls if call.ended is not None]
    running: dict[int, Call] = {}
    possible: set[Situation] = {(on.opening, frozenset())}
    for _, is_end, call in sorted(events, key=lambda event: event[0]):
        if not is_end:
            running[call.began] = call
            continue
        possible = _reachable(possible, running, on, situations_max)
        after = {(s, done - {call.began}) for s, done in possible if call.began in done}
        if not after:
            return DeadEnd(call=call, before=tuple(dict.fromkeys(s for s, _ in possible)))
        del running[call.began]
        possible = after
    return None


def _reachable(
    possible: set[Situation], running: dict[int, Call], on: SequentialObject, situations_max: int
) -> set[Situation]:
    """The same situations, and those after any of the running calls, in any order."""
    reached = set(possible)
    todo = list(possible)
    while todo:
        state, done = todo.pop()
        for position, call in running.items():
            if position in done or (after := on.after(state, call)) is ILLEGAL:
                continue
            situation = (after, done | {position})
            if situation not in reached:
                reached.add(situation)
                todo.append(situation)
        if len(reached) > situations_max:
            raise TooManyError
    return reached
