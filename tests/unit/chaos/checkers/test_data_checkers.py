"""Lost, phantom and duplicate entries, replicas that differ: what is accepted, what is rejected."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from support.evidence.tiny import A, B, op, read, run, scenario

from chaos.checkers import divergence, duplicates, lost, phantom
from chaos.checkers.divergence import DIVERGENT_REPLICA, UNREADABLE_NODE
from chaos.checkers.duplicates import DUPLICATE
from chaos.checkers.lost import LOST_WRITE
from chaos.checkers.phantom import PHANTOM_WRITE
from chaos.evidence.records import FinalRead, LedgerRow
from chaos.evidence.run import Run
from chaos.findings import INCOMPLETE_EVIDENCE, Verdict
from chaos.judge.judging import judge

THREE = [op("a", 1.0), op("b", 2.0, lsn=0x1_0000_0060), op("c", 3.0)]


def test_entries_that_survived_are_accepted() -> None:
    assert lost.check(run(THREE)) == []


def test_an_entry_that_nobody_acknowledged_may_be_missing_or_there() -> None:
    undecided = [op("a", 1.0), op("x", 2.0, outcome="info"), op("y", 3.0, outcome="info")]
    judged = run(undecided, reads=[read(A, ["a", "x"], primary=True)])
    assert lost.check(judged) == []
    assert phantom.check(judged) == []


def test_a_lost_entry_is_named_with_all_that_is_known_of_it() -> None:
    judged = run(THREE, reads=[read(A, "ac", primary=True), read(B, "ac")])
    [finding] = lost.check(judged)
    assert (finding.kind, finding.verdict) == (LOST_WRITE, Verdict.INVALID)
    assert finding.evidence == (
        {
            "id": "b",
            "site": "paris",
            "node": A,
            "timeline": 1,
            "lsn": "1/60",
            "acknowledged_s": 2.005,
            "still_on": None,
        },
    )


def test_an_entry_on_a_replica_only_is_lost_and_the_evidence_says_where_it_is() -> None:
    judged = run(THREE, reads=[read(A, "ac", primary=True), read(B, "abc")])
    [finding] = lost.check(judged)
    assert finding.verdict is Verdict.INVALID
    assert finding.evidence[0]["still_on"] == B


def test_a_loss_within_what_is_allowed_stays_a_finding() -> None:
    reads = [read(A, "a", primary=True)]
    [allowed] = lost.check(run(THREE, reads=reads, asked=scenario(lost_max=2)))
    [too_many] = lost.check(run(THREE, reads=reads, asked=scenario(lost_max=1)))
    assert allowed.verdict is Verdict.VALID
    assert too_many.verdict is Verdict.INVALID
    assert len(allowed.evidence) == len(too_many.evidence) == 2


def test_without_a_primary_nobody_knows_what_was_lost() -> None:
    unreadable = [FinalRead(node=A, error="connection refused"), read(B, "ac")]
    two_primaries = [read(A, "abc", primary=True), read(B, "ac", primary=True)]
    assert lost.check(run(THREE, reads=[])) == []
    assert judge(run(THREE, reads=[])).verdict is Verdict.UNKNOWN
    for reads in (unreadable, two_primaries):
        [finding] = lost.check(run(THREE, reads=reads))
        assert finding.kind is INCOMPLETE_EVIDENCE
        assert finding.verdict is Verdict.UNKNOWN


@given(data=st.data())
def test_whatever_row_is_taken_away_it_is_missed(data: st.DataObject) -> None:
    operations = [op(f"e{index}", float(index)) for index in range(20)]
    gone = data.draw(st.sets(st.sampled_from([o.id for o in operations]), min_size=1))
    left = [o.id for o in operations if o.id not in gone]
    [finding] = lost.check(run(operations, reads=[read(A, left, primary=True)]))
    assert {proof["id"] for proof in finding.evidence} == gone


def test_a_row_that_nobody_wrote_is_a_phantom() -> None:
    judged = run(THREE, reads=[read(A, "abcz", primary=True), read(B, "abc")])
    [finding] = phantom.check(judged)
    assert (finding.kind, finding.verdict) == (PHANTOM_WRITE, Verdict.INVALID)
    assert finding.evidence == ({"id": "z", "nodes": A},)


def test_a_row_that_nobody_wrote_proves_nothing_when_a_history_is_cut_short() -> None:
    reads = [read(A, "abcz", primary=True)]
    damaged = run(THREE, reads=reads, damage=("history-paris.jsonl: line 9 is cut short",))
    for judged in (run(THREE, reads=reads, complete=False), damaged):
        [finding] = phantom.check(judged)
        assert finding.verdict is Verdict.UNKNOWN


def test_a_failed_entry_that_is_there_is_a_phantom_even_then() -> None:
    operations = [*THREE, op("f", 4.0, outcome="fail")]
    judged = run(operations, reads=[read(A, "abcf", primary=True)], complete=False)
    [finding] = phantom.check(judged)
    assert finding.verdict is Verdict.INVALID


def test_a_failed_entry_that_is_not_there_is_as_it_should_be() -> None:
    assert phantom.check(run([*THREE, op("f", 4.0, outcome="fail")])) == []


def test_an_entry_that_stands_twice_is_a_duplicate_on_any_node() -> None:
    judged = run(THREE, reads=[read(A, "abc", primary=True), read(B, "abbc")])
    [finding] = duplicates.check(judged)
    assert (finding.kind, finding.verdict) == (DUPLICATE, Verdict.INVALID)
    assert finding.evidence == ({"node": B, "id": "b", "rows": 2},)
    assert duplicates.check(run(THREE)) == []


def test_equal_replicas_are_accepted_in_any_order_of_rows() -> None:
    assert divergence.check(run(THREE, reads=[read(A, "abc", primary=True), read(B, "cab")])) == []


def _differences(judged: Run) -> set[tuple[object, object]]:
    [finding] = divergence.check(judged)
    assert (finding.kind, finding.verdict) == (DIVERGENT_REPLICA, Verdict.INVALID)
    return {(proof["id"], proof["difference"]) for proof in finding.evidence}


def test_missing_extra_and_different_rows_of_a_replica_are_told_apart() -> None:
    other = read(B, "acx")
    changed = replace(other, rows=(*other.rows[1:], LedgerRow(id="a", content="something else")))
    judged = run(THREE, reads=[read(A, "abc", primary=True), changed])
    assert _differences(judged) == {("a", "different content"), ("b", "missing"), ("x", "extra")}


def test_a_row_too_often_on_a_replica_is_a_difference() -> None:
    judged = run(THREE, reads=[read(A, "abc", primary=True), read(B, "abbc")])
    assert _differences(judged) == {("b", "extra")}


def test_a_node_that_cannot_be_read_after_recovery_is_a_finding() -> None:
    judged = run(THREE, reads=[read(A, "abc", primary=True), FinalRead(node=B, error="refused")])
    [finding] = divergence.check(judged)
    assert (finding.kind, finding.verdict) == (UNREADABLE_NODE, Verdict.INVALID)


def test_without_a_primary_replicas_cannot_be_compared() -> None:
    [finding] = divergence.check(run(THREE, reads=[read(B, "abc")]))
    assert finding.verdict is Verdict.UNKNOWN
