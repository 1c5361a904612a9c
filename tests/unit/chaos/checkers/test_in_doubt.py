"""Operations left in doubt: when that is excused, and when it is not."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from support.evidence.tiny import ASKED, is_phase, life, load, op, run, scenario

from chaos.checkers import in_doubt
from chaos.checkers.in_doubt import IN_DOUBT_UNRESOLVED, RESOLVE_S
from chaos.evidence.events import Phase
from chaos.evidence.records import Operation
from chaos.findings import Verdict
from chaos.judge.judging import judge

DEADLINE_S = float(str(ASKED["deadline_s"]))
LONG_S = DEADLINE_S + 0.01


def check(operations: Sequence[Operation]) -> list[Verdict]:
    findings = in_doubt.check(run(operations))
    assert all(finding.kind is IN_DOUBT_UNRESOLVED for finding in findings)
    return [finding.verdict for finding in findings]


def doubt(at_s: float = 10.0, *, took_s: float = LONG_S, stopped: bool = False) -> Operation:
    return op("x", at_s, took_s=took_s, outcome="info", stopped=stopped, attempts=2)


def test_one_that_was_served_all_the_time_and_left_in_doubt_is_named() -> None:
    [finding] = in_doubt.check(run([*load(0.0, 50.0), doubt()]))
    assert finding.verdict is Verdict.INVALID
    [proof] = finding.evidence
    assert (proof["id"], proof["attempts"], proof["allowed"]) == ("x", 2, DEADLINE_S)
    assert float(str(proof["served_to_s"])) - float(str(proof["served_from_s"])) > RESOLVE_S


def test_service_that_came_back_seconds_before_the_deadline_was_enough() -> None:
    back_s = 10.0 + DEADLINE_S - RESOLVE_S - 1.0
    assert check([*load(0.0, 10.0), *load(back_s, 50.0), doubt()]) == [Verdict.INVALID]


@pytest.mark.parametrize(
    "others",
    [
        load(0.0, 10.0),
        [*load(0.0, 10.0), *load(10.0 + DEADLINE_S - 1.0, 50.0)],
        [*load(0.0, 10.0), *load(10.0 + LONG_S, 50.0)],
        [],
    ],
    ids=["no service any more", "a second too late", "after the deadline", "nobody else"],
)
def test_where_nobody_could_be_asked_it_is_excused(others: list[Operation]) -> None:
    assert check([*others, doubt()]) == []


def test_service_before_the_outage_that_made_the_doubt_does_not_count() -> None:
    """Others were served for six of its seconds; then the primary died, for good."""
    assert check([*load(0.0, 16.0), doubt()]) == []


def test_what_was_open_when_the_load_was_stopped_is_excused() -> None:
    assert check([*load(0.0, 50.0), doubt(45.0, took_s=9.9, stopped=True)]) == []


def test_what_has_no_end_on_record_is_excused() -> None:
    assert check([*load(0.0, 50.0), op("x", 10.0, outcome="info", ended=False)]) == []


def test_what_failed_or_was_acknowledged_is_not_in_doubt() -> None:
    others = [*load(0.0, 50.0), op("f", 10.0, outcome="fail"), op("r", 11.0, resolved=True)]
    assert check(others) == []


def test_one_that_gave_up_before_its_deadline_could_have_been_resolved_in_the_rest() -> None:
    gave_up = doubt(10.0, took_s=0.5)
    assert check([*load(0.0, 50.0), gave_up]) == [Verdict.INVALID]
    back_in_time = [*load(0.0, 10.0), *load(20.0, 50.0)]
    assert check([*back_in_time, gave_up]) == [Verdict.INVALID]
    back_too_late = [*load(0.0, 10.0), *load(10.0 + DEADLINE_S, 50.0)]
    assert check([*back_too_late, gave_up]) == []


def test_the_end_of_the_load_ends_its_time() -> None:
    """It gave up at 47; the load ended at 50: three seconds are not enough."""
    assert check([*load(0.0, 10.0), *load(46.9, 50.0), doubt(46.0, took_s=1.0)]) == []


def test_service_with_a_gap_counts_from_the_gap_on() -> None:
    gap_s = 10.0 + DEADLINE_S - RESOLVE_S / 2
    holey = [*load(0.0, gap_s - 1.5), *load(gap_s, 50.0)]
    assert check([*holey, doubt()]) == []


def test_only_other_sites_were_served_so_nobody_knows_whether_it_could_be_reached() -> None:
    others = load(0.0, 50.0, site="orsay")
    assert check([*others, doubt()]) == [Verdict.UNKNOWN]
    cut_off = [*others, *load(0.0, 10.0)]
    assert check([*cut_off, doubt()]) == [Verdict.UNKNOWN]


def test_the_attempts_of_others_must_lie_within_its_time() -> None:
    """They were acknowledged in its time, but all their attempts had begun before it."""
    older = [op(f"o{n}", 9.9, took_s=0.2 + n * 0.5, attempt_s=9.9) for n in range(40)]
    assert check([*older, doubt()]) == []


def test_the_checker_is_asked_whatever_the_workload() -> None:
    judgement = judge(run([*load(0.0, 50.0), doubt()], asked=scenario()))
    result = judgement.result("in-doubt")
    assert result is not None
    assert result.verdict is Verdict.INVALID
    cut = [event for event in life() if not is_phase(event, Phase.QUIESCE)]
    silent = judge(run(load(0.0, 50.0), events=cut)).result("in-doubt")
    assert silent is not None
    assert silent.verdict is Verdict.UNKNOWN
