"""The warehouse's checkers: a run that each accepts, and histories that each must reject."""

from __future__ import annotations

import json

import pytest
from support.evidence.tiny import run
from support.evidence.warehoused import (
    OPERATIONS,
    SMOKE,
    cohort,
    content,
    on_primary,
    snapshot,
    steward_run,
    warehouse_run,
)

from chaos.evidence.records import FinalRead, Operation, Scalar
from chaos.evidence.run import Run
from chaos.findings import Verdict
from chaos.judge.judging import judge
from chaos.workloads.warehouse import check_feeds, check_reads, check_totals


def found(run_: Run) -> set[str]:
    return {finding.kind.word for finding in judge(run_).findings}


def test_a_good_run_is_accepted_by_every_checker() -> None:
    judgement = judge(warehouse_run())
    assert judgement.findings == ()
    for name in ("feeds", "warehouse-totals", "warehouse-reads"):
        result = judgement.result(name)
        assert result is not None
        assert result.verdict is Verdict.VALID


@pytest.mark.parametrize(
    "other",
    [
        {"held": 9, "places": 9},
        {"held": 11, "places": 10},
        {"places": 9},
        {"foreign": 1},
        {"inserted": 9},
        {"source": "paris-1"},
        {"received": 9, "inserted": 9, "held": 9, "places": 9},
    ],
    ids=["missing", "doubled", "twice one", "foreign", "lost on the way", "of another", "shorter"],
)
def test_a_delivery_that_is_not_whole(other: dict[str, object]) -> None:
    """F1 and F7."""
    assert "torn-delivery" in found(warehouse_run(rows={"feed-paris-0-0": content(1, **other)}))


@pytest.mark.parametrize(
    "state",
    [
        {"watermark:paris-0": "4"},
        {"watermark:paris-0": "2"},
        {"batches:paris-0": json.dumps({"number": 2, "distinct": 2, "last": 3})},
        {"batches:paris-0": json.dumps({"number": 3, "distinct": 2, "last": 3})},
        {"watermark:orsay-0": "1"},
    ],
    ids=["ahead", "behind", "a gap", "one twice", "nothing of it"],
)
def test_a_watermark_that_is_wrong(state: dict[str, str]) -> None:
    """F2."""
    assert found(warehouse_run(state=state)) == {"wrong-watermark"}


@pytest.mark.parametrize(
    "other",
    [
        {"inserted": 1, "unchanged": 9},
        {"corrected": 1, "unchanged": 9},
        {"visits": 1},
    ],
)
def test_a_delivery_that_came_again_and_changed_something(other: dict[str, object]) -> None:
    """F6."""
    row = content(3, "again", erased=1, held=9, places=9, **other)
    assert "changed-by-rerun" in found(warehouse_run(rows={"feed-paris-0-2": row}))


def test_a_feed_that_did_not_end() -> None:
    kinds = found(warehouse_run([one for one in OPERATIONS if one.work["op"] != "finish"]))
    assert kinds == {"feed-unfinished"}
    assert check_feeds.FEED_UNFINISHED.word in kinds


@pytest.mark.parametrize(
    ("state", "word"),
    [
        ({"no-visit:measurement": "1"}, "broken-reference"),  # F3
        ({"no-person:note": "2"}, "broken-reference"),
        ({"ids-twice": "1"}, "reused-id"),  # F4
        ({"ids-ahead-of-sequence": "1"}, "reused-id"),
        ({"not-logged:feed.record": "u"}, "unlogged-table"),  # F5
        ({"rows:measurement": str(SMOKE.patients * 18)}, "unreconciled-rows"),  # F7
        ({"rows:note": "0"}, "unreconciled-rows"),
        ({"keys:paris-0": "20"}, "unreconciled-rows"),
        ({"keys:mars-0": "1"}, "unreconciled-rows"),
        ({"wrong-values": "3"}, "unreconciled-rows"),
        ({"withdrawn-kept:measurement": "1"}, "withdrawn-patient"),  # S7
        ({"withdrawn-kept:patient": "1"}, "withdrawn-patient"),
    ],
)
def test_a_warehouse_that_does_not_add_up(state: dict[str, str], word: str) -> None:
    assert found(warehouse_run(state=state)) == {word}


def test_a_table_that_was_not_counted_does_not_count_as_right() -> None:
    run_ = warehouse_run()
    reads = tuple(
        FinalRead(
            node=read.node,
            rows=read.rows,
            state=tuple(row for row in read.state if row.id != "rows:death"),
            timeline=1,
            lsn=10_000,
            is_primary=read.is_primary,
        )
        for read in run_.final_reads
    )
    without = check_totals.check(
        run(OPERATIONS, reads=reads, asked=run_.info.scenario, settings={"rate_per_s": None})
    )
    assert {finding.kind.word for finding in without} == {"unreconciled-rows"}


@pytest.mark.parametrize("seen", [{"torn": "paris-0"}, {"kept": 4}])
def test_a_snapshot_that_is_torn(seen: dict[str, Scalar]) -> None:
    """W2."""
    torn = snapshot(3.2, {"paris-0": 1}, **seen)
    kinds = found(warehouse_run([torn if one.id == torn.id else one for one in OPERATIONS]))
    assert kinds == {"torn-snapshot"}


def test_a_snapshot_that_is_older_than_its_bound() -> None:
    """W4: at 3.1 s and with a bound of 2 s it must show what was acknowledged before 1.1 s."""
    late = snapshot(3.2, {})
    kinds = found(warehouse_run([late if one.id == late.id else one for one in OPERATIONS]))
    assert kinds == {"stale-snapshot"}


def test_a_withdrawal_that_is_not_seen_in_time() -> None:
    """S7."""
    late = snapshot(7.0, {"paris-0": 3}, withdrawn="{}")
    [finding] = check_reads.check(
        warehouse_run([late if one.id == late.id else one for one in OPERATIONS])
    )
    assert finding.kind.word == "stale-snapshot"
    assert finding.evidence[0]["of"] == "paris"


def test_a_watermark_on_the_primary_that_went_back() -> None:
    """F2: with no bound, whatever was acknowledged before must be seen."""
    back = on_primary(3.5, {"paris-0": 2})
    kinds = found(warehouse_run([back if one.id == back.id else one for one in OPERATIONS]))
    assert kinds == {"stale-snapshot"}


@pytest.mark.parametrize("wrong", [cohort(29), cohort(31), cohort(30, "123.46")])
def test_a_cohort_with_other_rows(wrong: Operation) -> None:
    """W1."""
    kinds = found(warehouse_run([wrong if one.id == wrong.id else one for one in OPERATIONS]))
    assert kinds == {"wrong-cohort"}


def test_a_run_in_which_no_cohort_was_read_to_its_end_is_not_valid() -> None:
    cut = cohort(12, "3.00", complete=False)
    judgement = judge(warehouse_run([cut if one.id == cut.id else one for one in OPERATIONS]))
    result = judgement.result("warehouse-reads")
    assert result is not None
    assert result.verdict is Verdict.UNKNOWN
    assert [finding.kind.word for finding in result.findings] == ["incomplete-evidence"]


def space(**other: object) -> str:
    return json.dumps({"schema": True, "members": ["steward_paris"], "persons": 1000} | other)


OPEN = "workspace:ws_steward_paris_1"


def test_workspaces_that_are_what_the_acts_made_of_them() -> None:
    judgement = judge(steward_run())
    assert judgement.findings == ()
    result = judgement.result("workspaces")
    assert result is not None
    assert result.verdict is Verdict.VALID
    assert judge(warehouse_run()).result("workspaces") is None, "it is asked where there are some"


@pytest.mark.parametrize(
    "state",
    [
        {OPEN: None},
        {OPEN: space(members=[])},
        {OPEN: space(members=["steward_orsay", "steward_paris"])},
        {OPEN: space(schema=False, persons=None)},
        {"workspace:ws_steward_paris_2": space(members=[])},
        {"workspace-without-role:ws_steward_paris_2": "1"},
    ],
    ids=["lost", "nobody in it", "a stranger", "without its schema", "closed", "half closed"],
)
def test_a_workspace_that_its_steward_did_not_make_so(state: dict[str, str | None]) -> None:
    assert found(steward_run(state=state)) == {"wrong-workspace"}


def test_a_dismissal_that_was_lost_is_a_lost_entry_and_no_wrong_workspace() -> None:
    """What a node holds agrees with its own acts; that one is missing is another finding."""
    run_ = steward_run(without=[4], state={OPEN: space(members=[])})
    assert found(run_) == {"lost-acknowledged-write"}


@pytest.mark.parametrize("persons", [999, 1001])
def test_a_copy_that_has_other_patients_than_its_cohort(persons: int) -> None:
    """S7 in the copies: who withdrew is in none of them."""
    assert found(steward_run(state={OPEN: space(persons=persons)})) == {"withdrawn-in-copy"}
