"""Histories of a counter: those that are accepted, and those that must be rejected."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pytest
from support.evidence.counted import added, counting
from support.evidence.found import found_by

from chaos.evidence.records import Operation
from chaos.findings import Verdict
from chaos.judge.judging import judge
from chaos.workloads.counter.check_values import CHECKER, WRONG_VALUE
from chaos.workloads.counter.native import judge_run

check = partial(found_by, CHECKER)


def test_values_that_are_given_once_and_in_order_are_accepted() -> None:
    operations = [added("a", 1.0, 1), added("b", 2.0, 2), added("c", 3.0, 3)]
    (result,) = judge(counting(operations, 3), [CHECKER]).results
    assert (result.verdict, result.findings) == (Verdict.VALID, ())
    assert "3 values given once and in order" in result.proof[0]
    assert judge_run(counting(operations, 3), None).verdict is Verdict.VALID


@pytest.mark.parametrize("end", [1, 2])
def test_an_addition_in_doubt_may_count_or_not(end: int) -> None:
    doubt = added("d", 2.0, None, outcome="info")
    assert check(counting([added("a", 1.0, 1), doubt], end)) == []


@pytest.mark.parametrize(
    ("operations", "end", "words"),
    [
        ([added("a", 1.0, 1), added("b", 2.0, 1)], 1, "value 1 was given to"),
        ([added("a", 1.0, 2), added("b", 2.0, 1)], 2, "a on db-paris"),
        ([added("a", 1.0, 1), added("b", 2.0, 2)], 1, "the final read of db-paris"),
        ([added("a", 1.0, 1), added("b", 2.0, None, outcome="fail")], 2, "the final read"),
    ],
)
def test_lost_and_doubled_additions_are_rejected(
    operations: Sequence[Operation], end: int, words: str
) -> None:
    findings = check(counting(operations, end))
    assert {(one.kind, one.verdict) for one in findings} == {(WRONG_VALUE, Verdict.INVALID)}
    assert any(words in finding.summary for finding in findings)
    assert any(proof.get("lsn") == "0/64" for one in findings for proof in one.evidence) or (
        "final read" in words
    )


def test_after_a_failover_that_may_lose_writes_nothing_is_promised() -> None:
    operations = [added("a", 1.0, 1), added("b", 2.0, 1, timeline=2)]
    assert {one.verdict for one in check(counting(operations, 1))} == {Verdict.INVALID}
    assert {one.verdict for one in check(counting(operations, 1, lost_max=1))} == {Verdict.VALID}
