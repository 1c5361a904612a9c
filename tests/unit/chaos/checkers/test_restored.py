"""A cluster restored in place: what is accepted and rejected, and what it excuses elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.evidence.tiny import A, B, event, life, op, read, run, scenario

from chaos.checkers import dead_timeline, lost, phantom, restored, shared_units
from chaos.checkers.restore import RESTORE_FAILED, RESTORE_NOT_EXACT
from chaos.checkers.restored import RESTORE_LOSS
from chaos.evidence.given_up import given_up_operations
from chaos.evidence.rebuilds import Rebuild
from chaos.evidence.records import Operation
from chaos.evidence.run import Run
from chaos.faults.data_lost import KEY
from chaos.faults.targets import Target
from chaos.findings import INCOMPLETE_EVIDENCE, Verdict
from chaos.judge.judging import judge
from chaos.scenarios.model import FaultStep
from chaos.timing.measure import lost_wal_bytes

REBUILD = Rebuild(
    entry="t",
    xid="731",
    age_s=2.1,
    named_s=5.1,
    named_timeline=1,
    dead_s=6.0,
    host=B,
    begin_s=7.0,
    recovered_s=8.0,
    primary_s=10.0,
    timeline=3,
    backup_label="START TIME: 2026-11-27 11:34:57 UTC\nSTART TIMELINE: 1\n",
)
BEFORE = [op("a", 1.0), op("b", 2.0), op("t", 3.0)]
"""``t`` names the point in time."""
AFTER = [op("c", 4.0, lsn=300), op("d", 5.0, lsn=400)]
ANEW = [op("e", 12.0, timeline=3, lsn=250)]
STEP = FaultStep(fault=KEY, target=Target(selector="cluster"))
TIMELINES = [
    event(11.0, "timeline", timeline=1, end_lsn="0/C8", reason="restored"),
    event(11.0, "timeline", timeline=2, end_lsn="0/D2", reason="no recovery target"),
]


def seen(
    ids: Iterable[str],
    rebuild: Rebuild = REBUILD,
    *,
    more: Iterable[Operation] = (),
    replica: Iterable[str] | None = None,
    loss_s_max: float | None = None,
) -> Run:
    """The run, with these entries on the primary at the end, and on the replica."""
    asked = scenario(faults=(STEP,))
    asked = replace(asked, expect=replace(asked.expect, restore_loss_s_max=loss_s_max))
    there = list(ids)
    found = run(
        [*BEFORE, *AFTER, *ANEW, *more],
        reads=[
            read(A, there, primary=True, timeline=3),
            read(B, there if replica is None else replica, timeline=3),
        ],
        events=[*life(timeline=3), *TIMELINES],
        asked=asked,
    )
    return replace(found, rebuilds=(rebuild,))


def test_exactly_what_was_asked_for_is_accepted_and_its_loss_told() -> None:
    [loss] = restored.check(seen("abte"))
    assert (loss.kind, loss.verdict) == (RESTORE_LOSS, Verdict.VALID)
    assert "gave up 2 acknowledged entries, of the last 2.0 s" in loss.summary
    assert [proof["id"] for proof in loss.evidence] == ["c", "d"]


@pytest.mark.parametrize(("limit_s", "verdict"), [(3.0, Verdict.VALID), (1.9, Verdict.INVALID)])
def test_the_loss_is_held_against_what_is_allowed(limit_s: float, verdict: Verdict) -> None:
    [loss] = restored.check(seen("abte", loss_s_max=limit_s))
    assert loss.verdict is verdict


@pytest.mark.parametrize(
    ("ids", "words", "named"),
    [
        ("ate", "lacks 1 entry that was there before", ["b"]),
        ("abe", "lacks 1 entry that was there before", ["t"]),
        ("abtce", "has 1 entry that came after it, on db-paris", ["c"]),
    ],
)
def test_too_little_and_too_much_are_rejected(ids: str, words: str, named: list[str]) -> None:
    found = [one for one in restored.check(seen(ids)) if one.kind is RESTORE_NOT_EXACT]
    assert all(one.verdict is Verdict.INVALID for one in found)
    assert words in found[0].summary
    assert [proof["id"] for proof in found[0].evidence] == named


def test_a_replica_that_kept_what_is_gone_is_rejected() -> None:
    """It was not cloned: it stands on a branch of history that no longer exists."""
    found = restored.check(seen("abte", replica="abtcde"))
    [wrong] = [one for one in found if one.kind is RESTORE_NOT_EXACT]
    assert "on db-orsay" in wrong.summary


@pytest.mark.parametrize("timeline", [None, 1])
def test_a_timeline_that_is_not_new_is_rejected(timeline: int | None) -> None:
    found = restored.check(seen("abte", replace(REBUILD, timeline=timeline)))
    assert [one.verdict for one in found if "no new one" in one.summary] == [Verdict.INVALID]


def test_what_overlaps_with_the_entry_may_be_there_or_not() -> None:
    more = [op("x", 2.999, took_s=0.5), op("y", 3.004, took_s=0.5)]
    for ids in ("abte", "abtxe", "abtxye"):
        found = restored.check(seen(ids, more=more))
        assert [one.kind for one in found] == [RESTORE_LOSS]


@given(st.sets(st.sampled_from("abtcd")))
def test_only_exactly_the_right_entries_are_accepted(ids: set[str]) -> None:
    kinds = {one.kind for one in restored.check(seen([*ids, "e"]))}
    assert (RESTORE_NOT_EXACT not in kinds) is (ids == set("abt"))


def test_what_the_restore_gave_up_is_neither_lost_nor_dead() -> None:
    good = seen("abte")
    assert [one.id for one in given_up_operations(good)] == ["c", "d"]
    assert lost.check(good) == []
    assert dead_timeline.check(good) == []
    assert phantom.check(good) == []
    assert lost_wal_bytes(good) == 0


@pytest.mark.parametrize("missing", ["a", "b"])
def test_a_loss_from_before_the_point_is_a_lost_write(missing: str) -> None:
    [found] = lost.check(seen(set("abte") - {missing}))
    assert (found.verdict, found.evidence[0]["id"]) == (Verdict.INVALID, missing)


def test_a_loss_from_after_the_restore_is_a_lost_write() -> None:
    [found] = lost.check(seen("abt"))
    assert (found.verdict, found.evidence[0]["id"]) == (Verdict.INVALID, "e")


def test_what_the_restored_cluster_confirmed_is_not_excused() -> None:
    """Begun before the end, in doubt, and confirmed afterwards: whoever said so had it."""
    late = op("z", 5.9, took_s=7.0, resolved=True)
    [found] = lost.check(seen("abte", more=[late]))
    assert found.evidence[0]["id"] == "z"


def test_without_a_restore_on_record_everything_that_is_gone_is_lost() -> None:
    [found] = lost.check(replace(seen("abte"), rebuilds=()))
    assert len(found.evidence) == 2
    [found] = lost.check(seen("abte", replace(REBUILD, entry="nobody's")))
    assert len(found.evidence) == 2


def test_an_entry_that_no_history_has_decides_nothing() -> None:
    found = restored.check(seen("abte", replace(REBUILD, entry="nobody's")))
    assert [(one.kind, one.verdict) for one in found] == [
        (INCOMPLETE_EVIDENCE, Verdict.UNKNOWN),
    ]


def test_a_unit_that_was_set_back_may_be_applied_anew_by_another_caller() -> None:
    more = [
        op("u", 4.5, shared_unit="unit"),
        op("v", 12.5, site="orsay", timeline=3, shared_unit="unit"),
    ]
    assert shared_units.check(seen("abtev", more=more)) == []
    twice = [
        op("u", 11.5, timeline=3, shared_unit="unit"),
        op("v", 12.5, site="orsay", timeline=3, shared_unit="unit"),
    ]
    assert shared_units.check(seen("abteuv", more=twice)) != []


def test_a_restore_that_failed_is_rejected() -> None:
    failed = replace(REBUILD, primary_s=None, timeline=None, error="a gap in its WAL")
    found = restored.check(seen("", failed))
    assert (found[0].kind, found[0].verdict) == (RESTORE_FAILED, Verdict.INVALID)
    assert "a gap in its WAL" in found[0].summary


@pytest.mark.parametrize(
    ("rebuilds", "gap"),
    [
        ((), "no loss of all data is on record"),
        ((replace(REBUILD, dead_s=None),), "when the cluster died is not on record"),
        ((replace(REBUILD, primary_s=None),), "whether the cluster was restored is not on record"),
    ],
)
def test_what_left_no_record_is_unknown(rebuilds: tuple[Rebuild, ...], gap: str) -> None:
    result = judge(replace(seen("abte"), rebuilds=rebuilds)).result("restored")
    assert result is not None
    assert result.verdict is Verdict.UNKNOWN
    assert gap in [one.what for one in result.unseen]


def test_it_is_not_asked_where_nothing_was_lost() -> None:
    assert judge(run(BEFORE)).result("restored") is None


def test_what_was_erased_again_came_after_the_point_and_may_be_there() -> None:
    again = replace(REBUILD, erased_again=("c",))
    found = restored.check(seen("abtce", again))
    assert not [one for one in found if one.kind is RESTORE_NOT_EXACT]
    found = restored.check(seen("abtcde", again))
    [wrong] = [one for one in found if one.kind is RESTORE_NOT_EXACT][:1]
    assert [proof["id"] for proof in wrong.evidence] == ["d"]
