"""A restore to the point in time that an entry names: what is accepted, what is rejected."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.evidence.tiny import B, op, read, run, scenario

from chaos.checkers import restore
from chaos.checkers.restore import RESTORE_FAILED, RESTORE_NOT_EXACT
from chaos.evidence.restores import Restore, RestoreRecord
from chaos.evidence.run import Run
from chaos.faults.restore_test import KEY
from chaos.faults.targets import Target
from chaos.findings import INCOMPLETE_EVIDENCE, Verdict
from chaos.judge.judging import judge
from chaos.scenarios.model import FaultStep

LABEL = "START TIME: 2026-11-27 11:34:57 UTC\nLABEL: copy of db-paris\nSTART TIMELINE: 1\n"
OPERATIONS = [op("a", 1.0), op("b", 2.0), op("t", 3.0), op("c", 4.0), op("d", 5.0)]
"""``t`` names the point in time."""


def restored(
    ids: Iterable[str],
    *,
    entry: str = "t",
    timeline: int = 2,
    named_timeline: int = 1,
) -> Restore:
    return Restore(
        record=RestoreRecord(
            host=B,
            entry=entry,
            xid="731",
            named_s=3.5,
            named_timeline=named_timeline,
            begin_s=6.0,
            usable_s=8.5,
            timeline=timeline,
            backup_label=LABEL,
        ),
        read=read(B, ids, primary=True, timeline=timeline),
    )


def judged_with(*restores: Restore) -> Run:
    return replace(run(OPERATIONS), restores=restores)


def test_exactly_what_was_asked_for_is_accepted() -> None:
    assert restore.check(judged_with(restored("abt"))) == []
    assert restored("abt").took_s == 2.5
    assert str(restored("abt").backed_up_at) == "2026-11-27 11:34:57+00:00"


@pytest.mark.parametrize(
    ("ids", "words", "named"),
    [
        ("at", "lacks 1 entry that was there before", ["b"]),
        ("ab", "lacks 1 entry that was there before", ["t"]),
        ("", "lacks 3 entries that were there before", ["a", "b", "t"]),
        ("abtc", "has 1 entry that came after it", ["c"]),
        ("abtcd", "has 2 entries that came after it", ["c", "d"]),
    ],
)
def test_too_little_and_too_much_are_rejected(ids: str, words: str, named: list[str]) -> None:
    [finding] = restore.check(judged_with(restored(ids)))
    assert (finding.kind, finding.verdict) == (RESTORE_NOT_EXACT, Verdict.INVALID)
    assert words in finding.summary
    assert [proof["id"] for proof in finding.evidence] == named


@pytest.mark.parametrize(("timeline", "named_timeline"), [(1, 1), (1, 0), (2, 2), (2, 3)])
def test_a_timeline_that_is_not_new_is_rejected(timeline: int, named_timeline: int) -> None:
    """The backup was taken on 1; the cluster may have failed over since."""
    bad = restored("abt", timeline=timeline, named_timeline=named_timeline)
    [finding] = restore.check(judged_with(bad))
    assert finding.verdict is Verdict.INVALID
    assert "no new one" in finding.summary


def test_what_overlaps_with_the_entry_may_be_there_or_not() -> None:
    overlapping = [*OPERATIONS, op("x", 2.999, took_s=0.5), op("y", 3.004, took_s=0.5)]
    judged = run(overlapping)
    for ids in ("abt", "abtx", "abtxy", "abty"):
        assert restore.check(replace(judged, restores=(restored(ids),))) == []


def test_what_nobody_acknowledged_may_be_missing() -> None:
    judged = run([*OPERATIONS, op("i", 1.5, outcome="info"), op("f", 1.6, outcome="fail")])
    assert restore.check(replace(judged, restores=(restored("abt"),))) == []


def test_an_entry_in_doubt_ends_where_it_was_seen() -> None:
    """Nobody was told of it, but it stood on the primary at 3.5 s: what came later is too much."""
    doubtful = [op("a", 1.0), op("t", 3.0, outcome="info", ended=False), op("c", 4.0)]
    judged = run(doubtful)
    assert restore.check(replace(judged, restores=(restored("at"),))) == []
    [finding] = restore.check(replace(judged, restores=(restored("atc"),)))
    assert finding.verdict is Verdict.INVALID


def test_an_entry_that_no_history_has_decides_nothing() -> None:
    [finding] = restore.check(judged_with(restored("abt", entry="z")))
    assert (finding.kind, finding.verdict) == (INCOMPLETE_EVIDENCE, Verdict.UNKNOWN)


def test_each_of_several_restores_is_judged() -> None:
    good, bad = restored("abt"), restored("ab")
    assert len(restore.check(judged_with(good, bad, good, bad))) == 2


@given(st.sets(st.sampled_from("abtcd")))
def test_only_exactly_the_right_entries_are_accepted(ids: set[str]) -> None:
    assert (restore.check(judged_with(restored(ids))) == []) is (ids == set("abt"))


def test_a_restore_that_left_no_record_is_unknown() -> None:
    step = FaultStep(fault=KEY, target=Target(selector="cluster"))
    asked = scenario(faults=(step,))
    result = judge(run(OPERATIONS, asked=asked)).result("restore")
    assert result is not None
    assert result.verdict is Verdict.UNKNOWN
    assert [gap.what for gap in result.unseen] == ["no restore is on record"]
    unread = replace(restored("abt"), read=None)
    result = judge(replace(run(OPERATIONS), restores=(unread,))).result("restore")
    assert result is not None
    assert result.verdict is Verdict.UNKNOWN


def test_it_is_not_asked_where_nothing_was_restored() -> None:
    assert judge(run(OPERATIONS)).result("restore") is None


def test_a_backup_that_could_not_be_restored_is_rejected() -> None:
    record = replace(restored("abt").record, usable_s=None, timeline=None, error="a gap in its WAL")
    failed = Restore(record=record, read=None)
    result = judge(judged_with(restored("abt"), failed)).result("restore")
    assert result is not None
    assert result.unseen == ()
    [finding] = result.findings
    assert (finding.kind, finding.verdict) == (RESTORE_FAILED, Verdict.INVALID)
    assert "a gap in its WAL" in finding.summary
