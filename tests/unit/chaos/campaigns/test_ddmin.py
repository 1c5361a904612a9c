"""Delta debugging on failures that are invented."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.campaigns.ddmin import OutOfRunsError, ddmin, repeats_for

Part = tuple[int, ...]


def needing(*needed: int) -> Callable[[Part], bool]:
    return lambda part: set(needed) <= set(part)


@pytest.mark.parametrize("needed", [(0,), (5,), (0, 5), (2, 3), (1, 3, 5), tuple(range(6))])
def test_what_is_needed_is_left(needed: Part) -> None:
    assert ddmin(range(6), needing(*needed)) == needed


@given(st.sets(st.integers(0, 15), min_size=1), st.integers(1, 16))
def test_the_answer_is_minimal_and_no_part_is_asked_for_twice(needed: set[int], size: int) -> None:
    needed = {item for item in needed if item < size} or {0}
    asked: list[Part] = []

    def fails(part: Part) -> bool:
        asked.append(part)
        return needed <= set(part)

    assert ddmin(range(size), fails) == tuple(sorted(needed))
    assert len(asked) == len(set(asked))


def test_a_failure_with_either_of_two_causes_leaves_one() -> None:
    found = ddmin(range(6), lambda part: 1 in part or 4 in part)
    assert found in {(1,), (4,)}


def test_six_faults_of_which_two_are_needed_cost_few_runs() -> None:
    counts = []
    for one in range(6):
        for other in range(one + 1, 6):
            asked: list[Part] = []

            def fails(part: Part, one: int = one, other: int = other) -> bool:
                asked.append(part)  # noqa: B023 - called within this turn
                return {one, other} <= set(part)

            ddmin(range(6), fails)
            counts.append(len(asked))
    assert max(counts) <= 20


def test_when_no_run_is_left_the_smallest_so_far_is_the_answer() -> None:
    left = 3

    def fails(part: Part) -> bool:
        nonlocal left
        if not left:
            raise OutOfRunsError
        left -= 1
        return 5 in part

    assert ddmin(range(8), fails) == (4, 5)


@pytest.mark.parametrize(
    ("failed", "of", "repeats"), [(5, 5, 1), (4, 5, 2), (3, 5, 4), (2, 5, 6), (1, 5, 14)]
)
def test_how_often_a_candidate_is_run(failed: int, of: int, repeats: int) -> None:
    assert repeats_for(failed, of) == repeats


def test_a_failure_that_comes_and_goes_is_shrunk_by_repeating() -> None:
    """It fails 4 times in 5; with the repeats that follow from that, nearly every answer is
    minimal."""
    minimal = 0
    for seed in range(200):
        random = Random(seed)

        def fails(part: Part, random: Random = random) -> bool:
            if not {1, 4} <= set(part):
                return False
            return any(random.random() < 0.8 for _ in range(repeats_for(4, 5)))

        minimal += ddmin(range(6), fails) == (1, 4)
    assert minimal > 180
