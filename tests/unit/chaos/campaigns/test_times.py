"""Random times: within their bounds, on a logarithmic scale, and often near Patroni's clocks."""

from __future__ import annotations

from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from chaos.campaigns.times import FACTORS, SHORTEST_S, Times


@given(st.integers(), st.floats(0.0, 120.0), st.floats(1.0, 60.0))
def test_a_time_is_within_its_bounds(seed: int, most_s: float, limit_s: float) -> None:
    times = Times(random=Random(seed), around_s=(20, 5, 5), duration_s_max=limit_s)
    drawn_s = times.draw_s(most_s)
    assert drawn_s == round(drawn_s, 1)
    assert drawn_s <= min(most_s, limit_s) + 0.05, "rounded to a tenth"
    assert drawn_s >= min(SHORTEST_S, round(most_s, 1))


def test_half_of_the_times_are_around_the_clocks_and_the_others_are_log_uniform() -> None:
    times = Times(random=Random(1), around_s=(20.0, 5.0), duration_s_max=60.0)
    drawn_s = [times.draw_s() for _ in range(4000)]
    near = {round(clock_s * factor, 1) for clock_s in (20.0, 5.0) for factor in FACTORS}
    others = [time_s for time_s in drawn_s if time_s not in near]
    assert 0.4 < 1 - len(others) / len(drawn_s) < 0.6
    decades = Counter(len(f"{time_s:.1f}".split(".")[0]) if time_s >= 1 else 0 for time_s in others)
    # 0.1 to 1, 1 to 10, and the three quarters of a decade from 10 to 60.
    assert 0.7 < decades[0] / decades[1] < 1.5
    assert 0.5 < decades[2] / decades[1] < 1.2
