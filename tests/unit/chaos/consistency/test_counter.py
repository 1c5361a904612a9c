"""Counters: reads within their bounds, values given once. The first six are Jepsen's own cases."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.consistency.attempts import attempts

from chaos.consistency import counter
from chaos.consistency.answer import HistoryAnswer
from chaos.consistency.attempts import ClientAttempt
from chaos.consistency.counter import Recount, bounds_of
from chaos.consistency.errors import HistoryValueError
from chaos.findings import Verdict


def _judge(text: str) -> HistoryAnswer:
    return counter.judge(attempts(text), level=counter.BOUNDED)


VALID = [
    "0 :invoke :read\n0 :ok :read 0",
    "0 :invoke :add 1\n0 :fail :add 1\n0 :invoke :read\n0 :ok :read 0",
    "0 :invoke :add 1\n1 :invoke :read\n1 :ok :read 0\n1 :invoke :read\n1 :ok :read 1",
    "0 :invoke :add 1\n0 :info :add 1\n1 :invoke :read\n1 :ok :read 1",
    "0 :invoke :add -2\n1 :invoke :read\n1 :ok :read -2\n0 :ok :add -2",
    "0 :invoke :add -2\n1 :invoke :read\n0 :ok :add -2\n1 :ok :read 0",
]
INVALID = [
    ("0 :invoke :read\n0 :ok :read 1", 1),
    ("0 :invoke :add 1\n0 :ok :add 1\n0 :invoke :read\n0 :ok :read 0", 1),
    (
        """
        0 :invoke :read
        1 :invoke :add 1
        0 :ok :read 0
        0 :invoke :read
        1 :ok :add 1
        1 :invoke :add 2
        0 :ok :read 3
        0 :invoke :read
        1 :ok :add 2
        0 :ok :read 5
        """,
        1,
    ),
    ("0 :invoke :add -2\n0 :ok :add -2\n0 :invoke :read\n0 :ok :read 0", 1),
]


@pytest.mark.parametrize("text", VALID)
def test_it_accepts(text: str) -> None:
    answer = _judge(text)
    assert answer.verdict is Verdict.VALID, answer.reason
    assert answer.proof is not None


@pytest.mark.parametrize(("text", "count"), INVALID)
def test_it_rejects(text: str, count: int) -> None:
    [anomaly] = _judge(text).anomalies
    assert (anomaly.name, anomaly.count) == ("value-out-of-bounds", count)
    assert anomaly.sentences[-1].startswith("Confirmed")


def test_jepsens_interleaved_case() -> None:
    """Nine at once: one read of 100 is out of [0, 15], the others are not."""
    lines = [f"{n} :invoke {':read' if n % 2 == 0 else f':add {2 ** (n // 2)}'}" for n in range(9)]
    seen = {0: 6, 2: 0, 4: 3, 6: 100, 8: 15}
    lines += [
        f"{n} :ok " + (f":read {seen[n]}" if n in seen else f":add {2 ** (n // 2)}")
        for n in range(9)
    ]
    [anomaly] = _judge("\n".join(lines)).anomalies
    [evidence] = anomaly.evidence
    assert (evidence["lower"], evidence["seen"], evidence["upper"]) == (0, 100, 15)


def test_nothing_read_is_said() -> None:
    answer = _judge("0 :invoke :add 1\n0 :ok :add 1")
    assert answer.verdict is Verdict.VALID
    assert answer.notes == ("Nothing was read: nothing could contradict the additions.",)


def test_a_value_given_twice_is_rejected() -> None:
    answer = _judge(
        "0 :invoke :add-and-get 1\n0 :ok :add-and-get 1\n"
        "1 :invoke :add-and-get 1\n1 :ok :add-and-get 1"
    )
    assert "value-given-twice" in [anomaly.name for anomaly in answer.anomalies]


def test_a_value_given_backwards_is_rejected() -> None:
    answer = _judge(
        "0 :invoke :add-and-get 1\n0 :ok :add-and-get 2\n"
        "1 :invoke :add-and-get 1\n1 :ok :add-and-get 1"
    )
    assert "value-given-backwards" in [anomaly.name for anomaly in answer.anomalies]


def test_a_value_beyond_all_additions_is_rejected() -> None:
    answer = _judge("0 :invoke :add-and-get 1\n0 :ok :add-and-get 7")
    [anomaly] = answer.anomalies
    assert anomaly.name == "value-out-of-bounds"


def test_values_given_in_order_are_accepted() -> None:
    answer = _judge(
        "0 :invoke :add-and-get 1\n1 :invoke :add-and-get 1\n1 :ok :add-and-get 1\n"
        "0 :ok :add-and-get 2\n1 :invoke :read\n1 :ok :read 2"
    )
    assert answer.verdict is Verdict.VALID, answer.reason


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(HistoryValueError, match="no whole number"):
        _judge("0 :invoke :add :much\n0 :ok :add :much")


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["add", "add-and-get", "read"]),
            st.integers(-3, 3),
            st.integers(0, 20),
            st.integers(1, 9),
            st.sampled_from(["ok", "ok", "fail", "info"]),
        ),
        max_size=12,
    )
)
def test_both_counts_of_the_bounds_agree(
    drawn: list[tuple[str, int, int, int, str]],
) -> None:
    some = [
        ClientAttempt(
            f=f,
            asked=number,
            answered=number,
            outcome=outcome,  # type: ignore[arg-type]
            began=began * 20 + n,
            ended=(began + width) * 20 + n,
        )
        for n, (f, number, began, width, outcome) in enumerate(drawn)
    ]
    recount = Recount(some)
    for one in bounds_of(some):
        assert recount.is_within(one.read) == one.are_kept


def test_the_verdict_is_the_bound_that_was_not_kept() -> None:
    answer = _judge("0 :invoke :read\n0 :ok :read 1")
    assert "saw 1: all additions" in answer.reason
