"""Long forks: reads in a row, reads that fork, and histories that the question does not fit."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st
from support.consistency.attempts import alone, attempts

from chaos.consistency import long_fork
from chaos.consistency.answer import HistoryAnswer
from chaos.consistency.long_fork import ForkStep, GroupRead, objection
from chaos.findings import Verdict


def _reads(*reads: dict[int, int | None]) -> HistoryAnswer:
    steps = [
        (
            "read",
            [["r", key, None] for key in read],
            [["r", key, value] for key, value in read.items()],
        )
        for read in reads
    ]
    return long_fork.judge(alone(*steps), level=long_fork.SNAPSHOT_ISOLATION)


def test_reads_in_a_row_are_accepted() -> None:
    answer = _reads({0: None, 1: None}, {0: 1, 1: None}, {0: 1, 1: 1}, {0: 1, 1: None})
    assert answer.verdict is Verdict.VALID
    assert answer.proof is not None
    assert [step.rpartition(" (")[0] or step for step in answer.proof.order] == [
        "the read by process 0",
        "the write of 0",
        "the read by process 0",
        "the read by process 0",
        "the write of 1",
        "the read by process 0",
    ]


def test_an_order_that_does_not_explain_the_reads_is_refused() -> None:
    one, other = alone(("read", None, [["r", 0, None]]), ("read", None, [["r", 0, 1]]))
    early, late = GroupRead(attempt=one, values={0: None}), GroupRead(attempt=other, values={0: 1})
    first, write, last = ForkStep(read=early), ForkStep(key=0), ForkStep(read=late)
    assert objection([first, write, last], [early, late]) is None
    for order, words in (
        ([write, first, last], "is wrong about 0"),
        ([first, last, write], "is wrong about 0"),
        ([first, write, write, last], "0 is written twice"),
        ([first, first, write, last], "stands twice"),
        ([first, write], "1 read missing in it"),
    ):
        assert words in (objection(order, [early, late]) or "")


def test_a_fork_is_rejected_with_both_reads() -> None:
    answer = _reads({0: 1, 1: None, 2: 1}, {0: None, 1: 1, 2: 1})
    assert answer.verdict is Verdict.INVALID
    [anomaly] = answer.anomalies
    assert len(anomaly.sentences) == 3
    assert [proof["saw"] for proof in anomaly.evidence] == ["0, 2", "1, 2"]


def test_reads_of_different_groups_are_not_compared() -> None:
    assert _reads({0: 1, 1: None}, {0: None, 1: 1, 2: None}).verdict is Verdict.VALID


def test_a_key_written_twice_is_unknown() -> None:
    some = attempts(
        "0 :invoke :write [[:w 1 1]]\n0 :ok :write [[:w 1 1]]\n"
        "0 :invoke :write [[:w 1 2]]\n0 :ok :write [[:w 1 2]]"
    )
    answer = long_fork.judge(some, level=long_fork.SNAPSHOT_ISOLATION)
    assert answer.verdict is Verdict.UNKNOWN
    assert "written twice" in answer.reason


def test_a_key_read_with_two_values_is_unknown() -> None:
    answer = _reads({0: 1, 1: None}, {0: 2, 1: None})
    assert answer.verdict is Verdict.UNKNOWN


def test_without_reads_it_is_unknown() -> None:
    assert _reads().verdict is Verdict.UNKNOWN


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=6))
def test_it_agrees_with_comparing_all_pairs(reads: list[list[bool]]) -> None:
    """As Jepsen does: a pair of which neither has all that the other has."""
    seen = [{key for key, there in enumerate(read) if there} for read in reads]
    forked = any(not (a <= b or b <= a) for a, b in combinations(seen, 2))
    answer = _reads(
        *({key: 1 if there else None for key, there in enumerate(read)} for read in reads)
    )
    assert (answer.verdict is Verdict.INVALID) == forked
