"""Delta debugging: the smallest part of a list that still fails. Pure.

``ddmin`` is that of Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input"
(IEEE Transactions on Software Engineering 28(2), 2002): of a list that fails, try each of n parts,
then what is left without each of them, then finer parts. The answer is 1-minimal: without any one
of its items it does not fail, as far as the tests could tell.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeVar

T = TypeVar("T")

MISS_SHARE = 0.05
"""A candidate that fails as often as the original is missed this often at most."""


class OutOfRunsError(Exception):
    """No run is left to test another candidate with."""


def repeats_for(failed: int, of: int) -> int:
    """How often a candidate is run before it counts as one that does not fail.

    Of a failure that shows in a share p of the runs, n runs in a row show nothing with
    probability (1 - p) ** n: so many that this is ``MISS_SHARE`` at most.

    Args:
        failed: how many replays failed, at least one.
        of: how many there were.
    """
    if failed >= of:
        return 1
    return math.ceil(math.log(MISS_SHARE) / math.log(1 - failed / of))


def ddmin(items: Sequence[T], fails: Callable[[tuple[T, ...]], bool]) -> tuple[T, ...]:
    """The smallest part of ``items`` found that fails.

    Args:
        items: a list that fails.
        fails: whether a part of it does, in the same order. Asked once for each part. May raise
            ``OutOfRunsError``: the smallest part so far is the answer.
    """
    answers: dict[tuple[int, ...], bool] = {}

    def is_failing(indices: tuple[int, ...]) -> bool:
        if indices not in answers:
            answers[indices] = fails(tuple(items[index] for index in indices))
        return answers[indices]

    found, parts = tuple(range(len(items))), 2
    try:
        while len(found) > 1:
            chunks = _split(found, parts)
            rests = [tuple(i for i in found if i not in chunk) for chunk in chunks]
            chunk = next(filter(is_failing, chunks), None)
            rest = next(filter(is_failing, rests), None) if chunk is None else None
            if chunk is not None:
                found, parts = chunk, 2
            elif rest is not None:
                found, parts = rest, max(parts - 1, 2)
            elif parts < len(found):
                parts = min(2 * parts, len(found))
            else:
                break
    except OutOfRunsError:
        pass
    return tuple(items[index] for index in found)


def _split(indices: tuple[int, ...], parts: int) -> list[tuple[int, ...]]:
    """In so many parts, as long as each other or one longer."""
    ends = [round(len(indices) * number / parts) for number in range(parts + 1)]
    return [indices[begin:end] for begin, end in pairwise(ends)]
