"""Single writes and reads of all of them: histories that are accepted, and those that are not."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pytest
from support.evidence.forked import forking, member_read, single, whole
from support.evidence.found import found_by

from chaos.evidence.records import Operation
from chaos.findings import Verdict
from chaos.judge.judging import judge
from chaos.workloads.answers import TOLD_ANOMALY
from chaos.workloads.causal import MISSED_WRITE
from chaos.workloads.kind import IsolationName
from chaos.workloads.long_fork.check_forks import CHECKER, FORKED_READS
from chaos.workloads.long_fork.native import judge_run
from chaos.workloads.long_fork.promises import PROMISES

check = partial(found_by, CHECKER)

LEVELS: tuple[IsolationName, ...] = ("read-committed", "repeatable-read", "serializable")
X, Y = single("x", 1.0, 0), single("y", 1.001, 1)
"""Two writes at the same time."""
CLEAN = [X, Y, whole("r", 2.0, "0,1"), member_read("n", 2.0, "0,1", after="y")]
TOLD = (TOLD_ANOMALY.word, Verdict.VALID)
FORKED = (FORKED_READS.word, Verdict.INVALID)


def found(
    operations: Sequence[Operation],
    isolation: IsolationName = "repeatable-read",
    there: Sequence[int] = (0, 1),
) -> list[tuple[str, Verdict]]:
    findings = check(forking(operations, there, isolation=isolation))
    return [(finding.kind.word, finding.verdict) for finding in findings]


@pytest.mark.parametrize("isolation", LEVELS)
def test_a_clean_history_is_proved_at_each_place(isolation: IsolationName) -> None:
    run = forking(CLEAN, [0, 1], isolation=isolation)
    (result,) = judge(run, [CHECKER]).results
    assert (result.verdict, result.findings, result.unseen) == (Verdict.VALID, (), ())
    places = [sentence.partition(":")[0] for sentence in result.proof]
    assert places[:3] == ["On the primary", "On db-orsay, replica", "On all members together"]
    answer = judge_run(run, None)
    assert answer.verdict is Verdict.VALID
    assert answer.proof is not None
    assert "r on db-paris" in answer.proof.order[2]


def test_every_isolation_has_a_promise_at_each_place() -> None:
    rows = [(one.isolation, one.place) for one in PROMISES]
    assert len(rows) == len(set(rows)) == 9
    assert {isolation for isolation, _ in rows} == set(LEVELS)


@pytest.mark.parametrize("isolation", LEVELS)
def test_a_fork_between_members_is_told(isolation: IsolationName) -> None:
    forks = [X, Y, whole("r", 1.001, "0"), member_read("n", 1.0, "1")]
    assert found(forks, isolation) == [TOLD]
    assert judge_run(forking(forks, [0, 1]), None).verdict is Verdict.VALID
    assert judge_run(forking(forks, [0, 1]), "snapshot-isolation").verdict is Verdict.INVALID


@pytest.mark.parametrize("isolation", LEVELS)
def test_a_fork_on_one_member_is_a_failure_where_there_are_snapshots(
    isolation: IsolationName,
) -> None:
    reads = [whole("r", 2.0, "0,1"), member_read("n", 1.0, "0"), member_read("m", 1.0, "1")]
    forks = [X, Y, *reads]
    expected = [TOLD, TOLD] if isolation == "read-committed" else [FORKED, TOLD]
    assert found(forks, isolation) == expected


@pytest.mark.parametrize("isolation", LEVELS)
def test_a_fork_on_the_primary_is_a_failure_where_there_are_snapshots(
    isolation: IsolationName,
) -> None:
    forks = [X, Y, whole("r", 1.001, "0"), whole("s", 1.001, "1")]
    (first,) = check(forking(forks, [0, 1], isolation=isolation))
    assert (first.kind.word, first.verdict) == (TOLD if isolation == "read-committed" else FORKED)
    assert {proof["node"] for proof in first.evidence} == {"db-paris"}


@pytest.mark.parametrize("isolation", LEVELS)
@pytest.mark.parametrize(
    ("read", "there", "words"),
    [
        (whole("r", 2.0, "0"), (0, 1), "acknowledged before it began"),
        (whole("r", 2.0, "0,1"), (0,), "not there at the end"),
        (whole("r", 2.0, "0,1,5"), (0, 1, 5), "nobody wrote"),
        (member_read("n", 2.0, "0,1,5"), (0, 1, 5), "nobody wrote"),
    ],
)
def test_a_single_read_can_be_wrong_at_every_level(
    read: Operation, there: Sequence[int], words: str, isolation: IsolationName
) -> None:
    findings = check(forking([X, Y, whole("s", 1.001, "0"), read], there, isolation=isolation))
    assert [(one.kind, one.verdict) for one in findings] == [(FORKED_READS, Verdict.INVALID)]
    assert words in findings[0].summary


def test_a_read_of_a_failed_write_is_a_failure() -> None:
    failed = single("z", 1.5, 2, outcome="fail")
    assert found([*CLEAN, failed, member_read("m", 2.0, "0,1,2")], there=(0, 1, 2)) == [FORKED]


def test_a_replica_may_be_late_unless_it_was_asked_to_see_a_write() -> None:
    assert found([*CLEAN, member_read("m", 2.0, "")]) == []
    causal = (MISSED_WRITE.word, Verdict.INVALID)
    assert found([*CLEAN, member_read("m", 2.0, "0", after="y")]) == [causal]


def test_what_a_failover_took_back_before_its_acknowledgement_is_told() -> None:
    doubt = single("z", 1.5, 2, outcome="info")
    run = forking([*CLEAN, doubt, member_read("m", 1.6, "0,1,2")], [0, 1])
    (result,) = judge(run, [CHECKER]).results
    assert (result.verdict, result.findings) == (Verdict.VALID, ())
    assert result.proof[-1].startswith("1 key was shown by a replica and taken back")


def test_after_a_failover_that_may_lose_writes_nothing_is_promised() -> None:
    stale = [X, Y, whole("r", 2.0, "0", timeline=2)]
    (finding,) = check(forking(stale, [0, 1], lost_max=1))
    assert finding.verdict is Verdict.VALID
