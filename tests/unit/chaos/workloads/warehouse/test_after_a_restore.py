"""After a restore in place: who was erased stays so, and feeds begin again from the watermark."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from support.evidence.tiny import B, op
from support.evidence.warehoused import (
    OPERATIONS,
    ROWS,
    cohort,
    delivery,
    finish,
    snapshot,
    warehouse_run,
    withdrawal,
)

from chaos.evidence.rebuilds import Rebuild
from chaos.evidence.records import FinalRead, Operation
from chaos.evidence.run import Run
from chaos.findings import Verdict
from chaos.judge.judging import judge
from chaos.workloads.warehouse import check_totals
from chaos.workloads.warehouse.again import register

POINT = op("read-point", 2.5, work={"op": "snapshot-on-primary"})
REBUILD = Rebuild(
    entry="read-point",
    xid="731",
    age_s=2.0,
    named_s=4.5,
    named_timeline=1,
    dead_s=5.0,
    host=B,
    begin_s=5.5,
    primary_s=6.0,
    timeline=3,
    erased_again=("withdrawal-paris-1",),
)
"""The third delivery and the withdrawal came after the point."""
SENT_AGAIN = replace(
    delivery(3, 6.5, "again"),
    id="feed-paris-0-2-again-1",
    work={**delivery(3, 6.5, "again").work, "again": True},
)


def restored_run(
    operations: Sequence[Operation] = (*OPERATIONS, SENT_AGAIN), *, without: Sequence[str] = ()
) -> Run:
    """The cluster was restored to ``POINT``; every node lacks the rows ``without``."""
    rows = {
        "read-point": {"op": "access", "what": "snapshot", "node": B},
        SENT_AGAIN.id: ROWS["feed-paris-0-2"],
    }
    found = warehouse_run([*operations, POINT], rows=rows)
    gone = {"feed-paris-0-2", *without}
    reads: list[FinalRead] = [
        replace(one, rows=tuple(row for row in one.rows if row.id not in gone))
        for one in found.final_reads
    ]
    return replace(found, final_reads=tuple(reads), rebuilds=(REBUILD,))


def words(run: Run) -> set[str]:
    return {
        finding.kind.word
        for name in ("feeds", "warehouse-reads", "warehouse-totals", "lost-entries")
        for finding in judge(run).result(name).findings  # type: ignore[union-attr]
        if finding.verdict is not Verdict.VALID
    }


def test_a_restore_that_erased_again_is_accepted() -> None:
    """What was delivered after the point was sent again, and the feed's end counts it once."""
    assert words(restored_run()) == set()


def test_a_patient_who_came_back_with_the_data_is_found() -> None:
    run = restored_run(without=["withdrawal-paris-1"])
    found = [one for one in check_totals.check(run) if "are back" in one.summary]
    assert [one.kind for one in found] == [check_totals.WITHDRAWN_PATIENT] * 2  # on both nodes
    assert found[0].verdict is Verdict.INVALID
    assert found[0].evidence[0]["person"] == 17
    assert found[0].evidence[0]["id"] == "withdrawal-paris-1"


def test_a_read_after_the_restore_owes_no_delivery_that_it_gave_up() -> None:
    late = snapshot(8.0, {"paris-0": 2})
    kept = [one for one in OPERATIONS if one.id != "read-7.0"]
    assert words(restored_run([*kept, late])) <= {"feed-unfinished", "lost-acknowledged-write"}
    # Without the restore the same read is stale.
    assert "stale-snapshot" in {
        one.kind.word for one in judge(warehouse_run([*kept, late])).findings
    }


def test_a_read_after_the_restore_owes_every_withdrawal() -> None:
    blind = snapshot(8.0, {"paris-0": 3}, withdrawn=json.dumps({}))
    kept = [one for one in OPERATIONS if one.id != "read-7.0"]
    assert "stale-snapshot" in words(restored_run([*kept, blind, SENT_AGAIN]))


def test_a_part_that_was_sent_once_more_and_never_acknowledged_is_found() -> None:
    unknown = replace(SENT_AGAIN, id="feed-paris-0-1-again-1", outcome="info", ended_s=None)
    operations = [one for one in OPERATIONS if one.work["op"] != "finish"]
    assert "feed-unfinished" in words(restored_run([*operations, SENT_AGAIN, unknown, finish(4)]))


def test_the_register_has_what_was_acknowledged_in_its_order() -> None:
    open_one = replace(withdrawal(3, 3.0), outcome="info", ended_s=None)
    found = register([withdrawal(2, 6.0), cohort(), open_one, withdrawal(1, 4.0)])
    assert found == [
        ("withdrawal-paris-1", "paris", 1, 17, "opposition"),
        ("withdrawal-paris-2", "paris", 2, 17, "opposition"),
    ]
