"""The circuit breaker: opens after failures in a row, lets one through, closes on success."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from replication.units.admission import Circuit

AFTER, OPEN_S = 3, 5.0


def opened(now_s: float = 0.0) -> Circuit:
    circuit = Circuit(after=AFTER, open_s=OPEN_S)
    assert [circuit.failed(now_s) for _ in range(AFTER)] == [False, False, True]
    return circuit


def test_it_refuses_at_once_and_says_for_how_long() -> None:
    circuit = opened()
    assert circuit.refused_for_s(1.0) == 4.0
    assert circuit.refused_for_s(4.5) == 0.5


def test_then_one_is_let_through_and_no_other() -> None:
    circuit = opened()
    assert circuit.refused_for_s(OPEN_S) is None
    assert circuit.refused_for_s(OPEN_S) == OPEN_S
    assert circuit.closed()
    assert circuit.refused_for_s(OPEN_S) is None


def test_if_that_one_fails_it_stays_open_as_long_again() -> None:
    circuit = opened()
    assert circuit.refused_for_s(OPEN_S) is None
    assert not circuit.failed(6.0)
    assert circuit.refused_for_s(7.0) == 4.0


def test_if_that_one_ends_without_a_word_the_next_is_let_through() -> None:
    circuit = opened()
    assert circuit.refused_for_s(OPEN_S) is None
    circuit.abandoned()
    assert circuit.refused_for_s(OPEN_S) is None


def test_a_claim_closes_it_on_probation() -> None:
    circuit = opened()
    assert circuit.hopeful()
    assert [circuit.refused_for_s(1.0) for _ in range(3)] == [None] * 3
    assert circuit.failed(1.0)
    assert circuit.refused_for_s(2.0) == 4.0


def test_a_claim_forgives_nothing_while_it_is_closed() -> None:
    circuit = Circuit(after=AFTER, open_s=OPEN_S)
    for _ in range(AFTER - 1):
        assert not circuit.failed(0.0)
        assert not circuit.hopeful()
    assert circuit.failed(0.0)


def test_a_success_between_failures_keeps_it_closed() -> None:
    circuit = Circuit(after=AFTER, open_s=OPEN_S)
    for _ in range(5):
        assert not circuit.failed(0.0)
        assert not circuit.failed(0.0)
        assert not circuit.closed()


@given(after=st.integers(min_value=1, max_value=20))
def test_it_opens_with_exactly_the_last_of_so_many(after: int) -> None:
    circuit = Circuit(after=after, open_s=OPEN_S)
    assert [circuit.failed(0.0) for _ in range(after)] == [False] * (after - 1) + [True]


class AnyOrder(RuleBasedStateMachine):
    """Whatever happens in whatever order: it never refuses for longer than ``open_s``, never
    refuses while it is closed, and always lets somebody through in the end."""

    def __init__(self) -> None:
        super().__init__()
        self.circuit = Circuit(after=AFTER, open_s=OPEN_S)
        self.now_s = 0.0

    @rule(passed_s=st.integers(min_value=0, max_value=20))
    def time_passes(self, passed_s: int) -> None:
        self.now_s += passed_s

    @rule()
    def fails(self) -> None:
        was_open = self.circuit.is_open
        assert self.circuit.failed(self.now_s) == (self.circuit.is_open and not was_open)

    @rule()
    def ends_without_a_word(self) -> None:
        self.circuit.abandoned()

    @rule()
    def succeeds(self) -> None:
        was_open = self.circuit.is_open
        assert self.circuit.closed() == was_open
        assert not self.circuit.is_open

    @rule()
    def is_claimed(self) -> None:
        self.circuit.hopeful()
        assert not self.circuit.is_open

    @rule()
    def is_asked(self) -> None:
        refused_for_s = self.circuit.refused_for_s(self.now_s)
        if refused_for_s is not None:
            assert self.circuit.is_open
            assert 0 < refused_for_s <= OPEN_S

    @invariant()
    def somebody_is_let_through_in_the_end(self) -> None:
        self.circuit.abandoned()
        assert self.circuit.refused_for_s(self.now_s + OPEN_S) is None
        self.circuit.abandoned()


TestAnyOrder = AnyOrder.TestCase
