"""Zones of unique values: the same verdict as the search, and an order or the few that clash."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from support.consistency.calls import drawn, histories

from chaos.consistency.calls import Call
from chaos.consistency.linearization import objection
from chaos.consistency.objects import Register
from chaos.consistency.search import Linearization, search
from chaos.consistency.sweep import sweep
from chaos.consistency.zones import Clash, are_unique, order_or_clash


@pytest.mark.parametrize(
    ("lanes", "words"),
    [
        (("[r3-]", "[w1-]"), "Nobody wrote 3"),
        (("[r1-]", "      [w1-]"), "had ended before"),
        (("[w1-]           [r1-]", "      [w2-]"), "inside the other's reign"),
        (("[w1-] [w2-]", "             [r1-]"), "inside the other's reign"),
        (("[w1---]       [r1-]       [r1-]", "[w2---]              [r2-]"), "before and after"),
    ],
)
def test_it_rejects(lanes: tuple[str, ...], words: str) -> None:
    calls = drawn(*lanes)
    clash = order_or_clash(calls, None)
    assert isinstance(clash, Clash)
    assert words in clash.sentence
    assert sweep(clash.calls, Register()) is not None, "the clash alone has an order"


@settings(max_examples=100, deadline=None)
@given(histories(calls_max=7, values_max=4, are_unique=True))
def test_it_agrees_with_the_search(calls: list[Call]) -> None:
    assert are_unique(calls, None)
    found = order_or_clash(calls, None)
    assert isinstance(found, Clash) != isinstance(search(calls, Register()), Linearization)
    if isinstance(found, Clash):
        assert sweep(found.calls, Register()) is not None, "the clash alone has an order"
    else:
        assert objection(found, calls, Register()) is None


def test_values_written_twice_are_not_unique() -> None:
    assert not are_unique(drawn("[w1-] [w1-]"), None)
    assert not are_unique(drawn("[w1-]"), 1)
    assert not are_unique(drawn("[w1-] [c12]"), None)


def test_twenty_thousand_calls_are_no_trouble() -> None:
    calls = [
        Call(f=f, value=n, began=8 * n + at, ended=8 * n + at + 3)
        for n in range(1, 10_001)
        for f, at in (("write", 0), ("read", 1))
    ]
    order = order_or_clash(calls, None)
    assert not isinstance(order, Clash)
    assert objection(order, calls, Register()) is None
