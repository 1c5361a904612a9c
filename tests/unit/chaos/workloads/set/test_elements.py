"""Histories of a set: those that are accepted, and those that must be rejected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from support.evidence.elements import element, growing, looking

from chaos.evidence.records import LedgerRow, Operation
from chaos.findings import Verdict
from chaos.judge.judging import judge
from chaos.workloads.causal import MISSED_WRITE
from chaos.workloads.set.check_elements import CHECKER, WRONG_ELEMENTS, check
from chaos.workloads.set.load import Watermark
from chaos.workloads.set.native import judge_run

ADDED = [element("a", 1.0, 1), element("b", 2.0, 2), element("c", 3.0, 3)]


def test_a_clean_history_is_accepted_and_tells_how_late_each_member_was() -> None:
    reads = [
        looking("r1", 2.5, "1"),
        looking("r2", 3.5, "1,2,3", after="b"),
        looking("r3", 4.0, "3", above=2),
    ]
    (result,) = judge(growing([*ADDED, *reads]), [CHECKER]).results
    assert (result.verdict, result.findings) == (Verdict.VALID, ())
    assert result.proof == ("db-orsay: 3 reads, 1 of them late, by 0.495 s at the most.",)


@pytest.mark.parametrize(
    ("reads", "words"),
    [
        ([looking("r1", 2.5, "1,2"), looking("r2", 4.0, "1,3")], "lacked an element"),
        ([looking("r1", 2.5, "1,1,2")], "more than once"),
        ([looking("r1", 2.5, "1,9")], "nobody added"),
        ([element("f", 1.5, 7, outcome="fail"), looking("r1", 2.5, "1,7")], "had failed"),
    ],
)
def test_what_the_additions_do_not_explain_is_rejected(
    reads: Sequence[Operation], words: str
) -> None:
    (finding,) = check(growing([*ADDED, *reads]))
    assert (finding.kind, finding.verdict) == (WRONG_ELEMENTS, Verdict.INVALID)
    assert words in finding.summary
    assert finding.evidence[0]["node"] == "db-orsay"


def test_members_are_late_each_for_itself() -> None:
    reads = [looking("r1", 2.5, "1,2", node="db-lyon"), looking("r2", 2.6, "1")]
    assert check(growing([*ADDED, *reads])) == []


def test_what_is_in_doubt_or_below_the_watermark_may_be_lacking() -> None:
    doubt = element("d", 1.5, 7, outcome="info")
    reads = [
        looking("r1", 2.5, "1,2,7"),
        looking("r2", 4.0, "1,2,3"),
        looking("r3", 5.0, "3", above=2),
    ]
    assert check(growing([*ADDED, doubt, *reads])) == []


@pytest.mark.parametrize(("seen", "missed"), [("1,2", None), ("2", 1), ("1", 2)])
def test_a_causal_read_has_its_unit_and_what_came_before_it(seen: str, missed: int | None) -> None:
    findings = check(growing([*ADDED, looking("r", 4.0, seen, after="b")]))
    assert [one.kind for one in findings] == ([] if missed is None else [MISSED_WRITE])
    if missed is not None:
        assert findings[0].verdict is Verdict.INVALID
        assert findings[0].evidence[0]["element"] == missed


def test_after_a_failover_that_may_lose_writes_nothing_is_promised() -> None:
    operations = [
        *ADDED,
        element("n", 3.5, 4, timeline=2),
        looking("r1", 2.5, "1,2"),
        looking("r2", 4.0, "1", after="n"),
    ]
    assert {one.verdict for one in check(growing(operations))} == {Verdict.INVALID}
    assert {one.verdict for one in check(growing(operations, lost_max=9))} == {Verdict.VALID}


def test_bascule_judge_compares_the_end() -> None:
    assert judge_run(growing(ADDED), None).verdict is Verdict.VALID
    run = growing(ADDED)
    finals = tuple(
        replace(read, rows=(*read.rows[:2], LedgerRow(id="x", content="8")))
        for read in run.final_reads
    )
    answer = judge_run(replace(run, final_reads=finals), None)
    assert {anomaly.name for anomaly in answer.anomalies} == {"lost", "phantom"}


def test_the_watermark_follows_what_was_acknowledged_a_while_ago() -> None:
    watermark = Watermark(10.0)
    assert watermark.at(0.0) == 0
    watermark.added(5, 1.0)
    watermark.added(4, 2.0)
    watermark.added(6, 12.0)
    assert [watermark.at(now_s) for now_s in (11.0, 11.5, 12.5, 30.0)] == [0, 5, 5, 6]
