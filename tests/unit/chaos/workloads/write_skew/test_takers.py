"""Places that only one may take: histories that are accepted, and those that must be rejected."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.evidence.takers import taker, taking

from chaos.findings import Verdict
from chaos.judge.judging import judge
from chaos.workloads.kind import IsolationName
from chaos.workloads.write_skew.check_takers import CHECKER, TAKEN_TWICE, check

LEVELS: tuple[IsolationName, ...] = ("read-committed", "repeatable-read", "serializable")
CLEAN = [taker("a", 1.0), taker("b", 1.1, "a"), taker("c", 2.0, "a")]


def test_one_taker_a_place_is_accepted() -> None:
    (result,) = judge(taking(CLEAN, {"a": 1}), [CHECKER]).results
    assert (result.verdict, result.findings) == (Verdict.VALID, ())
    assert result.proof == ("1 place, each taken by one transaction.",)


@pytest.mark.parametrize("isolation", LEVELS)
def test_two_at_the_same_time_are_a_failure_at_serializable_alone(isolation: IsolationName) -> None:
    run = taking([taker("a", 1.0), taker("b", 1.1)], {"a": 1, "b": 1}, isolation=isolation)
    (result,) = judge(run, [CHECKER]).results
    if isolation == "serializable":
        assert result.verdict is Verdict.INVALID
        assert "by a and b" in result.findings[0].summary
        assert result.findings[0].evidence[0]["node"] == "db-paris"
    else:
        assert result.verdict is Verdict.VALID
        assert result.proof[0].endswith(
            f"1 taken by several at the same time, as {isolation} allows."
        )


@pytest.mark.parametrize("isolation", LEVELS)
def test_two_one_after_the_other_are_a_failure_at_every_level(isolation: IsolationName) -> None:
    run = taking([taker("a", 1.0), taker("b", 2.0)], {"a": 1, "b": 1}, isolation=isolation)
    (finding,) = check(run)
    assert (finding.kind, finding.verdict) == (TAKEN_TWICE, Verdict.INVALID)
    assert "one after the other" in finding.summary


def test_a_taker_that_was_found_and_is_not_there_is_a_failure() -> None:
    failed = [taker("a", 1.0, None, outcome="fail"), taker("b", 2.0, "a")]
    (finding,) = check(taking(failed, {}))
    assert "found taken by a transaction that is not there" in finding.summary


def test_where_no_node_has_the_last_word_nobody_is_said_to_be_missing() -> None:
    unread = replace(taking(CLEAN, {"a": 1}), final_reads=())
    (result,) = judge(unread, [CHECKER]).results
    assert (result.verdict, result.findings) == (Verdict.UNKNOWN, ())


def test_who_is_in_doubt_may_have_taken_the_place_or_not() -> None:
    doubt = taker("a", 1.0, None, outcome="info")
    assert check(taking([doubt, taker("b", 2.0, "a")], {"a": 1})) == []
    assert check(taking([doubt, taker("b", 2.0)], {"b": 1})) == []
    (finding,) = check(taking([doubt, taker("b", 2.0)], {"a": 1, "b": 1}))
    assert "at the same time" in finding.summary
    both = taking([doubt, taker("b", 2.0)], {"a": 1, "b": 1}, isolation="read-committed")
    assert check(both) == []


def test_after_a_failover_that_may_lose_writes_nothing_is_promised() -> None:
    twice = [taker("a", 1.0), taker("b", 2.0, timeline=2)]
    (finding,) = check(taking(twice, {"a": 1, "b": 1}, lost_max=1))
    assert finding.verdict is Verdict.VALID
