"""Labels in charts: none over another, none cut off."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from chaos.report.charts.labels import clear_middle, place_flags, shorten, text_width

_RIGHT = 1000.0
poles = st.lists(st.tuples(st.floats(0, _RIGHT), st.floats(10, 300)), max_size=9)


@given(poles=poles)
def test_labels_on_a_tier_never_overlap_nor_pass_the_right_border(
    poles: list[tuple[float, float]],
) -> None:
    flags = place_flags(poles, _RIGHT)
    assert [flag.x for flag in flags] == [x for x, _ in poles]
    for one, other in itertools.combinations(flags, 2):
        if one.tier == other.tier:
            assert one.right <= other.left or other.right <= one.left
    assert all(flag.right <= _RIGHT + 1e-9 for flag in flags)


def test_a_lone_label_stands_right_of_its_pole_on_the_lowest_tier() -> None:
    (flag,) = place_flags([(100.0, 50.0)], _RIGHT)
    assert (flag.left, flag.right, flag.tier) == (100.0, 150.0, 0)


def test_poles_close_to_each_other_do_not_go_through_labels() -> None:
    flags = place_flags([(300.0, 180.0), (320.0, 140.0), (340.0, 200.0)], _RIGHT)
    assert [flag.tier for flag in flags] == [2, 1, 0]


def test_at_the_right_border_labels_turn_left_without_a_crossing() -> None:
    """Quiesce and final-read, at the end of a short run."""
    quiesce, final_read = place_flags([(922.0, 48.0), (965.0, 58.0)], 986.0)
    assert (quiesce.anchor, final_read.anchor) == ("end", "end")
    high, low = (quiesce, final_read) if quiesce.tier > final_read.tier else (final_read, quiesce)
    assert not low.left < high.x < low.right


def test_a_text_keeps_clear_of_poles() -> None:
    assert clear_middle(0.0, 100.0, 40.0, []) == 50.0
    assert clear_middle(0.0, 100.0, 40.0, [10.0]) == 50.0
    assert clear_middle(0.0, 100.0, 40.0, [45.0]) == 72.5
    assert clear_middle(0.0, 100.0, 60.0, [45.0]) is None
    assert clear_middle(0.0, 30.0, 40.0, []) is None


@given(content=st.text(max_size=60), width=st.floats(20, 400))
def test_a_shortened_text_fits(content: str, width: float) -> None:
    assert text_width(shorten(content, width, 12.0), 12.0) <= width


def test_what_fits_is_not_shortened() -> None:
    assert shorten("saint-cloud", 200.0, 13.0) == "saint-cloud"
    assert shorten("a-very-long-name-of-a-host", 60.0, 13.0).endswith("…")
