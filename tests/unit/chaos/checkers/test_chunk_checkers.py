"""Bulk loads: chunks that are whole, torn, doubled or foreign, and loads that do not end."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from support.evidence.tiny import A, B, op, run, scenario

from chaos.checkers.lost import LOST_WRITE
from chaos.checkers.phantom import PHANTOM_WRITE
from chaos.evidence.records import FinalRead, LedgerRow, Operation, OperationOutcome, Scalar
from chaos.evidence.run import Run
from chaos.findings import Verdict
from chaos.judge.judging import judge
from chaos.scenarios.model import WorkloadSpec
from chaos.workloads.bulk import BulkOptions, check_chunks
from chaos.workloads.bulk.check_chunks import BULK_UNFINISHED, TORN_CHUNK

ROWS = 10
WHOLE = {"rows": ROWS, "distinct": ROWS, "foreign": 0}


def chunk(n: int, *, outcome: OperationOutcome = "ok", stopped: bool = False) -> Operation:
    work = {"op": "chunk", "rows": ROWS, "first": n * ROWS}
    return op(f"paris-0-{n}", float(n), outcome=outcome, stopped=stopped, work=work)


def finish(counted: int, *, outcome: OperationOutcome = "ok") -> Operation:
    result = {"chunks": counted} if outcome == "ok" else {}
    work = {"op": "finish"}
    return op("f", 9.0, outcome=outcome, leaves_entry=False, work=work, result=result)


def held(n: int, **other: int) -> LedgerRow:
    first = n * ROWS
    content = {**WHOLE, "first": first, "last": first + ROWS - 1} | other
    return LedgerRow(id=f"paris-0-{n}", content=json.dumps(content))


def judged(operations: Sequence[Operation], *nodes: Sequence[LedgerRow]) -> Run:
    reads = [
        FinalRead(node=node, rows=tuple(rows), timeline=1, lsn=10_000, is_primary=node == A)
        for node, rows in zip((A, B), nodes, strict=False)
    ]
    spec = WorkloadSpec(options=BulkOptions(chunk_rows=ROWS))
    # Of a handful of operations no rate is asked.
    no_rate: dict[str, Scalar] = {"rate_per_s": None}
    return run(operations, reads=reads, asked=scenario(workload=spec), settings=no_rate)


LOADED = [chunk(0), chunk(1), finish(2)]


def test_a_load_that_is_whole_is_accepted_by_every_checker() -> None:
    rows = [held(0), held(1)]
    assert judge(judged(LOADED, rows, rows)).findings == ()


@pytest.mark.parametrize(
    "other",
    [
        {"rows": ROWS - 1, "distinct": ROWS - 1},
        {"rows": ROWS + 1},
        {"first": 3},
        {"last": 30},
        {"foreign": 1},
    ],
    ids=["a row is missing", "a row is doubled", "another begin", "another end", "a foreign row"],
)
def test_a_chunk_that_is_not_what_was_sent_is_named(other: dict[str, int]) -> None:
    [finding] = check_chunks.check_chunks(
        judged(LOADED, [held(0), held(1, **other)], [held(0), held(1)])
    )
    assert (finding.kind, finding.verdict) == (TORN_CHUNK, Verdict.INVALID)
    [proof] = finding.evidence
    assert (proof["node"], proof["id"], proof["asked"]) == (A, "paris-0-1", ROWS)
    assert {name: proof[name] for name in other} == other


def test_a_chunk_in_doubt_may_be_there_whole_or_not_at_all_but_not_in_part() -> None:
    operations = [chunk(0), chunk(1, outcome="info", stopped=True)]
    assert check_chunks.check_chunks(judged(operations, [held(0)], [held(0)])) == []
    assert check_chunks.check_chunks(judged(operations, [held(0), held(1)])) == []
    [torn] = check_chunks.check_chunks(judged(operations, [held(0), held(1, rows=4, distinct=4)]))
    assert torn.evidence[0]["id"] == "paris-0-1"


def test_an_acknowledged_chunk_that_is_gone_is_lost_and_one_that_nobody_sent_is_a_phantom() -> None:
    rows = [held(0), held(7)]
    kinds = {finding.kind for finding in judge(judged(LOADED, rows, rows)).findings}
    assert kinds == {LOST_WRITE, PHANTOM_WRITE}


@pytest.mark.parametrize(
    ("operations", "named"),
    [
        ([chunk(0), chunk(1)], None),
        ([chunk(0), chunk(1), finish(2, outcome="info")], "f"),
        ([chunk(0), chunk(1, outcome="info", stopped=True)], "paris-0-1"),
        ([chunk(0), chunk(1), finish(1)], None),
    ],
    ids=["no end", "an end in doubt", "a chunk that hung", "another number"],
)
def test_a_load_that_does_not_end_is_found(operations: list[Operation], named: str | None) -> None:
    [finding] = check_chunks.check_finished(judged(operations, []))
    assert (finding.kind, finding.verdict) == (BULK_UNFINISHED, Verdict.INVALID)
    [proof] = finding.evidence
    assert (proof["site"], proof["worker"], proof["not_acknowledged"]) == ("paris", 0, named)


def test_a_load_whose_history_was_cut_short_is_not_called_unfinished() -> None:
    cut = run(
        [chunk(0)], complete=False, asked=scenario(workload=WorkloadSpec(options=BulkOptions()))
    )
    assert check_chunks.check_finished(cut) == []
    assert judge(cut).verdict is Verdict.UNKNOWN
