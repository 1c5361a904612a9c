"""Small histories of one object, by hand or at random, and an order found by trying them all."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, combinations, permutations

from hypothesis import strategies as st

from chaos.consistency.calls import Call
from chaos.consistency.linearization import objection
from chaos.consistency.objects import SequentialObject


def drawn(*lanes: str) -> list[Call]:
    """A history as a drawing: a lane a process, its calls as ``[w1--]`` or ``[r1-`` (open).

    A call is its bracket, a letter (``w`` write, ``r`` read, ``c`` compare-and-set, ``m`` one that
    missed, ``+`` acquire, ``-`` release), its digits (``_`` is nil), and as many dashes as it
    takes. The columns are the clock; within one column the lower lane is later.
    """
    calls = []
    for process, lane in enumerate(lanes):
        at = 0
        while (begin := lane.find("[", at)) >= 0:
            end = lane.find("]", begin)
            following = lane.find("[", begin + 1)
            is_open = end < 0 or 0 <= following < end
            inner = lane[begin + 1 : following if is_open and following >= 0 else end]
            calls.append(_call(inner, process, begin, None if is_open else end, lanes=len(lanes)))
            at = begin + 1
    return sorted(calls, key=lambda call: call.began)


def _call(text: str, process: int, begin: int, end: int | None, *, lanes: int) -> Call:
    names = {
        "w": "write",
        "r": "read",
        "c": "cas",
        "m": "cas-missed",
        "+": "acquire",
        "-": "release",
    }
    digits = [None if char == "_" else int(char) for char in text[1:] if char in "_0123456789"]
    value = tuple(digits) if text[0] in "cm" else digits[0] if digits else None
    return Call(
        f=names[text[0]],
        value=value,
        process=process,
        began=begin * lanes + process,
        ended=None if end is None else end * lanes + process,
    )


def orders(calls: Sequence[Call], on: SequentialObject) -> bool:
    """Whether any order explains the calls: all of them are tried, without the clock or the state
    to cut short. For five calls or so."""
    closed = [call for call in calls if not call.is_open]
    open_ = [call for call in calls if call.is_open]
    subsets = chain.from_iterable(combinations(open_, n) for n in range(len(open_) + 1))
    return any(
        objection(order, calls, on) is None
        for some in subsets
        for order in permutations([*closed, *some])
    )


def histories(
    *, calls_max: int, values_max: int, with_cas: bool = False, are_unique: bool = False
) -> st.SearchStrategy[list[Call]]:
    """Random histories of a register, few of them linearizable by chance alone."""
    return st.builds(
        _history,
        st.integers(1, calls_max).flatmap(
            lambda n: st.tuples(
                st.permutations(range(2 * n)),
                st.lists(
                    st.tuples(
                        st.sampled_from(
                            ["read", "write", *(["cas", "cas-missed"] if with_cas else [])]
                        ),
                        st.integers(0, values_max),
                        st.integers(0, values_max),
                        st.integers(0, 4).map(lambda dice: dice == 0),
                    ),
                    min_size=n,
                    max_size=n,
                ),
            )
        ),
        st.just(are_unique),
    )


def _history(
    drawn: tuple[Sequence[int], Sequence[tuple[str, int, int, bool]]], are_unique: bool
) -> list[Call]:
    positions, asked = drawn
    calls = []
    writes = 0
    for number, (f, one, other, is_open) in enumerate(asked):
        begin, end = sorted(positions[2 * number : 2 * number + 2])
        value: object = (one, other) if f.startswith("cas") else one
        if f == "write" and are_unique:
            writes += 1
            value = writes
        elif f == "read" and value == 0:
            value = None
        calls.append(
            Call(f=f, value=value, began=begin, ended=None if is_open else end, process=number)
        )
    return calls
