"""Two primaries at once: found when real time proves it, never when primaries follow each other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.evidence.tiny import A, B, event, life, op, read, run

from chaos.checkers import dead_timeline, split_brain
from chaos.checkers.dead_timeline import DEAD_TIMELINE
from chaos.checkers.split_brain import SPLIT_BRAIN
from chaos.evidence.records import Operation
from chaos.findings import INCOMPLETE_EVIDENCE, Finding, Verdict


def _split(operations: list[Operation]) -> list[Finding]:
    return split_brain.check(run(operations))


def test_one_primary_is_accepted() -> None:
    assert _split([op("a", 1.0), op("b", 2.0)]) == []


def test_a_switchover_and_back_is_accepted() -> None:
    assert (
        _split([
            op("a1", 1.0), op("a2", 2.0),
            op("b1", 3.0, node=B, timeline=2), op("b2", 4.0, node=B, timeline=2),
            op("a3", 5.0, timeline=3), op("a4", 6.0, timeline=3),
        ])
        == []
    )  # fmt: skip


def test_an_acknowledgement_of_another_node_in_between_is_split_brain() -> None:
    [finding] = _split([op("a1", 1.0), op("b1", 2.0, node=B, timeline=2), op("a2", 3.0)])
    assert (finding.kind, finding.verdict) == (SPLIT_BRAIN, Verdict.INVALID)
    assert {proof["id"] for proof in finding.evidence} == {"a1", "a2", "b1"}


def test_windows_that_overlap_at_their_ends_are_split_brain() -> None:
    assert _split([
        op("a1", 1.0), op("b1", 2.0, node=B, timeline=2),
        op("a2", 2.5), op("b2", 3.0, node=B, timeline=2),
    ])  # fmt: skip


def test_two_nodes_on_the_same_timeline_at_once_are_split_brain() -> None:
    assert _split([op("a1", 1.0), op("b1", 2.0, node=B), op("a2", 3.0)])


def test_a_late_answer_of_the_old_primary_is_no_proof() -> None:
    # It began before the new primary's first answer, so it may have committed before that.
    late = op("a2", 1.9, took_s=5.0)
    assert _split([op("a1", 1.0), late, op("b1", 2.0, node=B, timeline=2)]) == []


def test_a_slow_answer_of_the_new_primary_is_no_proof() -> None:
    slow = op("b1", 1.5, took_s=2.0, node=B, timeline=2)
    assert _split([op("a1", 1.0), slow, op("a2", 2.0)]) == []


def test_a_retried_operation_counts_from_its_last_attempt() -> None:
    retried = op("b1", 0.5, took_s=2.0, node=B, timeline=2, attempt_s=2.0)
    assert _split([op("a1", 1.0), retried, op("a2", 3.0)])


def test_resolved_operations_prove_nothing() -> None:
    resolved = op("a2", 3.0, resolved=True)
    assert _split([op("a1", 1.0), op("b1", 2.0, node=B, timeline=2), resolved]) == []


def test_operations_without_timeline_leave_it_open() -> None:
    [finding] = _split([op("a1", 1.0), op("b1", 2.0, node=B, timeline=None)])
    assert (finding.kind, finding.verdict) == (INCOMPLETE_EVIDENCE, Verdict.UNKNOWN)


@st.composite
def _successions(draw: st.DrawFn) -> list[Operation]:
    """Primaries one after the other, each on a timeline of its own, operations in any overlap."""
    operations: list[Operation] = []
    begin_s = 0.0
    for timeline in range(1, draw(st.integers(1, 5)) + 1):
        end_s = begin_s + draw(st.floats(0.1, 10.0))
        node = draw(st.sampled_from([A, B, "db-saint-cloud"]))
        for index in range(draw(st.integers(0, 6))):
            committed_s = draw(st.floats(begin_s, end_s))
            before_s, after_s = draw(st.floats(0.0, 20.0)), draw(st.floats(0.0, 20.0))
            operations.append(
                op(
                    f"t{timeline}-{index}",
                    committed_s - before_s,
                    took_s=before_s + after_s,
                    node=node,
                    timeline=timeline,
                )
            )
        begin_s = end_s + 0.001  # more than float sums can err by
    return operations


@given(_successions())
def test_one_primary_at_a_time_is_never_split_brain(operations: list[Operation]) -> None:
    assert [f for f in _split(operations) if f.kind is SPLIT_BRAIN] == []


ENDED = [*life(timeline=2), event(44.0, "timeline", timeline=1, end_lsn="0/C8")]
"""Timeline 1 ended at byte 200; timeline 2 survived."""


def _dead(operations: list[Operation], *, ended: bool = True) -> list[Finding]:
    events = ENDED if ended else life(timeline=2)
    return dead_timeline.check(run(operations, events=events))


def test_acknowledged_below_the_end_of_an_ancestor_is_accepted() -> None:
    assert _dead([op("a", 1.0, lsn=199), op("b", 2.0, node=B, timeline=2, lsn=250)]) == []


def test_acknowledged_at_or_beyond_the_end_of_an_ancestor_is_dead() -> None:
    [finding] = _dead([op("a", 1.0, lsn=199), op("x", 2.0, lsn=200), op("y", 2.1, lsn=0x1000)])
    assert (finding.kind, finding.verdict) == (DEAD_TIMELINE, Verdict.INVALID)
    branch, *unnamed = finding.evidence
    assert branch == {
        "timeline": 1,
        "acknowledged_by": A,
        "timeline_ended_at": "0/C8",
        "entries": 2,
        "lost_entries": 0,
        "first_lsn": "0/C8",
        "last_lsn": "0/1000",
        "first_acknowledged_s": pytest.approx(2.005),
        "last_acknowledged_s": pytest.approx(2.105),
    }
    assert [proof["id"] for proof in unnamed] == ["x", "y"], "nobody else names them"
    assert "2 are in the ledger all the same" in finding.summary


def test_a_lost_entry_is_named_by_its_own_finding_and_only_counted_here() -> None:
    operations = [op("a", 1.0, lsn=199), op("x", 2.0, lsn=200), op("y", 2.1, lsn=0x1000)]
    reads = [read(A, "ax", primary=True, timeline=2)]
    [finding] = dead_timeline.check(run(operations, events=ENDED, reads=reads))
    branch, *unnamed = finding.evidence
    assert (branch["entries"], branch["lost_entries"]) == (2, 1)
    assert [proof["id"] for proof in unnamed] == ["x"]
    nobody_knows = dead_timeline.check(run(operations, events=ENDED, reads=[]))[0]
    assert [proof["id"] for proof in nobody_knows.evidence[1:]] == ["x", "y"]


def test_a_lost_entry_whose_commit_may_lie_beyond_the_fork_is_on_the_dead_branch() -> None:
    # Its LSN was read before the fork; nobody who began after its end read one before the fork.
    straddling = [op("a", 1.0, lsn=150), op("s", 2.0, lsn=199), op("x", 2.1, lsn=300)]
    reads = [read(A, "a", primary=True, timeline=2)]
    [finding] = dead_timeline.check(run(straddling, events=ENDED, reads=reads))
    assert finding.evidence[0]["entries"] == 2
    # Here somebody did: its commit survived, and it was lost in another way.
    before = [*straddling, op("b", 2.05, lsn=199)]
    reads = [read(A, "ab", primary=True, timeline=2)]
    [finding] = dead_timeline.check(run(before, events=ENDED, reads=reads))
    assert finding.evidence[0]["entries"] == 1


def test_a_timeline_that_is_no_ancestor_is_dead() -> None:
    events = [*life(timeline=3), event(44.0, "timeline", timeline=1, end_lsn="0/C8")]
    [finding] = dead_timeline.check(run([op("x", 2.0, timeline=2)], events=events))
    assert finding.kind is DEAD_TIMELINE


def test_without_the_ends_of_timelines_nothing_is_proved() -> None:
    [finding] = _dead([op("a", 1.0), op("b", 2.0, timeline=2)], ended=False)
    assert (finding.kind, finding.verdict) == (INCOMPLETE_EVIDENCE, Verdict.UNKNOWN)
    assert [proof["id"] for proof in finding.evidence] == ["a"]


def test_a_resolved_entry_may_lack_its_timeline_or_place() -> None:
    known = op("a", 1.0, node=B, timeline=2)
    assert _dead([known, op("r", 2.0, timeline=None, resolved=True)]) == []
    assert _dead([known, op("r", 2.0, lsn=None, resolved=True)]) == []
    [finding] = _dead([known, op("u", 2.0, lsn=None)])
    assert finding.verdict is Verdict.UNKNOWN


def test_without_the_surviving_timeline_two_timelines_leave_it_open() -> None:
    events = life(settled=False)
    one = run([op("a", 1.0)], events=events, reads=[])
    two = run([op("a", 1.0), op("b", 2.0, timeline=2)], events=events, reads=[])
    assert dead_timeline.check(one) == []
    [finding] = dead_timeline.check(two)
    assert finding.verdict is Verdict.UNKNOWN


def test_a_failover_after_the_cluster_had_settled_is_followed() -> None:
    # The final read is on timeline 3; where timeline 2 ended, nobody wrote down.
    operations = [op("a", 1.0), op("b", 2.0, node=B, timeline=2), op("c", 48.0, timeline=3)]
    reads = [read(A, "abc", primary=True, timeline=3), read(B, "abc", timeline=3)]
    [finding] = dead_timeline.check(run(operations, events=ENDED, reads=reads))
    assert finding.verdict is Verdict.UNKNOWN
    assert [proof["id"] for proof in finding.evidence] == ["b"]
