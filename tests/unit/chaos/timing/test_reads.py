"""How long reads waited, and which part of that was due."""

from __future__ import annotations

import math

from support.evidence import tiny
from support.evidence.marks import look, with_reads
from support.evidence.tiny import event, life, run, with_three_sites

from chaos.evidence.reads import MarkRead, ReadKind
from chaos.evidence.run import Run
from chaos.timing.measure import measure
from chaos.timing.model import ReadTiming
from chaos.timing.reads import read_gaps

CUT_S, JOINED_S = 10.0, 30.0


def waited(reads: list[MarkRead]) -> list[tuple[float, float, bool]]:
    return [(gap.from_s, gap.to_s, gap.open) for gap in read_gaps(reads)]


def test_a_wait_begins_with_the_first_read_that_had_no_answer() -> None:
    failed = {"outcome": "fail", "took_s": 5.0}
    reads = [
        look("any", 1.0, took_s=0.25),
        look("any", 2.0, **failed),  # type: ignore[arg-type]
        look("any", 7.0, **failed),  # type: ignore[arg-type]
        look("any", 12.0, took_s=0.5),
        look("any", 13.0, **failed),  # type: ignore[arg-type]
    ]
    assert waited(reads) == [(1.0, 1.25, False), (2.0, 12.5, False), (13.0, 18.0, True)]
    assert waited([]) == []


def test_who_was_told_that_a_write_is_lost_was_answered() -> None:
    assert waited([look("own-write", 1.0, took_s=0.5, outcome="lost")]) == [(1.0, 1.5, False)]


def cut_off(*, leader: str = "db-orsay") -> Run:
    """Paris is cut off from 10 to 30: its own server answers with what it has, and nobody is the
    primary there."""
    sites = ("paris", "orsay", "lyon")
    operations = [op for site in sites for op in tiny.load(0.0, 50.0, site=site)]
    joined = event(JOINED_S, "heal", fault="site-cut", target="paris")
    cut = event(CUT_S, "fault", fault="site-cut", target="paris", node="paris")
    led = event(-1.0, "leader-key", holder=leader, revision=1)
    judged = with_three_sites(run(operations, events=[*life(fault_s=CUT_S), led, cut, joined]))
    reads = [
        look("primary", 9.5),
        look("primary", 10.5, outcome="fail", took_s=5.0),
        look("primary", 15.5, took_s=15.5),
        look("any", 9.5),
        look("any", 12.0, took_s=0.25),
        look("bounded", 12.0, outcome="fail", took_s=5.0),
    ]
    return with_reads(judged, reads=reads)


def of(judged: Run, kind: ReadKind, site: str = "paris") -> ReadTiming:
    return next(one for one in measure(judged).reads if (one.kind, one.site) == (kind, site))


def test_a_site_that_is_cut_off_owes_no_read_on_the_primary_and_still_one_on_a_replica() -> None:
    judged = cut_off()
    primary = of(judged, "primary")
    assert (primary.reads, primary.ok) == (3, 2)
    assert primary.longest_gap is not None
    assert (primary.longest_gap.from_s, primary.longest_gap.to_s) == (10.5, 31.0)
    assert [(one.from_s, one.to_s) for one in primary.not_due] == [(CUT_S, JOINED_S)]
    assert primary.longest_after_heal is not None
    assert primary.longest_after_heal.gap_s == 1.0
    assert primary.longest_due is not None
    assert math.isclose(primary.longest_due.gap_s, 0.005)
    replica = of(judged, "any")
    assert replica.not_due == ()
    assert replica.longest_due == replica.longest_gap
    assert replica.longest_gap is not None
    assert replica.longest_gap.gap_s == 0.25


def test_a_former_primary_that_is_cut_off_with_a_site_owes_it_no_read_until_the_heal() -> None:
    """It stops first, and waits for the replicas that it does not reach."""
    [stretch] = of(cut_off(leader="db-paris"), "any").not_due
    assert (stretch.from_s, stretch.to_s) == (CUT_S, JOINED_S)
    assert stretch.why == (
        "paris reaches db-paris alone, which gives up the lead, and while it stops waits for "
        "replicas that it does not reach"
    )
    assert of(cut_off(leader="db-paris"), "any", "orsay").not_due == ()


def test_a_kind_of_which_nothing_is_promised_is_told_and_has_no_stretches() -> None:
    bounded = of(cut_off(), "bounded")
    assert bounded.not_due == ()
    assert bounded.longest_gap is not None
    assert bounded.longest_gap.open


def test_nothing_is_measured_where_nothing_was_read() -> None:
    assert measure(run(tiny.load(0.0, 50.0))).reads == ()
