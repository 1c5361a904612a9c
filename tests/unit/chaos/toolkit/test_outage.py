"""An outage as faults and single writes can tell it: never shorter than it was."""

from __future__ import annotations

import pytest

from chaos.toolkit.outage import OutageWatch


class Clock:
    """Seconds, as the test sets them."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def outage(clock: Clock) -> OutageWatch:
    return OutageWatch(clock)


def test_from_the_strike_to_the_next_write(outage: OutageWatch, clock: Clock) -> None:
    with outage.striking():
        clock.now_s = 101.0
    assert outage.open_s == 1.0
    clock.now_s = 121.0
    outage.acknowledged(began_s=102.0)
    assert (outage.outages_s, outage.open_s) == ([21.0], None)


def test_a_write_during_the_strike_ends_nothing(outage: OutageWatch, clock: Clock) -> None:
    with outage.striking():
        clock.now_s = 100.1
        outage.acknowledged(began_s=100.05)
        clock.now_s = 101.0
    assert (outage.outages_s, outage.open_s) == ([], 1.0)


def test_a_write_that_began_before_the_fault_had_bitten_ends_nothing(
    outage: OutageWatch, clock: Clock
) -> None:
    with outage.striking():
        clock.now_s = 101.0
    clock.now_s = 101.2
    outage.acknowledged(began_s=100.9)
    assert outage.outages_s == []
    clock.now_s = 120.0
    outage.acknowledged(began_s=101.3)
    assert outage.outages_s == [20.0]


def test_a_fault_that_failed_may_have_bitten(outage: OutageWatch, clock: Clock) -> None:
    with pytest.raises(ValueError, match="no"), outage.striking():
        raise ValueError("no")
    assert outage.open_s == 0.0


def test_from_the_begin_of_the_first_refused_write(outage: OutageWatch, clock: Clock) -> None:
    clock.now_s = 130.0
    outage.refused(began_s=100.0)
    outage.refused(began_s=115.0)
    clock.now_s = 131.0
    outage.acknowledged(began_s=130.5)
    assert outage.outages_s == [31.0]


def test_a_write_that_waited_for_somebody_elses_fault(outage: OutageWatch, clock: Clock) -> None:
    clock.now_s = 125.0
    outage.acknowledged(began_s=100.0)
    assert outage.outages_s == [25.0]


def test_a_write_as_always_is_no_outage(outage: OutageWatch, clock: Clock) -> None:
    clock.now_s = 100.4
    outage.acknowledged(began_s=100.0)
    assert (outage.outages_s, outage.open_s) == ([], None)


def test_a_second_fault_keeps_the_begin_of_the_first(outage: OutageWatch, clock: Clock) -> None:
    with outage.striking():
        pass
    clock.now_s = 105.0
    with outage.striking():
        clock.now_s = 106.0
    clock.now_s = 110.0
    outage.acknowledged(began_s=107.0)
    assert outage.outages_s == [10.0]
