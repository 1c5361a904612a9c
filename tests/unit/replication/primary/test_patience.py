"""When an answer is overdue, by those before it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication.primary.patience import (
    ANSWERS,
    ANSWERS_MIN,
    OVERDUE_S_MAX,
    OVERDUE_S_MIN,
    Patience,
)


def after(*took_s: float) -> float:
    patience = Patience()
    for one_s in took_s:
        patience.note(one_s)
    return patience.overdue_s


def test_little_is_known_at_first() -> None:
    assert after() == OVERDUE_S_MAX
    assert after(*[0.002] * (ANSWERS_MIN - 1)) == OVERDUE_S_MAX
    assert after(*[0.002] * ANSWERS_MIN) == OVERDUE_S_MIN


@pytest.mark.parametrize(
    ("usual_s", "overdue_s"), [(0.002, 0.25), (0.03, 0.3), (0.06, 0.6), (0.5, 1.0)]
)
def test_it_is_ten_times_what_is_usual_within_bounds(usual_s: float, overdue_s: float) -> None:
    assert after(*[usual_s] * ANSWERS) == pytest.approx(overdue_s)


def test_one_slow_answer_in_a_hundred_is_not_usual_and_two_are() -> None:
    assert after(*[0.002] * 99, 0.08) == OVERDUE_S_MIN
    assert after(*[0.002] * 98, 0.08, 0.08) == pytest.approx(0.8)


def test_what_was_long_ago_does_not_count() -> None:
    assert after(*[3.0] * ANSWERS, *[0.002] * ANSWERS) == OVERDUE_S_MIN


@given(st.lists(st.floats(min_value=0, max_value=3600), max_size=400))
def test_it_is_always_within_its_bounds(took_s: list[float]) -> None:
    assert OVERDUE_S_MIN <= after(*took_s) <= OVERDUE_S_MAX
