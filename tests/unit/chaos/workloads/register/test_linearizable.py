"""Histories of registers: those that are accepted, and those that must be rejected."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import partial

import pytest
from support.evidence.found import found_by
from support.evidence.registered import call, reading, registered, writing

from chaos.consistency import search
from chaos.evidence.records import Operation
from chaos.findings import Verdict
from chaos.judge.judging import judge
from chaos.workloads.register import RegisterOptions
from chaos.workloads.register.check_linearizable import CHECKER, NOT_LINEARIZABLE
from chaos.workloads.register.load import Registers
from chaos.workloads.register.native import judge_run

check = partial(found_by, CHECKER)

CLEAN = [
    reading("r0", 1.0, None, 0),
    writing("w1", 2.0, 10, 1),
    call("c1", 3.0, {"op": "cas", "expected": 10, "value": 20}, {"found": 10, "version": 2}),
    call("c2", 4.0, {"op": "cas", "expected": 10, "value": 30}, {"found": 20, "version": 2}),
    reading("r1", 5.0, 20, 2),
]


def without_versions(operations: Sequence[Operation]) -> list[Operation]:
    return [
        call(
            one.id,
            one.invoked_s,
            one.work,
            {name: value for name, value in one.result.items() if name != "version"},
        )
        for one in operations
    ]


@pytest.mark.parametrize("versions", [True, False])
def test_a_clean_history_is_proved(versions: bool) -> None:
    operations = CLEAN if versions else without_versions(CLEAN)
    (result,) = judge(registered(operations, 20, 2), [CHECKER]).results
    assert (result.verdict, result.findings) == (Verdict.VALID, ())
    assert result.proof[0].startswith("On the primary: One order explains 6 operations")


@pytest.mark.parametrize(
    ("operations", "value", "version", "words"),
    [
        (
            [writing("w1", 1.0, 10, 1), writing("w2", 2.0, 20, 1)],
            20,
            1,
            "Version 1 was given to two writes",
        ),
        (
            [writing("w1", 1.0, 10, 1), reading("stale", 2.0, None, 0)],
            10,
            1,
            "stale on db-paris",
        ),
        ([writing("w1", 1.0, 10, 1)], None, 0, "the final read of db-paris"),
        (
            [
                writing("w1", 1.0, 10, 1),
                call(
                    "c", 2.0, {"op": "cas", "expected": 7, "value": 9}, {"found": 7, "version": 2}
                ),
            ],
            9,
            2,
            "before it there was 10",
        ),
        ([reading("ghost", 1.0, 99, 1)], 99, 1, "Nobody wrote version 1 with 99"),
    ],
)
def test_what_has_no_order_is_rejected(
    operations: Sequence[Operation], value: int | None, version: int, words: str
) -> None:
    (finding, *_) = check(registered(operations, value, version))
    assert (finding.kind, finding.verdict) == (NOT_LINEARIZABLE, Verdict.INVALID)
    assert words in finding.summary


def test_evidence_has_node_time_and_position() -> None:
    finding = check(registered([writing("w1", 1.0, 10, 1), reading("s", 2.0, None, 0)], 10, 1))[0]
    stale = next(proof for proof in finding.evidence if proof.get("operation") == "s")
    assert (stale["node"], stale["begin_s"], stale["lsn"]) == ("db-paris", 2.0, "0/64")


@pytest.mark.parametrize("op", ["write", "cas"])
def test_what_is_in_doubt_may_have_taken_effect_or_not(op: str) -> None:
    doubt = call("d", 2.0, {"op": op, "expected": 10, "value": 20}, outcome="info", took_s=0.5)
    first = writing("w1", 1.0, 10, 1)
    assert check(registered([first, doubt, reading("r", 3.0, 20, 2)], 20, 2)) == []
    assert check(registered([first, doubt, reading("r", 3.0, 10, 1)], 10, 1)) == []
    assert check(registered([first, doubt, reading("r", 1.5, 20, 2)], 20, 2)) != []


def test_what_failed_must_not_show() -> None:
    failed = call("f", 1.0, {"op": "write", "value": 10}, outcome="fail")
    assert check(registered([failed, reading("r", 2.0, 10, 1)], 10, 1))[0].verdict is (
        Verdict.INVALID
    )


def test_a_search_that_reaches_its_limit_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def give_up(*_: object, situations_max: int) -> search.GaveUp:
        return search.GaveUp(situations=situations_max)

    monkeypatch.setattr(search, "search", give_up)
    (result,) = judge(registered(without_versions(CLEAN), 20, 2), [CHECKER]).results
    assert result.verdict is Verdict.UNKNOWN
    assert "The search gave up" in result.findings[0].summary
    assert result.proof == ()


def test_after_a_failover_that_may_lose_writes_nothing_is_promised() -> None:
    lost = [writing("w1", 1.0, 10, 1), writing("w2", 2.0, 20, 1, timeline=2)]
    assert check(registered(lost, 20, 1))[0].verdict is Verdict.INVALID
    assert check(registered(lost, 20, 1, lost_max=1))[0].verdict is Verdict.VALID


def test_bascule_judge_judges_the_same() -> None:
    answer = judge_run(registered(CLEAN, 20, 2), None)
    assert (answer.model, answer.verdict) == ("register", Verdict.VALID)
    assert answer.proof is not None
    assert "r0 on db-paris" in answer.proof.order[0]


def test_a_worker_draws_reads_writes_and_compare_and_sets() -> None:
    registers = Registers(RegisterOptions(registers=3))
    rng = random.Random(1)
    works = [registers.draw_work(rng, f"x-{n}", 0, n) for n in range(300)]
    drawn = [str(work.about["op"]) for work in works]
    assert all(drawn.count(op) > 60 for op in ("read", "write", "cas"))
    assert {work.about["key"] for work in works} == {0, 1, 2}
    assert [work.leaves_entry for work in works] == [op != "read" for op in drawn]
