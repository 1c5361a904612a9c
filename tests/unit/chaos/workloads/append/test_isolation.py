"""Histories of lists: those that each promise accepts, and those that it must reject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import pytest
from support.evidence.found import found_by
from support.evidence.listed import LONG_FORK, listed, near, txn

from chaos.consistency.levels import LEVELS
from chaos.evidence.records import Operation
from chaos.findings import Finding, Verdict
from chaos.judge.judging import judge
from chaos.workloads.append.check_isolation import (
    BROKEN_ISOLATION,
    CHECKER,
    TOLD_ANOMALY,
)
from chaos.workloads.append.native import judge_run
from chaos.workloads.append.promises import PROMISES
from chaos.workloads.causal import MISSED_WRITE
from chaos.workloads.kind import IsolationName

check = partial(found_by, CHECKER)

CLEAN = [
    txn("w1", 1.0, "append 1 10"),
    txn("w2", 2.0, "read 1; append 1 20 by tag", "10"),
    txn("r1", 3.0, "read 1 by tag; read 2", "10,20;"),
    near("n1", 4.0, "read 1", "10,20", after="w2"),
]


def found(
    operations: Sequence[Operation],
    lists: Mapping[int, str],
    isolation: IsolationName = "serializable",
) -> list[tuple[str, Verdict]]:
    findings = check(listed(operations, lists, isolation=isolation))
    return [(finding.kind.word, finding.verdict) for finding in findings]


@pytest.mark.parametrize("isolation", ["read-committed", "repeatable-read", "serializable"])
def test_a_clean_history_is_proved(isolation: IsolationName) -> None:
    run = listed(CLEAN, {1: "10,20"}, isolation=isolation)
    (result,) = judge(run, [CHECKER]).results
    assert (result.verdict, result.findings, result.unseen) == (Verdict.VALID, (), ())
    primary, everywhere = result.proof
    assert primary.startswith("On the primary: 4 transactions stand in an order")
    assert "On all members together: 6 transactions" in everywhere
    answer = judge_run(run, "strict-serializable")
    assert answer.verdict is Verdict.VALID
    assert answer.proof is not None
    assert list(answer.proof.order)[:2] == ["w1 on db-paris", "w2 on db-paris"]


def test_every_promise_is_a_level_that_can_be_judged() -> None:
    for promise in PROMISES:
        assert promise.level in LEVELS
        assert promise.told_at is None or promise.told_at in LEVELS


WRITE_SKEW = [
    txn("a", 1.0, "read 1; append 2 20", "", took_s=0.5),
    txn("b", 1.1, "append 1 10; read 2", "", took_s=0.5),
]
LOST_UPDATE = [
    txn("a", 1.0, "read 1; append 1 10", "", took_s=0.5),
    txn("b", 1.1, "read 1; append 1 20", "", took_s=0.5),
]
STALE = [txn("w", 1.0, "append 1 10"), txn("r", 2.0, "read 1", "")]
DIRTY = [txn("w", 1.0, "append 1 10", outcome="fail"), txn("r", 2.0, "read 1", "10")]


@pytest.mark.parametrize(
    ("operations", "lists", "rejected_at"),
    [
        (WRITE_SKEW, {1: "10", 2: "20"}, {"serializable"}),
        (LOST_UPDATE, {1: "10,20"}, {"serializable", "repeatable-read"}),
        (STALE, {1: "10"}, {"serializable", "repeatable-read"}),
        (DIRTY, {}, {"serializable", "repeatable-read", "read-committed"}),
    ],
)
def test_each_level_rejects_what_it_forbids_on_the_primary(
    operations: Sequence[Operation], lists: Mapping[int, str], rejected_at: set[str]
) -> None:
    for isolation in ("read-committed", "repeatable-read", "serializable"):
        verdicts = {verdict for _, verdict in found(operations, lists, isolation)}
        assert (Verdict.INVALID in verdicts) == (isolation in rejected_at), isolation


def test_an_acknowledged_append_that_the_end_lacks_is_seen_by_the_final_read() -> None:
    lost = [txn("w1", 1.0, "append 1 10"), txn("w2", 2.0, "append 1 20")]
    (broken, *_) = check(listed(lost, {1: "10"}))
    assert (broken.kind, broken.verdict) == (BROKEN_ISOLATION, Verdict.INVALID)
    assert "final read" in {proof.get("operation") for proof in broken.evidence}


def test_a_finding_tells_the_circle_with_node_time_and_position() -> None:
    finding: Finding = check(listed(STALE, {1: "10"}))[0]
    assert finding.summary.startswith("On the primary the history shows G-single-item-realtime")
    assert "T1 saw key 1 as [], without 10, which T2 appended: T1 before T2." in finding.summary
    first = finding.evidence[0]
    assert (first["operation"], first["node"], first["begin_s"]) == ("r", "db-paris", 2.0)
    assert first["lsn"] == "0/64"
    assert finding.evidence[-1] == {"circle": "T1 -rw-> T2 -clock-> T1"}


def test_a_long_fork_on_a_replica_is_told_and_is_no_failure() -> None:
    for isolation in ("repeatable-read", "serializable"):
        words = found(LONG_FORK, {1: "10", 2: "20"}, isolation)
        assert words == [(TOLD_ANOMALY.word, Verdict.VALID)]
    assert found(LONG_FORK, {1: "10", 2: "20"}, "read-committed") == []


def test_a_long_fork_on_the_primary_is_a_failure() -> None:
    on_primary = [*LONG_FORK[:3], txn("there", 1.3, "read 1; read 2", ";20")]
    assert (BROKEN_ISOLATION.word, Verdict.INVALID) in found(on_primary, {1: "10", 2: "20"})


def test_read_skew_on_a_replica_is_a_failure() -> None:
    skewed = [
        txn("w1", 1.0, "append 1 10; append 2 20"),
        near("n", 1.5, "read 1; read 2", "10;"),
    ]
    for isolation in ("repeatable-read", "serializable"):
        assert (BROKEN_ISOLATION.word, Verdict.INVALID) in found(
            skewed, {1: "10", 2: "20"}, isolation
        )
    assert found(skewed, {1: "10", 2: "20"}, "read-committed") == []


def test_a_stale_read_on_a_replica_is_no_failure_without_a_token() -> None:
    assert found([STALE[0], near("n", 2.0, "read 1", "")], {1: "10"}) == []


def test_a_causal_read_sees_its_unit_and_what_was_acknowledged_before_it() -> None:
    before = [txn("w1", 1.0, "append 1 10"), txn("w2", 2.0, "append 2 20")]
    beside = txn("w3", 1.999, "append 3 30", took_s=0.5)
    lists = {1: "10", 2: "20", 3: "30"}
    for seen, missed in (("10;20;", None), (";20;30", "10"), ("10;;30", "20")):
        read = near("n", 3.0, "read 1; read 2; read 3", seen, after="w2")
        findings = check(listed([*before, beside, read], lists))
        missing = [one for one in findings if one.kind is MISSED_WRITE]
        assert len(missing) == (missed is not None), seen
        if missed is not None:
            assert missing[0].verdict is Verdict.INVALID
            assert missing[0].evidence[0]["value"] == int(missed)


def test_after_a_failover_that_may_lose_writes_nothing_is_promised() -> None:
    operations = [
        txn("w1", 1.0, "append 1 10"),
        txn("w2", 2.0, "append 1 20", timeline=2),
    ]
    (lost,) = {verdict for _, verdict in found(operations, {1: "20"})}
    assert lost is Verdict.INVALID
    (result,) = judge(listed(operations, {1: "20"}, lost_max=1), [CHECKER]).results
    assert (result.verdict, {one.verdict for one in result.findings}) == (0, {Verdict.VALID})
    assert "Nothing is promised after a failover" in result.findings[0].summary
    assert len(result.proof) == 1, "what was refuted has no proof"


def test_a_history_that_cannot_be_read_is_no_valid_one() -> None:
    run = listed([txn("w1", 1.0, "appendix 1 10")], {})
    (result,) = judge(run, [CHECKER]).results
    assert result.verdict is Verdict.UNKNOWN
    assert "appendix 1 10" in str(result.findings[0].evidence)
