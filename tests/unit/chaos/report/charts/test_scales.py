"""The arithmetic of the charts: scales, ticks, bins."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.evidence.records import Operation
from chaos.report.charts.bins import BINS_MAX, bin_operations, bin_width_s
from chaos.report.charts.scales import (
    LinearScale,
    LogScale,
    decades,
    nice_ceiling,
    nice_step,
    ticks,
)

positive = st.floats(min_value=1e-3, max_value=1e6)


def _op(ended_s: float | None, *, took_s: float = 0.002, outcome: str = "ok") -> Operation:
    invoked_s = (ended_s or 0.0) - took_s
    return Operation(
        id=f"paris-0-{ended_s}",
        site="paris",
        worker=0,
        invoked_s=invoked_s,
        ended_s=ended_s,
        outcome="ok" if outcome == "ok" else "fail",
    )


def test_a_linear_scale_maps_ends_and_holds_what_lies_outside() -> None:
    scale = LinearScale(low=0.0, high=10.0, start=100.0, stop=200.0)
    assert [scale.at(v) for v in (-5.0, 0.0, 5.0, 10.0, 99.0)] == [100, 100, 150, 200, 200]


def test_a_linear_scale_without_extent_maps_to_its_start() -> None:
    assert LinearScale(low=3.0, high=3.0, start=7.0, stop=9.0).at(3.0) == 7.0


def test_a_log_scale_gives_each_decade_the_same_room() -> None:
    scale = LogScale(low=1.0, high=1000.0, start=90.0, stop=0.0)
    assert [round(scale.at(v), 6) for v in (1.0, 10.0, 100.0, 1000.0)] == [90, 60, 30, 0]


def test_a_log_scale_holds_zero_at_its_start() -> None:
    assert LogScale(low=1.0, high=10.0, start=5.0, stop=0.0).at(0.0) == 5.0


@given(low=st.floats(-1e5, 1e5), extent=positive, value=st.floats(-1e6, 1e6))
def test_a_scale_never_leaves_its_range(low: float, extent: float, value: float) -> None:
    scale = LinearScale(low=low, high=low + extent, start=10.0, stop=20.0)
    assert 10.0 <= scale.at(value) <= 20.0


@given(extent=positive, count=st.integers(1, 20))
def test_a_step_is_round_and_large_enough(extent: float, count: int) -> None:
    step = nice_step(extent, count)
    mantissa = step / 10.0 ** math.floor(math.log10(step) + 1e-9)
    assert round(mantissa, 6) in {1.0, 2.0, 5.0}
    assert extent / step <= count * (1 + 1e-6)


@given(low=st.floats(0, 1e4), extent=st.floats(0.01, 1e4), count=st.integers(1, 20))
def test_ticks_lie_inside_in_order_and_are_few(low: float, extent: float, count: int) -> None:
    found = ticks(low, low + extent, count)
    assert len(found) <= count + 1
    assert all(a < b for a, b in itertools.pairwise(found))
    slack = extent * 1e-6 + low * 1e-9
    assert all(low - slack <= value <= low + extent + slack for value in found)


def test_ticks_of_a_run_are_the_ones_that_people_expect() -> None:
    assert ticks(0.0, 52.5, 12) == tuple(float(v) for v in range(0, 55, 5))


@given(value=positive)
def test_a_ceiling_is_above_and_near(value: float) -> None:
    assert value * (1 - 1e-9) <= nice_ceiling(value) <= value * 2 + 1e-9


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1.6, 22_000.0, (1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0)),
        (1.0, 1.0, (1.0, 10.0)),
        (0.4, 90.0, (0.1, 1.0, 10.0, 100.0)),
    ],
)
def test_decades_enclose(low: float, high: float, expected: tuple[float, ...]) -> None:
    assert decades(low, high) == pytest.approx(expected)


@given(
    ends=st.lists(st.floats(0, 60), min_size=1, max_size=60),
    extent_s=st.floats(0.05, 60),
    width_s=st.floats(0.1, 5),
)
def test_no_acknowledged_write_goes_missing_in_the_bins(
    ends: list[float], extent_s: float, width_s: float
) -> None:
    bins = bin_operations([_op(end_s) for end_s in ends], 0.0, extent_s, width_s)
    assert sum(bin_.ok for bin_ in bins) == len(ends)
    assert bins[0].from_s == 0.0
    assert bins[-1].to_s == pytest.approx(extent_s)
    assert all(a.to_s == pytest.approx(b.from_s) for a, b in itertools.pairwise(bins))


def test_bins_count_only_what_was_acknowledged() -> None:
    bins = bin_operations([_op(0.5), _op(0.6, outcome="fail"), _op(None)], 0.0, 1.0, 1.0)
    assert [bin_.ok for bin_ in bins] == [1]


def test_a_bin_tells_rate_median_and_longest() -> None:
    ops = [_op(0.1, took_s=0.001), _op(0.2, took_s=0.003), _op(0.3, took_s=0.5)]
    (only,) = bin_operations(ops, 0.0, 0.5, 0.5)
    assert only.rate_per_s == pytest.approx(6.0)
    assert only.p50_ms == pytest.approx(3.0)
    assert only.max_ms == pytest.approx(500.0)


def test_an_empty_bin_has_no_latency() -> None:
    first, second = bin_operations([_op(0.1)], 0.0, 1.0, 0.5)
    assert (first.ok, second.ok) == (1, 0)
    assert second.p50_ms is None
    assert second.max_ms is None


def test_a_short_rest_joins_the_last_bin() -> None:
    """A rate over 4 ms would be drawn as a peak that never was."""
    bins = bin_operations([_op(0.999), _op(1.002)], 0.0, 1.004, 0.5)
    assert [(b.from_s, b.to_s) for b in bins] == [(0.0, 0.5), (0.5, 1.004)]


@given(extent_s=st.floats(0.01, 5000))
def test_bins_are_never_more_than_the_chart_can_show(extent_s: float) -> None:
    assert bin_width_s(extent_s) >= 0.1
    assert extent_s / bin_width_s(extent_s) <= BINS_MAX * (1 + 1e-6)


def test_no_extent_gives_no_bins() -> None:
    assert bin_operations([_op(1.0)], 1.0, 1.0, 0.5) == ()
    assert bin_width_s(0.0) == 0.1
