"""The search for an order: against all orders of tiny histories, and where it must give up."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from support.consistency.calls import drawn, histories, orders

from chaos.consistency.calls import Call
from chaos.consistency.linearization import objection
from chaos.consistency.objects import Mutex, Register
from chaos.consistency.search import GaveUp, Linearization, Stuck, search
from chaos.consistency.sweep import sweep

LINEARIZABLE = [
    ("nothing happened", ()),
    ("one after the other", ("[w1-] [r1-]", "")),
    ("a read beside the write sees the old value", ("  [w1----]", "[r_-]")),
    ("two reads beside the write see the old and the new value", ("[w1-------]", " [r_] [r1]")),
    ("an open write was seen", ("[w1-", "      [r1-]")),
    ("an open write was never seen", ("[w1-", "      [r_-]")),
    ("an open write is seen late", ("[w1-", "      [r_-] [r1-]")),
    ("a compare-and-set that matched", ("[w1-] [c12]", "            [r2-]")),
    ("one that missed, beside the write", ("[w1-]", "  [m12-]")),
]
NOT_LINEARIZABLE = [
    ("a read of what was overwritten", ("[w1-] [w2-]", "            [r1-]"), 2),
    ("a read of what nobody wrote", ("[w1-] [r2-]", ""), 1),
    ("the new value and then the old one", ("[w1---------]", "  [r1] [r_]"), 2),
    ("a compare-and-set that cannot have matched", ("[w1-] [c31]", ""), 1),
    ("one that must have matched", ("[w1-] [m12]", ""), 1),
    ("an open write cannot be undone", ("[w1-", "     [r1-] [r_-]"), 2),
]


@pytest.mark.parametrize(("name", "lanes"), LINEARIZABLE)
def test_it_finds_the_order(name: str, lanes: tuple[str, ...]) -> None:
    calls = drawn(*lanes)
    result = search(calls, Register())
    assert isinstance(result, Linearization), name
    assert objection(result.calls, calls, Register()) is None


@pytest.mark.parametrize(("name", "lanes", "culprit"), NOT_LINEARIZABLE)
def test_it_names_the_call_that_has_no_place(
    name: str, lanes: tuple[str, ...], culprit: int
) -> None:
    calls = drawn(*lanes)
    result = search(calls, Register())
    assert isinstance(result, Stuck), name
    assert result.call == sorted(calls, key=lambda call: call.began)[culprit]


def test_a_lock_is_held_once() -> None:
    assert isinstance(search(drawn("[+] [-]", "       [+]"), Mutex()), Linearization)
    assert isinstance(search(drawn("[+]    ", "     [+]"), Mutex()), Stuck)


@settings(max_examples=100, deadline=None)
@given(histories(calls_max=5, values_max=2, with_cas=True))
def test_it_agrees_with_trying_all_orders(calls: list[Call]) -> None:
    result = search(calls, Register())
    assert isinstance(result, Linearization) == orders(calls, Register())
    if isinstance(result, Linearization):
        assert objection(result.calls, calls, Register()) is None


@settings(max_examples=100, deadline=None)
@given(histories(calls_max=9, values_max=3, with_cas=True))
def test_the_sweep_is_stuck_at_the_same_call(calls: list[Call]) -> None:
    result, dead_end = search(calls, Register()), sweep(calls, Register())
    if isinstance(result, Stuck):
        assert dead_end is not None
        assert dead_end.call == result.call
        assert set(result.states) <= set(dead_end.before)
    else:
        assert dead_end is None


def test_it_gives_up_at_its_limit() -> None:
    """Thirty writes at once that nobody reads in the end: too many orders end in a wrong read."""
    writes = [Call(f="write", value=n % 7, began=n, ended=100 + n) for n in range(30)]
    reads = [Call(f="read", value=9, began=200, ended=201)]
    result = search([*writes, *reads], Register(), situations_max=1_000)
    assert isinstance(result, GaveUp)
    assert result.situations == 1_001
    assert isinstance(search([*writes[:8], *reads], Register()), Stuck)


def test_many_open_writes_alike_cost_little() -> None:
    """Each of 400 open writes may have happened at any time, but 80 of one value are one class."""
    calls = [Call(f="write", value=n % 5, began=n, ended=None) for n in range(400)]
    calls += [
        Call(f="read", value=n * 3 % 5, began=1_000 + 2 * n, ended=1_001 + 2 * n)
        for n in range(300)
    ]
    result = search(calls, Register(), situations_max=2_000)
    assert isinstance(result, Linearization)
    assert objection(result.calls, calls, Register()) is None


def test_a_history_longer_than_the_stack_is_deep() -> None:
    calls = [Call(f="write", value=n % 2, began=2 * n, ended=2 * n + 1) for n in range(3_000)]
    assert isinstance(search(calls, Register()), Linearization)
