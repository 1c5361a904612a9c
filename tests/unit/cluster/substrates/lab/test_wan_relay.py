"""When a frame is due, and whether it arrives: the arithmetic of the relay."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.substrates.lab.wan_probe import checksum, request
from cluster.substrates.lab.wan_relay import QUEUE_BYTES_MIN, QUEUE_S, Passage, ways_of


def drawn(*values: float) -> Callable[[], float]:
    """Chance that comes as it is told."""
    numbers: Iterator[float] = iter(values)
    return lambda: next(numbers)


def test_a_delay_is_added_and_nothing_else_happens() -> None:
    way = Passage(0.010)
    assert not way.is_lost()
    assert way.due_s(5.0, 1500) == pytest.approx(5.010)
    assert way.due_s(5.0, 64_000) == pytest.approx(5.010)


def test_jitter_goes_to_both_sides_and_frames_do_not_overtake() -> None:
    way = Passage(0.010, 0.004, chance=drawn(1.0, 0.5, 0.0, 0.0))
    assert way.due_s(0.0, 100) == pytest.approx(0.014)
    assert way.due_s(0.001, 100) == pytest.approx(0.014)  # 0.011 by itself
    assert way.due_s(0.002, 100) == pytest.approx(0.014)  # 0.008 by itself
    assert way.due_s(1.0, 100) == pytest.approx(1.006)


def test_a_rate_makes_frames_wait_for_each_other() -> None:
    way = Passage(0.0, bytes_per_s=1_000_000)
    assert way.due_s(0.0, 1000) == pytest.approx(0.001)
    assert way.due_s(0.0, 1000) == pytest.approx(0.002)
    assert way.due_s(10.0, 500) == pytest.approx(10.0005)  # it was idle meanwhile


@pytest.mark.parametrize("bytes_per_s", [10_000.0, 10_000_000.0])
def test_a_full_queue_drops_and_takes_again_when_it_has_run_down(bytes_per_s: float) -> None:
    way = Passage(0.0, bytes_per_s=bytes_per_s)
    room = max(QUEUE_BYTES_MIN, QUEUE_S * bytes_per_s)
    taken = 0
    while way.due_s(0.0, 1000) is not None:
        taken += 1000
    assert room <= taken <= room + 2000
    assert way.due_s(0.0, 1000) is None
    assert way.due_s(taken / bytes_per_s, 1000) is not None


def test_loss_is_drawn_and_without_it_nothing_is() -> None:
    way = Passage(loss=0.3, chance=drawn(0.29, 0.3))
    assert way.is_lost()
    assert not way.is_lost()
    assert not Passage(chance=drawn()).is_lost()
    assert Passage(loss=1.0).is_lost()


@given(
    st.floats(0, 2),
    st.floats(0, 1),
    st.none() | st.floats(1e3, 1e9),
    st.lists(st.tuples(st.floats(0, 0.1), st.integers(1, 65_536)), max_size=40),
)
def test_nothing_arrives_early_or_out_of_order(
    delay_s: float, jitter_s: float, rate: float | None, frames: list[tuple[float, int]]
) -> None:
    way = Passage(delay_s, jitter_s, 0.0, rate)
    now_s = last_s = 0.0
    for pause_s, size in frames:
        now_s += pause_s
        due_s = way.due_s(now_s, size)
        if due_s is None:
            assert rate is not None
            continue
        assert due_s >= max(now_s, last_s, now_s + delay_s - jitter_s - 1e-9)
        if rate is None:
            assert due_s <= max(last_s, now_s + delay_s + jitter_s + 1e-9)
        last_s = due_s


def test_a_request_names_both_directions() -> None:
    found = dict(ways_of([[1, 2, 0.01, 0.0, 0.0, None], [2, 1, 0.02, 0.0, 1.0, 1000.0]]))
    assert found[1, 2].due_s(0.0, 100) == 0.01
    assert found[2, 1].is_lost()
    assert found[2, 1].due_s(0.0, 100) == pytest.approx(0.12)


def test_an_echo_has_the_checksum_that_proves_itself() -> None:
    """RFC 1071: summed with its own checksum, a message gives nothing."""
    for number in (0, 1, 0xFFFF):
        assert checksum(request(4711, number)) == 0
