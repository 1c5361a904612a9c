"""Service, load, stalls, recovery, failover, exits: what is accepted, what is rejected."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support import tiny
from support.tiny import POWER_CUT, A, B, event, life, op, run, scenario

from chaos.checkers import exits, failover, load, recovery, service, stalls
from chaos.evidence.records import Event, Operation, Stall
from chaos.verdict import Finding, FindingKind, Verdict

FAULT = event(10.0, "fault", fault="host-power-cut", target=A)
STRUCK = [*life(fault_s=10.0), FAULT]


def _outage(from_s: float, to_s: float) -> list[Operation]:
    """Load from 0 to 50 with nothing acknowledged in ``from_s..to_s``."""
    return [*tiny.load(0.0, from_s), *tiny.load(to_s, 50.0)]


def _service(operations: list[Operation], *, rto_s_max: float = 30.0) -> list[Finding]:
    return service.check(run(operations, events=STRUCK, asked=scenario(rto_s_max=rto_s_max)))


def test_service_without_a_gap_and_service_back_in_time_are_accepted() -> None:
    assert _service(tiny.load(0.0, 50.0)) == []
    assert _service(_outage(10.0, 32.0)) == []


def test_service_back_too_late_is_a_finding() -> None:
    [finding] = _service(_outage(10.0, 32.0), rto_s_max=20.0)
    assert (finding.kind, finding.verdict) == (FindingKind.SERVICE_NOT_KEPT, Verdict.INVALID)
    assert finding.evidence[0]["gap_s"] == pytest.approx(22.1, abs=0.1)


def test_a_site_that_was_never_served_again_is_a_finding_even_within_the_limit() -> None:
    waiting = op("w", 45.0, outcome="info", ended=False)
    [finding] = _service([*tiny.load(0.0, 45.0), waiting])
    assert "without service when the load ended" in finding.summary


def test_a_load_that_had_all_acknowledged_and_stopped_early_was_served() -> None:
    assert _service(tiny.load(0.0, 47.0)) == []


def test_a_site_without_any_acknowledgement_is_a_finding() -> None:
    [finding] = _service([op("f", 1.0, outcome="fail")])
    assert "not one write" in finding.summary


def test_nothing_acknowledged_in_steady_state_is_a_finding() -> None:
    [finding] = _service(tiny.load(10.5, 50.0))
    assert "steady phase" in finding.summary


def test_a_drill_that_broke_off_during_the_outage_is_not_accused() -> None:
    broken_off = [
        event(0.0, "phase", phase="steady"),
        FAULT,
        event(18.0, "interrupted", reason="x"),
    ]
    operations = [*tiny.load(0.0, 10.0), op("w", 10.0, outcome="info", took_s=8.0)]
    assert service.check(run(operations, events=broken_off)) == []
    [finding] = service.check(run(operations, events=broken_off, asked=scenario(rto_s_max=5.0)))
    assert finding.verdict is Verdict.INVALID


def test_a_history_that_was_cut_short_proves_no_silence_after_its_last_line() -> None:
    hanging = [*tiny.load(0.0, 10.0), op("w", 10.0, outcome="info", ended=False)]
    died = event(48.0, "child-exit", host="app-paris", process="load", status=-9, expected=False)
    judged = run(hanging, events=[*life(fault_s=10.0), FAULT, died], complete=False)
    [finding] = service.check(judged)
    assert (finding.kind, finding.verdict) == (FindingKind.SERVICE_NOT_KEPT, Verdict.UNKNOWN)
    as_it_should = replace(died, fields=dict(died.fields) | {"status": 0, "expected": True})
    lines_lost = run(hanging, events=[*life(fault_s=10.0), FAULT, as_it_should], complete=False)
    assert service.check(lines_lost) == []


def test_every_site_is_judged_on_its_own() -> None:
    operations = [*_outage(10.0, 45.0), *tiny.load(0.0, 50.0, site="orsay")]
    [finding] = _service(operations)
    assert finding.evidence[0]["site"] == "paris"


def test_a_load_far_below_the_asked_rate_leaves_the_drill_open() -> None:
    operations = tiny.load(0.0, 50.0)
    assert load.check(run(operations, settings={"rate_per_s": 12})) == []
    [finding] = load.check(run(operations, settings={"rate_per_s": 13}))
    assert (finding.kind, finding.verdict) == (FindingKind.LOAD_TOO_LOW, Verdict.UNKNOWN)


def _stalls(
    operations: list[Operation],
    *found: tuple[float, float],
    rto_s_max: float = 30.0,
    events: list[Event] | None = None,
) -> list[Finding]:
    """Findings on stalls that ended at a moment and lasted some seconds."""
    return stalls.check(
        run(
            operations,
            events=STRUCK if events is None else events,
            stalls=[Stall(site="paris", t_s=t_s, stall_s=stall_s) for t_s, stall_s in found],
            asked=scenario(rto_s_max=rto_s_max),
        )
    )


def test_stalls_far_from_the_outage_or_small_beside_it_are_only_counted() -> None:
    outage = _outage(10.0, 32.0)
    assert _stalls(outage, (5.0, 3.0)) == []
    assert _stalls(outage, (20.0, 1.0), (31.9, 0.5)) == []
    assert _stalls(outage, *((10.0 + index, 0.2) for index in range(20))) == []


def test_stalls_of_more_than_a_tenth_of_the_outage_blur_it() -> None:
    [finding] = _stalls(_outage(10.0, 32.0), (20.0, 1.2), (32.0, 1.2))
    assert (finding.kind, finding.verdict) == (FindingKind.STALLED_LOAD, Verdict.UNKNOWN)


def test_a_stall_that_could_turn_the_answer_blurs_it() -> None:
    outage = _outage(10.0, 32.0)
    assert _stalls(outage, (32.0, 0.5), rto_s_max=22.5)  # too late, perhaps
    assert _stalls(outage, (32.0, 0.5), rto_s_max=21.8)  # in time, perhaps
    assert _stalls(outage, (32.0, 0.5), rto_s_max=23.0) == []


def test_a_gap_beyond_the_limit_that_a_stall_explains_is_open_not_invalid() -> None:
    asked = scenario(rto_s_max=1.0)
    judged = run(
        _outage(20.0, 21.5), stalls=[Stall(site="paris", t_s=21.5, stall_s=1.4)], asked=asked
    )
    assert service.check(judged) == []
    [finding] = stalls.check(judged)
    assert finding.verdict is Verdict.UNKNOWN


def test_a_stall_without_any_fault_is_a_trifle_below_the_limit() -> None:
    assert _stalls(_outage(20.0, 20.5), (20.5, 0.5), rto_s_max=2.0, events=life()) == []


def test_recovery_in_time_is_accepted() -> None:
    assert recovery.check(run()) == []


def test_a_cluster_that_did_not_settle_is_stuck() -> None:
    [finding] = recovery.check(run(events=life(settled=False)))
    assert (finding.kind, finding.verdict) == (FindingKind.STUCK_CLUSTER, Verdict.INVALID)


def test_a_stuck_cluster_says_what_was_missing() -> None:
    missing = "db-orsay does not stream"
    events = [*life(settled=False), event(49.0, "not-whole", missing=missing)]
    [finding] = recovery.check(run(events=events))
    assert missing in finding.summary


def test_a_cluster_that_settled_too_late_is_stuck() -> None:
    events = [*life(settled=False), event(49.0, "settled", timeline=1)]
    assert recovery.check(run(events=events)) == []
    late = [found for found in life(settled=False) if found.fields.get("phase") != "recovery"]
    late += [event(20.0, "phase", phase="recovery"), event(49.0, "settled", timeline=1)]
    [finding] = recovery.check(run(events=late))
    assert finding.evidence[0]["recovery_s"] == pytest.approx(29.0)


def test_a_drill_that_never_came_to_recovery_is_not_called_stuck() -> None:
    assert recovery.check(run(events=[event(0.0, "phase", phase="steady")])) == []


def test_only_exits_that_nobody_wanted_are_findings() -> None:
    exit_ = {"host": "db-orsay", "process": "patroni", "status": -9}
    wanted = [*life(), event(10.0, "child-exit", expected=True, **exit_)]
    assert exits.check(run(events=wanted)) == []
    [finding] = exits.check(
        run(events=[*wanted, event(11.0, "child-exit", expected=False, **exit_)])
    )
    assert (finding.kind, finding.verdict) == (FindingKind.UNEXPECTED_EXIT, Verdict.INVALID)
    assert len(finding.evidence) == 1


KEY_BEFORE = event(-1.0, "leader-key", holder=A, revision=1)
KEY_GONE = event(28.0, "leader-key", holder=None, revision=2)


def _failover(
    expected: tiny.Failover,
    *more: Event,
    operations: list[Operation] | None = None,
    timeline: int = 1,
) -> list[Finding]:
    events = [*life(fault_s=10.0, timeline=timeline), FAULT, KEY_BEFORE, *more]
    asked = scenario(failover=expected, faults=(POWER_CUT,))
    return failover.check(run(operations or [], events=events, asked=asked))


@pytest.mark.parametrize(
    "sign",
    [
        event(28.5, "leader-key", holder=B, revision=3),
        event(28.5, "role", node=B, role="primary", timeline=2),
    ],
)
def test_another_leader_is_a_failover(sign: Event) -> None:
    assert _failover("must", KEY_GONE, sign) == []
    [finding] = _failover("must-not", KEY_GONE, sign)
    assert (finding.kind, finding.verdict) == (FindingKind.UNEXPECTED_FAILOVER, Verdict.INVALID)
    assert _failover("may", KEY_GONE, sign) == []


def test_who_acknowledges_counts_too() -> None:
    operations = [op("a", 1.0), op("b", 30.0, node=B, timeline=2)]
    assert _failover("must", operations=operations) == []
    assert _failover("must-not", operations=operations)


def test_a_key_that_goes_back_to_its_holder_is_no_failover() -> None:
    back = event(28.5, "leader-key", holder=A, revision=3)
    assert _failover("must-not", KEY_GONE, back) == []
    [finding] = _failover("must", KEY_GONE, back)
    assert (finding.kind, finding.verdict) == (FindingKind.MISSING_FAILOVER, Verdict.INVALID)


def test_a_new_timeline_on_the_same_node_is_unexpected_where_nothing_may_happen() -> None:
    operations = [op("a", 1.0), op("b", 30.0, timeline=2)]
    assert _failover("must-not", operations=operations, timeline=2)
    assert _failover("must", operations=operations, timeline=2)[0].verdict is Verdict.INVALID


def test_a_failover_is_not_missed_where_the_record_breaks_off() -> None:
    events = [event(0.0, "phase", phase="steady"), FAULT, KEY_BEFORE]
    [finding] = failover.check(run(events=events, asked=scenario(failover="must")))
    assert (finding.kind, finding.verdict) == (FindingKind.MISSING_FAILOVER, Verdict.UNKNOWN)
