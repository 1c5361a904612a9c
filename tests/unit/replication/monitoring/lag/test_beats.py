"""Seconds of lag from a heartbeat: stories, and properties against a memory without bounds."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replication.monitoring.lag.beats import BEATS_MAX, UNANSWERED_MAX, Beats, Seen

ANSWER_S = 0.01
"""From sending a beat to its acknowledgement, in these stories."""


def beat(beats: Beats, at_s: float, *, before: int | None) -> int:
    number = beats.next(at_s)
    beats.acknowledge(number, before=before, now_s=at_s + ANSWER_S)
    return number


def beating(count: int, *, beats_max: int = BEATS_MAX) -> Beats:
    """Beats 1 to ``count``, one a second, at 1 s, 2 s..."""
    beats = Beats(beats_max=beats_max)
    for number in range(1, count + 1):
        assert beat(beats, float(number), before=number - 1 or None) == number
    return beats


def test_before_the_first_beat_nobody_knows() -> None:
    beats = Beats()
    assert beats.lag_s(Seen(number=0, asked_s=1.0), now_s=1.0, silent=False) is None
    beats.next(1.0)
    assert beats.lag_s(Seen(number=0, asked_s=2.0), now_s=2.0, silent=False) is None


def test_a_replica_with_the_newest_beat_is_not_behind() -> None:
    assert beating(5).lag_s(Seen(number=5, asked_s=5.5), now_s=5.7, silent=False) == 0


def test_a_replica_is_not_blamed_for_a_beat_that_came_after_the_question() -> None:
    beats = beating(5)
    seen = Seen(number=5, asked_s=5.9)
    beat(beats, 6.0, before=5)
    assert beats.lag_s(seen, now_s=6.5, silent=False) == 0
    assert beats.lag_s(seen, now_s=6.5, silent=True) == 0.5


def test_a_replica_that_lacks_beats_is_behind_since_the_first_of_them() -> None:
    assert beating(9).lag_s(Seen(number=4, asked_s=9.5), now_s=10.0, silent=False) == 5.0


def test_a_silent_replica_keeps_its_number_and_falls_behind() -> None:
    beats = beating(3)
    seen = Seen(number=3, asked_s=3.5)
    lags = []
    for number in range(4, 14):
        beat(beats, float(number), before=number - 1)
        lags.append(beats.lag_s(seen, now_s=number + 0.5, silent=True))
    assert lags == [number + 0.5 - 4 for number in range(4, 14)]


def test_a_replica_that_has_none_of_ours_lacks_the_first() -> None:
    """A restarted exporter: its rows of before are another writer's."""
    assert beating(4).lag_s(Seen(number=0, asked_s=4.5), now_s=5.0, silent=False) == 4.0


def test_an_idle_cluster_without_beats_is_not_behind() -> None:
    """No primary, so no beats: whoever has the last one lacks nothing, however long it takes."""
    assert beating(4).lag_s(Seen(number=4, asked_s=99.0), now_s=100.0, silent=False) == 0


def test_numbers_lost_in_a_failover_are_forgotten() -> None:
    """Beats 8 and 9 were on the old primary only; the new one has 7. Nobody must catch up on the
    20 s without a primary."""
    beats = beating(9)
    up_to_date = Seen(number=7, asked_s=30.5)
    assert beat(beats, 30.0, before=7) == 10
    assert beats.lag_s(up_to_date, now_s=30.5, silent=False) == pytest.approx(0.5)
    has_it = Seen(number=10, asked_s=30.6)
    assert beats.lag_s(has_it, now_s=30.7, silent=False) == 0


def test_a_former_primary_with_lost_numbers_is_behind() -> None:
    beats = beating(9)
    beat(beats, 30.0, before=7)
    beat(beats, 31.0, before=10)
    assert beats.lag_s(Seen(number=9, asked_s=9.1), now_s=35.0, silent=True) == 5.0


def test_a_replica_further_back_is_behind_since_before_the_failover() -> None:
    beats = beating(9)
    beat(beats, 30.0, before=7)
    assert beats.lag_s(Seen(number=3, asked_s=30.5), now_s=31.0, silent=False) == 27.0


def test_a_new_primary_that_has_no_row_begins_afresh() -> None:
    """It was made before the exporter, or its row was pruned."""
    beats = beating(9)
    beat(beats, 30.0, before=None)
    assert len(beats) == 1
    assert beats.lag_s(Seen(number=0, asked_s=31.0), now_s=32.0, silent=False) == 2.0


def test_a_beat_whose_acknowledgement_was_lost_counts_once_it_is_known() -> None:
    beats = beating(3)
    lost = beats.next(4.0)
    assert beats.lag_s(Seen(number=3, asked_s=4.5), now_s=4.5, silent=False) == 0
    assert beats.lag_s(Seen(number=lost, asked_s=4.5), now_s=4.5, silent=False) == 0
    beat(beats, 8.0, before=lost)
    assert beats.lag_s(Seen(number=3, asked_s=8.5), now_s=9.0, silent=False) == 5.0
    assert beats.lag_s(Seen(number=lost, asked_s=8.5), now_s=9.0, silent=False) == 1.0


def test_a_beat_that_was_never_committed_never_counts() -> None:
    beats = beating(3)
    beats.next(4.0)
    beat(beats, 8.0, before=3)
    assert beats.lag_s(Seen(number=3, asked_s=8.5), now_s=9.0, silent=False) == 1.0


def test_memory_is_bounded_though_nothing_is_acknowledged() -> None:
    beats = beating(1)
    for second in range(2, 10 * UNANSWERED_MAX):
        beats.next(float(second))
    assert len(beats._sent) == UNANSWERED_MAX


def test_a_day_of_beats_is_kept_within_a_few_per_cent() -> None:
    day_s = 86_400
    beats = Beats(beats_max=128)
    for number in range(1, day_s // 10):
        beat(beats, number * 10.0, before=number - 1 or None)
    assert len(beats) <= 128
    now_s = float(day_s)
    for seen in range(1, day_s // 10 - 2, 97):
        lag_s = beats.lag_s(Seen(number=seen, asked_s=now_s), now_s=now_s, silent=False)
        true_s = now_s - (seen + 1) * 10.0
        assert lag_s is not None
        assert true_s <= lag_s <= true_s * 1.2 + 10.0


@dataclass(frozen=True)
class Step:
    """Something that happens to a cluster: a beat after a pause, some of the last lost before."""

    pause_s: float
    lost: int
    answered: bool


STEPS = st.lists(
    st.builds(
        Step,
        pause_s=st.floats(0.1, 50),
        lost=st.integers(0, 5),
        answered=st.booleans(),
    ),
    min_size=1,
    max_size=60,
)


@given(STEPS, st.integers(0, 60), st.floats(0.001, 100))
@settings(deadline=None)
def test_the_lag_is_what_a_memory_without_bounds_says(
    steps: list[Step], number: int, later_s: float
) -> None:
    """The model knows what the primary has; the beats know what was acknowledged.

    Where an answer and a failover were lost together, a beat that is gone may still be counted:
    then the lag is too large, never too small.
    """
    beats, now_s = Beats(), 0.0
    on_primary: list[tuple[int, float]] = []
    known: set[int] = set()
    for step in steps:
        now_s += step.pause_s
        if step.lost:
            del on_primary[-step.lost :]
        before = on_primary[-1][0] if on_primary else None
        sent = beats.next(now_s)
        on_primary.append((sent, now_s))
        if step.answered:
            beats.acknowledge(sent, before=before, now_s=now_s)
            known |= {sent, before or sent}
    now_s += later_s
    lacking = [at_s for n, at_s in on_primary if n > number and n in known]
    lag_s = beats.lag_s(Seen(number=number, asked_s=now_s), now_s=now_s, silent=False)
    if lag_s is None:
        assert not known
    elif all(step.answered for step in steps):
        assert lag_s == (now_s - lacking[0] if lacking else 0)
    else:
        assert lag_s >= (now_s - lacking[0] if lacking else 0)


@given(
    st.lists(st.floats(0.1, 1000), min_size=3, max_size=120),
    st.integers(0, 120),
    st.integers(4, 16),
)
@settings(deadline=None)
def test_merging_never_makes_a_lag_too_small(
    pauses_s: list[float], number: int, beats_max: int
) -> None:
    bounded, exact, now_s = Beats(beats_max=beats_max), Beats(beats_max=10_000), 0.0
    for n, pause_s in enumerate(pauses_s):
        now_s += pause_s
        for beats in (bounded, exact):
            beat(beats, now_s, before=n or None)
    assert len(bounded) <= beats_max
    seen = Seen(number=number, asked_s=now_s + 1)
    lags = [b.lag_s(seen, now_s=now_s + 1, silent=False) for b in (bounded, exact)]
    assert lags[0] is not None
    assert lags[1] is not None
    assert lags[0] >= lags[1]
    assert (lags[0] == 0) == (lags[1] == 0)
    assert bounded.newest == exact.newest


@given(st.lists(st.floats(0, 10), min_size=1, max_size=20))
@settings(deadline=None)
def test_a_silent_replica_never_catches_up(pauses_s: list[float]) -> None:
    beats = beating(3)
    seen, now_s, last_s = Seen(number=2, asked_s=2.5), 3.5, 0.0
    for pause_s in pauses_s:
        now_s += pause_s
        lag_s = beats.lag_s(seen, now_s=now_s, silent=True)
        assert lag_s is not None
        assert lag_s >= last_s + pause_s - 1e-9
        last_s = lag_s
