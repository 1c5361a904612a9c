"""The replay of an order: it accepts one that explains the calls, and names what is wrong."""

from __future__ import annotations

import pytest
from support.consistency.calls import drawn

from chaos.consistency.linearization import objection
from chaos.consistency.objects import Register

CALLS = drawn("[w1-] [r1-] ", "            [w2-")
WRITE, READ, OPEN = CALLS


def test_an_order_with_and_without_the_open_call_is_accepted() -> None:
    assert objection([WRITE, READ], CALLS, Register()) is None
    assert objection([WRITE, READ, OPEN], CALLS, Register()) is None


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ([WRITE], "lacks"),
        ([WRITE, READ, READ], "twice"),
        ([READ, WRITE], "is wrong: before it there was nil"),
        ([OPEN, WRITE, READ], "had ended before"),
    ],
)
def test_an_order_that_explains_nothing_is_rejected(order: list[object], words: str) -> None:
    wrong = objection(order, CALLS, Register())  # type: ignore[arg-type]
    assert wrong is not None
    assert words in wrong


def test_a_call_from_elsewhere_is_rejected() -> None:
    wrong = objection([WRITE, READ], [WRITE], Register())
    assert wrong is not None
    assert "not in the history" in wrong
