"""Histories of reads that the checkers must accept, and some that they must reject."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.evidence import tiny
from support.evidence.marks import look, mark, with_reads
from support.evidence.tiny import event, life, run, scenario

from chaos.checkers import completeness, read_service, stale_reads
from chaos.checkers.registry import CHECKERS
from chaos.evidence.reads import MarkRead, MarkWrite
from chaos.evidence.run import Run
from chaos.findings import Finding, Verdict
from chaos.judge.judging import build_verdict, judge
from chaos.timing.measure import measure

MARKS = (
    mark(1, 1.0),
    mark(2, 2.0),
    mark(3, 3.0, outcome="info"),
    mark(4, 4.0, outcome="fail"),
    mark(1, 1.5, site="orsay"),
    mark(2, 2.5, site="orsay"),
)


def loaded(*, rto_s_max: float = 30.0) -> Run:
    both = [*tiny.load(0.0, 50.0), *tiny.load(0.0, 50.0, site="orsay")]
    return run(both, asked=scenario(rto_s_max=rto_s_max))


JUDGED = loaded()


def stale(*reads: MarkRead) -> list[Finding]:
    return stale_reads.check(with_reads(JUDGED, MARKS, reads))


@pytest.mark.parametrize(
    "read",
    [
        look("primary", 2.1, {"paris": 2, "orsay": 1}),
        look("primary", 2.0, {"paris": 1}),  # 2 is acknowledged only after it began
        look("primary", 5.0, {"paris": 3, "orsay": 2}),  # what was in doubt may be there
        look("primary", 5.0, {"paris": 2}),  # of other sites nothing is promised
        look("own-write", 5.0, {"paris": 2}, after=2),
        look("own-write", 5.0, {"paris": 3}, after=2),
        look("bounded", 5.0, {"paris": 2, "orsay": 2}, bound_s=5.0, age_s=1.0),
        look("bounded", 5.0, {"paris": 1, "orsay": 1}, bound_s=5.0, age_s=3.0),
        look("any", 50.0, {}, bound_s=3600.0, age_s=49.5),
        look("any", 5.0, outcome="fail", bound_s=3600.0),
    ],
)
def test_a_read_that_saw_what_it_was_promised_is_none(read: MarkRead) -> None:
    assert stale(read) == []


@pytest.mark.parametrize(
    ("read", "seen", "expected"),
    [
        (look("primary", 2.1, {"paris": 1}), 1, 2),
        (look("primary", 2.1, {}), 0, 2),
        (look("own-write", 2.1, {"paris": 1, "orsay": 9}, after=2), 1, 2),
        (look("bounded", 5.0, {"paris": 2, "orsay": 1}, bound_s=5.0, age_s=1.0), 1, 2),
        (look("bounded", 5.0, {"paris": 1, "orsay": 2}, bound_s=5.0, age_s=2.0), 1, 2),
        (look("any", 50.0, {"paris": 2}, bound_s=3600.0, age_s=10.0), 0, 2),
    ],
)
def test_a_read_that_saw_less_is_found(read: MarkRead, seen: int, expected: int) -> None:
    [finding] = stale(look("primary", 6.0, {"paris": 2}), read)
    assert finding.verdict is Verdict.INVALID
    [proof] = finding.evidence
    assert (proof["seen"], proof["expected"], proof["node"]) == (seen, expected, "db-orsay")
    assert (proof["site"], proof["lsn"], proof["timeline"]) == ("paris", "0/64", 1)
    assert finding.summary == (
        "1 read did not see what it was promised; the first of paris, on db-orsay."
    )


def test_a_read_that_missed_several_marks_is_one_read() -> None:
    [finding] = stale(look("any", 50.0, {}, bound_s=3600.0, age_s=10.0))
    assert [proof["mark_of"] for proof in finding.evidence] == ["paris", "orsay"]
    assert finding.summary.startswith("1 read did not see")


Shares = st.floats(0.0, 1.0)


@st.composite
def honest(draw: st.DrawFn) -> tuple[list[MarkWrite], list[MarkRead]]:
    """Marks and reads of a cluster that keeps its promises: each mark is committed between its call
    and its end, each answer is the state at a moment that the storage layer may choose."""
    marks, commits = [], dict[str, list[float]]()
    for site in tiny.SITES:
        at_s = 0.0
        for n in range(1, draw(st.integers(1, 5)) + 1):
            at_s += draw(st.floats(0.1, 3.0))
            took_s = draw(st.floats(0.0, 2.0))
            commits.setdefault(site, []).append(at_s + took_s * draw(Shares))
            marks.append(replace(mark(n, at_s, site=site), end_s=at_s + took_s))
            at_s += took_s
    reads = []
    for _ in range(draw(st.integers(1, 6))):
        begin_s, took_s = draw(st.floats(0.0, 20.0)), draw(st.floats(0.0, 2.0))
        answered_s = begin_s + took_s * draw(Shares)
        kind = draw(st.sampled_from(("primary", "bounded", "any")))
        age_s = None if kind == "primary" else draw(st.floats(0.0, 4.0))
        state_s = answered_s - (age_s or 0.0) * draw(Shares)
        seen = {site: sum(at_s <= state_s for at_s in commits[site]) for site in tiny.SITES}
        bound_s = None if age_s is None else 5.0
        read = look(kind, begin_s, seen, took_s=took_s, bound_s=bound_s, age_s=age_s)
        reads.append(read)
    return marks, reads


@given(honest())
def test_a_cluster_that_keeps_its_promises_has_no_finding(
    told: tuple[list[MarkWrite], list[MarkRead]],
) -> None:
    judged = with_reads(JUDGED, *told)
    assert stale_reads.check(judged) == []
    assert stale_reads.behind(judged) == ()


@pytest.mark.parametrize("age_s", [5.5, None])
def test_an_answer_older_than_was_asked_for_is_found(age_s: float | None) -> None:
    seen = {"paris": 2, "orsay": 2}
    [finding] = stale(look("bounded", 8.0, seen, bound_s=5.0, age_s=age_s))
    assert finding.evidence[0]["asked"] == "nothing older than 5 s"


def test_a_write_that_is_said_to_be_lost_and_may_not_be_is_found() -> None:
    [finding] = stale(look("own-write", 5.0, outcome="lost", after=2))
    assert finding.verdict is Verdict.INVALID


def test_what_an_old_primary_answered_is_counted_and_no_finding() -> None:
    reads = [
        look("primary", 5.0, {"paris": 2, "orsay": 1}),
        look("primary", 5.0, {"paris": 2, "orsay": 2}, site="orsay"),
    ]
    judged = with_reads(loaded(), MARKS, reads)
    assert stale_reads.behind(judged) == (reads[0],)
    verdict = build_verdict(judged)
    assert verdict.reads is not None
    assert (verdict.reads.stale, verdict.reads.behind_on_primary) == (0, 1)
    assert not [one for one in verdict.findings if one.kind is stale_reads.STALE_READ]


def lossy(reads: list[MarkRead], *, lost_max: int) -> Run:
    """Timeline 1 ended at 0/C8: what lies beyond was acknowledged and lost."""
    operations = [
        *tiny.load(0.0, 9.0),
        *tiny.load(20.0, 50.0, node=tiny.B, timeline=2),
        tiny.op("between", 9.0, lsn=150),
    ]
    marks = [
        mark(1, 8.0, lsn=100),  # before "between", whose position was kept
        mark(2, 9.5, lsn=190),  # it may have been committed beyond the end
        mark(3, 9.7, lsn=300),
        mark(4, 25.0, node=tiny.B, timeline=2),
    ]
    ended = event(48.0, "timeline", timeline=1, end_lsn="0/C8")
    judged = run(
        operations,
        events=[*life(fault_s=10.0, timeline=2), ended],
        asked=scenario(lost_max=lost_max, durability="async" if lost_max else "quorum"),
    )
    return with_reads(judged, marks, reads)


def test_where_losses_are_allowed_only_what_surely_stayed_is_demanded() -> None:
    after_failover = [
        look("primary", 22.0, {"paris": 1}),
        look("own-write", 22.5, outcome="lost", after=3),
        look("own-write", 22.6, outcome="lost", after=2),
        look("primary", 26.0, {"paris": 4}),
    ]
    assert stale_reads.check(lossy(after_failover, lost_max=100)) == []
    for read in (
        look("primary", 22.0, {}),
        look("own-write", 22.5, outcome="lost", after=1),
        look("primary", 26.0, {"paris": 3}),
    ):
        assert stale_reads.check(lossy([read], lost_max=100)), read


def test_where_none_are_allowed_each_acknowledged_mark_is_demanded() -> None:
    [finding] = stale_reads.check(lossy([look("primary", 22.0, {"paris": 1})], lost_max=0))
    assert finding.evidence[0]["expected"] == 3
    assert stale_reads.check(lossy([look("own-write", 22.5, outcome="lost", after=3)], lost_max=0))


def served(*reads: MarkRead, complete: bool = True) -> list[Finding]:
    judged = with_reads(loaded(rto_s_max=2.0), MARKS, reads, complete=complete)
    return read_service.check(judged, measure(judged))


def test_reads_that_were_answered_in_time_are_no_finding() -> None:
    assert served(look("primary", 5.0, took_s=1.9), look("any", 6.0, took_s=0.1)) == []
    long = {"outcome": "fail", "took_s": 5.0}
    assert served(look("bounded", 5.0, **long), look("own-write", 6.0, **long)) == []  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["primary", "any"])
def test_a_wait_beyond_the_limit_is_found(kind: str) -> None:
    read = look("primary", 5.0, outcome="fail", took_s=1.5)
    again = look("primary", 6.5, took_s=1.0)
    kinds = [replace(one, kind=kind) for one in (read, again)]  # type: ignore[arg-type]
    [finding] = served(*kinds)
    where = {"primary": "on the primary", "any": "on any server"}[kind]
    assert finding.summary == f"paris waited 2.50 s for a read {where}; allowed are 2 s."


def test_a_wait_that_the_end_of_the_load_broke_off_is_found_where_the_record_is_whole() -> None:
    vain = look("any", 48.0, outcome="fail", took_s=1.5)
    [finding] = served(look("any", 20.0, took_s=1.8), vain)
    assert finding.summary == (
        "paris waited 1.50 s for a read on any server, in vain, when the load ended."
    )
    assert served(vain, complete=False) == []


def test_stalls_of_the_load_process_are_taken_off() -> None:
    stall = tiny.Stall(site="paris", t_s=7.0, stall_s=1.0)
    judged = run(
        [*tiny.load(0.0, 50.0), *tiny.load(0.0, 50.0, site="orsay")],
        asked=scenario(rto_s_max=2.0),
        stalls=[stall],
    )
    judged = with_reads(judged, MARKS, [look("any", 5.0, took_s=2.5)])
    assert read_service.check(judged, measure(judged)) == []


def answer(judged: Run, name: str) -> tuple[Verdict, tuple[str, ...]] | None:
    result = judge(judged).result(name)
    return None if result is None else (result.verdict, tuple(gap.what for gap in result.unseen))


def test_what_is_not_on_record_is_unknown() -> None:
    reads = [look("any", 5.0, site=site) for site in tiny.SITES]
    whole = with_reads(loaded(), MARKS, reads)
    assert answer(whole, "stale-reads") == (Verdict.VALID, ())
    cut = with_reads(loaded(), MARKS, reads, complete=False)
    assert answer(cut, "stale-reads") == (
        Verdict.UNKNOWN,
        ("the reads of paris were cut short", "the reads of orsay were cut short"),
    )
    [finding] = completeness.check(cut)
    assert [gap["part"] for gap in finding.evidence] == [
        "reads-paris.jsonl",
        "reads-orsay.jsonl",
    ]
    gone = replace(whole, reads=whole.reads[1:])
    found = answer(gone, "read-service")
    assert found is not None
    assert found[0] is Verdict.UNKNOWN
    assert "no reads of paris" in found[1]
    idle = answer(with_reads(loaded(), MARKS, reads[1:]), "stale-reads")
    assert idle == (Verdict.UNKNOWN, ("the load process of paris read nothing",))


def test_runs_without_reads_are_judged_as_ever() -> None:
    assert {"stale-reads", "read-service"} <= {checker.name for checker in CHECKERS}
    for judged in (loaded(), replace(with_reads(loaded(), reads_per_s=0.0), reads=())):
        assert answer(judged, "stale-reads") is answer(judged, "read-service") is None
        assert build_verdict(judged).reads is None
