"""Bytes of lag, the primary to measure against, and how many standbys a commit waits for."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replication.monitoring.lag.positions import (
    STAGES,
    Reached,
    Reference,
    choose_reference,
    lag_bytes,
    reached_by_itself,
)
from replication.monitoring.lag.sql_answer import standbys_required


def primary(
    member: str = "a", *, timeline: int = 1, position: int = 1000, lock: bool = False, of: int = 1
) -> Reference:
    return Reference(
        member=member,
        timeline=timeline,
        position=position,
        has_lock=lock,
        system_identifier=of,
    )


def at(position: int, *, timeline: int | None = 1) -> Reached:
    return Reached(
        sent=position, write=position, flush=position, replay=position, timeline=timeline
    )


def test_stage_by_stage() -> None:
    reached = Reached(sent=1000, write=990, flush=900, replay=500, timeline=1)
    assert lag_bytes(primary(), reached, {}) == {
        "sent": 0,
        "write": 10,
        "flush": 100,
        "replay": 500,
    }


def test_what_a_replica_says_of_itself() -> None:
    assert reached_by_itself(700, 600, 1) == Reached(
        sent=700, write=700, flush=700, replay=600, timeline=1
    )


def test_a_receiver_that_begins_anew_has_not_lost_what_was_replayed() -> None:
    assert reached_by_itself(512, 600, 1).flush == 600
    assert reached_by_itself(None, 600, 1).flush == 600


def test_wal_of_a_dead_timeline_counts_up_to_its_end() -> None:
    """A former primary wrote on to 1400; the new one left timeline 1 at 1200 and is at 1500."""
    now = primary("b", timeline=2, position=1500)
    assert lag_bytes(now, at(1400), {1: 1200})["replay"] == 300
    assert lag_bytes(now, at(1100), {1: 1200})["replay"] == 400
    assert lag_bytes(now, at(1400), {})["replay"] == 100
    assert lag_bytes(now, at(1400, timeline=2), {1: 1200})["replay"] == 100
    assert lag_bytes(now, at(1400, timeline=None), {1: 1200})["replay"] == 100


def test_the_earliest_end_counts_when_several_timelines_lie_between() -> None:
    now = primary("c", timeline=3, position=2000)
    assert lag_bytes(now, at(1900), {1: 1500, 2: 1200})["flush"] == 800
    assert lag_bytes(now, at(1900, timeline=2), {1: 1500, 2: 1700})["flush"] == 300


POSITIONS = st.integers(0, 2**40)


@given(POSITIONS, POSITIONS, st.dictionaries(st.integers(1, 5), POSITIONS))
@settings(deadline=None)
def test_no_lag_is_negative(position: int, reached: int, ends: dict[int, int]) -> None:
    lag = lag_bytes(primary(timeline=6, position=position), at(reached), ends)
    assert set(lag) == set(STAGES)
    assert all(value >= 0 for value in lag.values())
    assert lag["replay"] >= position - reached


@given(POSITIONS, st.lists(st.integers(1, 2**20), min_size=1))
@settings(deadline=None)
def test_a_replica_that_stands_still_falls_behind_by_what_is_written(
    position: int, written: list[int]
) -> None:
    stands_at = at(position)
    for more in written:
        position += more
        lag = lag_bytes(primary(position=position), stands_at, {})["replay"]
        assert lag == position - stands_at.replay


def test_the_highest_timeline_is_measured_against() -> None:
    old, new = primary("a", position=9000, lock=True), primary("b", timeline=2)
    assert choose_reference([old, new], None) == new
    assert choose_reference([old, new], old) == new


def test_a_stale_primary_is_never_measured_against() -> None:
    """The new primary does not answer for a moment; the old one still writes on timeline 1."""
    new = primary("b", timeline=2)
    assert choose_reference([primary("a", position=9000, lock=True)], new) == new


def test_without_a_primary_the_last_one_stays() -> None:
    assert choose_reference([], primary()) == primary()
    assert choose_reference([], None) is None


def test_on_one_timeline_the_lock_decides_then_the_position() -> None:
    assert choose_reference([primary("a", lock=True), primary("b", position=9000)], None) == (
        primary("a", lock=True)
    )
    assert choose_reference([primary("a"), primary("b", position=9000)], None) == (
        primary("b", position=9000)
    )


def test_a_cluster_that_was_made_anew_begins_from_scratch() -> None:
    old = primary("a", timeline=7, position=9000)
    anew = primary("a", timeline=1, position=10, lock=True, of=2)
    assert choose_reference([anew], old) == anew
    assert choose_reference([primary("a", timeline=1, of=2)], old) == old
    assert choose_reference([primary("a", timeline=1, lock=True)], old) == old


@pytest.mark.parametrize(
    ("setting", "required"),
    [
        ("", 0),
        ("   ", 0),
        ("*", 1),
        ("db-a, db-b", 1),
        ('"db-a"', 1),
        ("ANY 1 (*)", 1),
        ('ANY 2 ("db-a","db-b","db-c")', 2),
        ("any 2(a,b)", 2),
        ("FIRST 3 (a, b, c)", 3),
        ("2 (a, b)", 2),
        (' ANY  1  ("2 (odd")', 1),
        ('"2", b', 1),
        ("any_host", 1),
        ("first, second", 1),
    ],
)
def test_standbys_that_a_commit_waits_for(setting: str, required: int) -> None:
    assert standbys_required(setting) == required
