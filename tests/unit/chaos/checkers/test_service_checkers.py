"""Service, load, stalls, recovery, failover, exits: what is accepted, what is rejected."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.evidence import tiny
from support.evidence.tiny import POWER_CUT, A, B, event, is_phase, life, op, run, scenario

from chaos.checkers import exits, failover, load, prediction, recovery, service, stalls
from chaos.checkers.base import TimingCheck
from chaos.checkers.exits import UNEXPECTED_EXIT
from chaos.checkers.failover import MISSING_FAILOVER, UNEXPECTED_FAILOVER
from chaos.checkers.load import LOAD_TOO_LOW
from chaos.checkers.prediction import PREDICTION_REFUTED
from chaos.checkers.recovery import STUCK_CLUSTER
from chaos.checkers.service import SERVICE_NOT_KEPT
from chaos.checkers.stalls import STALLED_LOAD
from chaos.evidence.events import Phase, ProcessEnded, RunEvent
from chaos.evidence.records import Operation, Stall
from chaos.evidence.run import Run
from chaos.faults.base import NO_PARAMS
from chaos.faults.targets import Target
from chaos.findings import Finding, Verdict
from chaos.scenarios.model import FaultStep
from chaos.timing import measure

FAULT = event(10.0, "fault", fault="host-power-cut", target=A)
STRUCK = [*life(fault_s=10.0), FAULT]


def timed(check: TimingCheck, judged: Run) -> list[Finding]:
    return check(judged, measure(judged))


def served(check: TimingCheck, judged: Run) -> list[Finding]:
    """With a third PostgreSQL: without A the others can serve."""
    return timed(check, tiny.with_third(judged))


def _outage(from_s: float, to_s: float) -> list[Operation]:
    """Load from 0 to 50 with nothing acknowledged in ``from_s..to_s``."""
    return [*tiny.load(0.0, from_s), *tiny.load(to_s, 50.0)]


def _service(operations: list[Operation], *, rto_s_max: float = 30.0) -> list[Finding]:
    return served(
        service.check, run(operations, events=STRUCK, asked=scenario(rto_s_max=rto_s_max))
    )


def test_service_without_a_gap_and_service_back_in_time_are_accepted() -> None:
    assert _service(tiny.load(0.0, 50.0)) == []
    assert _service(_outage(10.0, 32.0)) == []


def test_service_back_too_late_is_a_finding() -> None:
    [finding] = _service(_outage(10.0, 32.0), rto_s_max=20.0)
    assert (finding.kind, finding.verdict) == (SERVICE_NOT_KEPT, Verdict.INVALID)
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
    assert served(service.check, run(operations, events=broken_off)) == []
    [finding] = served(
        service.check, run(operations, events=broken_off, asked=scenario(rto_s_max=5.0))
    )
    assert finding.verdict is Verdict.INVALID


def test_a_history_that_was_cut_short_proves_no_silence_after_its_last_line() -> None:
    hanging = [*tiny.load(0.0, 10.0), op("w", 10.0, outcome="info", ended=False)]
    died = ProcessEnded(t_s=48.0, host="app-paris", process="load", status=-9, expected=False)
    judged = run(hanging, events=[*life(fault_s=10.0), FAULT, died], complete=False)
    [finding] = served(service.check, judged)
    assert (finding.kind, finding.verdict) == (SERVICE_NOT_KEPT, Verdict.UNKNOWN)
    as_it_should = replace(died, status=0, expected=True)
    lines_lost = run(hanging, events=[*life(fault_s=10.0), FAULT, as_it_should], complete=False)
    assert served(service.check, lines_lost) == []


def test_every_site_is_judged_on_its_own() -> None:
    operations = [*_outage(10.0, 45.0), *tiny.load(0.0, 50.0, site="orsay")]
    [finding] = _service(operations)
    assert finding.evidence[0]["site"] == "paris"


CUT_OFF = [
    *life(fault_s=10.0),
    event(-1.0, "leader-key", holder=A, revision=1),
    event(10.0, "fault", fault="site-cut", target="paris"),
    event(38.0, "heal", fault="site-cut", target="paris"),
]
"""The primary's site, of three, is cut off from 10 to 38 s."""


def _cut_off(
    *operations: Operation, events: list[RunEvent] = CUT_OFF, rto_s_max: float = 25.0
) -> list[Finding]:
    """Findings on paris, which is cut off, and orsay, which is not."""
    judged = run(operations, events=events, asked=scenario(rto_s_max=rto_s_max))
    return timed(service.check, tiny.with_three_sites(judged))


def _orsay(from_s: float, to_s: float) -> list[Operation]:
    return [*tiny.load(0.0, from_s, site="orsay"), *tiny.load(to_s, 50.0, site="orsay", node=B)]


def test_a_site_that_cannot_be_served_owes_nothing_until_the_heal() -> None:
    assert _cut_off(*_outage(10.0, 41.0), *_orsay(10.0, 31.0)) == []


def test_the_other_sites_owe_their_service_meanwhile() -> None:
    [finding] = _cut_off(*_outage(10.0, 41.0), *_orsay(10.0, 36.0))
    assert (finding.verdict, finding.evidence[0]["site"]) == (Verdict.INVALID, "orsay")
    assert finding.summary == (
        "orsay was without acknowledged write for 26.10 s; allowed are 25 s."
    )


def test_a_site_that_was_joined_again_owes_its_service_within_the_limit_of_recovery() -> None:
    late = [op(f"late-{n}", 59.0 + n, site="paris") for n in range(3)]
    events = [found for found in CUT_OFF if found.t_s < 50.0]
    events += [event(62.0, "phase", phase="quiesce"), event(63.0, "phase", phase="done")]
    orsay = [*_orsay(10.0, 31.0), *tiny.load(50.0, 62.0, site="orsay", node=B)]
    [finding] = _cut_off(*tiny.load(0.0, 10.0), *late, *orsay, events=events)
    assert finding.summary == (
        "paris was without acknowledged write for 21.01 s after everything was healed; allowed are "
        "20 s (recovery_s_max)."
    )
    assert finding.evidence[0]["recovery_s_max"] == 20.0
    assert "cannot reach the side" in str(finding.evidence[0]["could_not_be_served"])


def test_a_site_that_was_without_service_before_it_was_cut_off_is_not_excused() -> None:
    late = [found for found in CUT_OFF if found.t_s not in {10.0, 38.0}]
    late += [event(30.0, "fault", fault="site-cut", target="paris")]
    late += [event(38.0, "heal", fault="site-cut", target="paris")]
    [finding] = _cut_off(*_outage(3.0, 41.0), *_orsay(10.0, 31.0), events=late)
    assert (finding.evidence[0]["site"], finding.evidence[0]["to_s"]) == ("paris", 30.0)


def test_a_site_that_is_not_served_after_the_heal_is_a_finding_even_within_the_limit() -> None:
    waiting = op("w", 39.0, outcome="info", ended=False)
    [finding] = _cut_off(*tiny.load(0.0, 10.0), waiting, *_orsay(10.0, 31.0))
    assert finding.summary == "paris was without service when the load ended."


def test_a_load_that_ended_while_its_site_was_cut_off_is_no_finding() -> None:
    never_healed = [found for found in CUT_OFF if found.t_s != 38.0]
    waiting = op("w", 11.0, outcome="info", ended=False)
    assert _cut_off(*tiny.load(0.0, 10.0), waiting, *_orsay(10.0, 31.0), events=never_healed) == []


def test_a_loss_that_the_topology_does_not_tolerate_is_demanded_from_the_heal_on() -> None:
    """Both replicas are silent: nobody acknowledges, whatever ``rto_s_max`` says."""
    silent = [event(10.0, "fault", fault="link-cut", target=host) for host in (B, "db-lyon")]
    one_back = [event(30.0, "heal", fault="link-cut", target=B)]
    both_back = [*one_back, event(30.0, "heal", fault="link-cut", target="db-lyon")]
    before = [*life(fault_s=10.0), event(-1.0, "leader-key", holder=A, revision=1), *silent]

    def found(back: list[RunEvent], again_s: float) -> list[Finding]:
        served = [*_outage(10.0, again_s), *_orsay(10.0, 31.0)]
        return _cut_off(*served, events=[*before, *back], rto_s_max=5.0)

    assert found(both_back, 40.0) == []
    assert found(one_back, 34.0) == []
    [finding] = found(one_back, 40.0)  # one replica is enough: the service is due as ever
    assert "allowed are 5 s" in finding.summary


def test_the_rto_is_that_of_the_sites_that_could_be_served() -> None:
    lyon = tiny.load(0.0, 50.0, site="lyon", node="db-lyon")
    judged = run([*_outage(10.0, 41.0), *_orsay(10.0, 31.0), *lyon], events=CUT_OFF)
    timing = measure(tiny.with_three_sites(judged))
    assert (timing.rto_site, timing.rto_s) == ("orsay", pytest.approx(21.1, abs=0.1))
    assert timing.unservable_outage_s == pytest.approx(31.1, abs=0.1)
    by_site = {site.site: site for site in timing.sites}
    assert [by_site[name].could_be_served for name in ("paris", "orsay")] == [False, True]


def test_a_load_far_below_the_asked_rate_leaves_the_drill_open() -> None:
    operations = tiny.load(0.0, 50.0)
    assert timed(load.check, run(operations, settings={"rate_per_s": 12})) == []
    [finding] = timed(load.check, run(operations, settings={"rate_per_s": 13}))
    assert (finding.kind, finding.verdict) == (LOAD_TOO_LOW, Verdict.UNKNOWN)


def _stalls(
    operations: list[Operation],
    *found: tuple[float, float],
    rto_s_max: float = 30.0,
    events: list[RunEvent] | None = None,
) -> list[Finding]:
    """Findings on stalls that ended at a moment and lasted some seconds."""
    return served(
        stalls.check,
        run(
            operations,
            events=STRUCK if events is None else events,
            stalls=[Stall(site="paris", t_s=t_s, stall_s=stall_s) for t_s, stall_s in found],
            asked=scenario(rto_s_max=rto_s_max),
        ),
    )


def test_stalls_far_from_the_outage_or_small_beside_it_are_only_counted() -> None:
    outage = _outage(10.0, 32.0)
    assert _stalls(outage, (5.0, 3.0)) == []
    assert _stalls(outage, (20.0, 1.0), (31.9, 0.5)) == []
    assert _stalls(outage, *((10.0 + index, 0.2) for index in range(20))) == []


def test_stalls_of_more_than_a_tenth_of_the_outage_blur_it() -> None:
    [finding] = _stalls(_outage(10.0, 32.0), (20.0, 1.2), (32.0, 1.2))
    assert (finding.kind, finding.verdict) == (STALLED_LOAD, Verdict.UNKNOWN)


def test_half_a_second_beside_a_short_outage_is_told_and_no_more() -> None:
    outage = _outage(10.0, 12.2)
    assert _stalls(outage, (12.2, 0.4)) == []
    assert _stalls(outage, (11.0, 0.3), (12.2, 0.3))
    assert _stalls(outage, (12.2, 0.4), rto_s_max=2.0)  # which of them kept the limit, is open
    stalls_there = [Stall(site="paris", t_s=12.2, stall_s=0.4)]
    [paris, *_] = measure(run(outage, events=STRUCK, stalls=stalls_there)).sites
    assert (paris.outage_s, paris.outage_blur_s) == (pytest.approx(2.2, abs=0.1), 0.4)


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
    assert served(service.check, judged) == []
    [finding] = served(stalls.check, judged)
    assert finding.verdict is Verdict.UNKNOWN


def test_a_stall_without_any_fault_is_a_trifle_below_the_limit() -> None:
    assert _stalls(_outage(20.0, 20.5), (20.5, 0.5), rto_s_max=2.0, events=life()) == []


def test_recovery_in_time_is_accepted() -> None:
    assert recovery.check(run()) == []


def test_a_cluster_that_did_not_settle_is_stuck() -> None:
    [finding] = recovery.check(run(events=life(settled=False)))
    assert (finding.kind, finding.verdict) == (STUCK_CLUSTER, Verdict.INVALID)


def test_a_stuck_cluster_says_what_was_missing() -> None:
    missing = "db-orsay does not stream"
    events = [*life(settled=False), event(49.0, "not-whole", missing=missing)]
    [finding] = recovery.check(run(events=events))
    assert missing in finding.summary


def test_a_cluster_that_settled_too_late_is_stuck() -> None:
    events = [*life(settled=False), event(49.0, "settled", timeline=1)]
    assert recovery.check(run(events=events)) == []
    late = [found for found in life(settled=False) if not is_phase(found, Phase.RECOVERY)]
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
    assert (finding.kind, finding.verdict) == (UNEXPECTED_EXIT, Verdict.INVALID)
    assert len(finding.evidence) == 1


KEY_BEFORE = event(-1.0, "leader-key", holder=A, revision=1)
KEY_GONE = event(28.0, "leader-key", holder=None, revision=2)


def _failover(
    expected: tiny.Failover,
    *more: RunEvent,
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
def test_another_leader_is_a_failover(sign: RunEvent) -> None:
    assert _failover("must", KEY_GONE, sign) == []
    [finding] = _failover("must-not", KEY_GONE, sign)
    assert (finding.kind, finding.verdict) == (UNEXPECTED_FAILOVER, Verdict.INVALID)
    assert _failover("may", KEY_GONE, sign) == []


def test_who_acknowledges_counts_too() -> None:
    operations = [op("a", 1.0), op("b", 30.0, node=B, timeline=2)]
    assert _failover("must", operations=operations) == []
    assert _failover("must-not", operations=operations)


def test_a_key_that_goes_back_to_its_holder_is_no_failover() -> None:
    back = event(28.5, "leader-key", holder=A, revision=3)
    assert _failover("must-not", KEY_GONE, back) == []
    [finding] = _failover("must", KEY_GONE, back)
    assert (finding.kind, finding.verdict) == (MISSING_FAILOVER, Verdict.INVALID)


def test_a_new_timeline_on_the_same_node_is_unexpected_where_nothing_may_happen() -> None:
    operations = [op("a", 1.0), op("b", 30.0, timeline=2)]
    assert _failover("must-not", operations=operations, timeline=2)
    assert _failover("must", operations=operations, timeline=2)[0].verdict is Verdict.INVALID


def test_a_failover_that_must_wait_for_the_heal() -> None:
    """``not-while-broken``: of who takes the lead after the heal nobody complains."""
    sign = event(28.5, "leader-key", holder=B, revision=3)
    early, late = (event(t_s, "heal", fault="host-power-cut", target=A) for t_s in (28.0, 29.0))
    assert _failover("not-while-broken", KEY_GONE, sign, early) == []
    for heal in ([], [late]):
        [finding] = _failover("not-while-broken", KEY_GONE, sign, *heal)
        assert (finding.kind, finding.verdict) == (UNEXPECTED_FAILOVER, Verdict.INVALID)


def test_a_failover_is_not_missed_where_the_record_breaks_off() -> None:
    events = [event(0.0, "phase", phase="steady"), FAULT, KEY_BEFORE]
    [finding] = failover.check(run(events=events, asked=scenario(failover="must")))
    assert (finding.kind, finding.verdict) == (MISSING_FAILOVER, Verdict.UNKNOWN)


def _with_two_left(
    operations: list[Operation], events: list[RunEvent], *, third: bool
) -> list[Finding]:
    judged = run(operations, events=events, asked=scenario(faults=(POWER_CUT,), rto_s_max=120.0))
    return timed(prediction.check, tiny.with_third(judged) if third else judged)


HEALED = [*STRUCK, event(42.0, "heal", fault="host-power-cut", target=A)]


def test_service_where_there_could_be_none_is_a_disagreement() -> None:
    """Two PostgreSQL, one of them lost: the other cannot acknowledge before the heal."""
    assert _with_two_left(_outage(10.0, 45.0), HEALED, third=False) == []
    [finding] = _with_two_left(_outage(10.0, 32.0), HEALED, third=False)
    assert (finding.kind, finding.verdict) == (PREDICTION_REFUTED, Verdict.UNKNOWN)
    assert "there could be no service before the heal" in finding.summary
    assert "only one can be reached" in str(finding.evidence[0]["why"])
    asked = [*_outage(10.0, 45.0), op("r", 9.9, took_s=25.0, attempt_s=30.0, resolved=True)]
    assert _with_two_left(asked, HEALED, third=False) == []


def test_no_service_where_there_should_have_been_some_is_a_disagreement() -> None:
    """Three PostgreSQL: service is due after 29 s, the heal came after 32."""
    assert _with_two_left(_outage(10.0, 32.0), HEALED, third=True) == []
    [finding] = _with_two_left(_outage(10.0, 45.0), HEALED, third=True)
    assert "service was due 29 s after the fault at the latest" in finding.summary
    early = [*STRUCK, event(30.0, "heal", fault="host-power-cut", target=A)]
    assert _with_two_left(_outage(10.0, 45.0), early, third=True) == []  # nobody waited for it


def test_of_a_site_that_is_cut_off_only_its_own_service_is_predicted_away() -> None:
    cut = FaultStep(
        fault="site-cut", target=Target(selector="site", name="orsay"), at_s=0.0, params=NO_PARAMS
    )
    struck = [
        *life(fault_s=10.0),
        event(9.0, "leader-key", holder=A, revision=1),
        event(10.0, "fault", fault="site-cut", target="orsay"),
        event(42.0, "heal", fault="site-cut", target="orsay"),
    ]
    served = [
        *tiny.load(0.0, 50.0),
        *tiny.load(0.0, 9.9, site="orsay"),
        *tiny.load(43.0, 50.0, site="orsay"),
    ]

    def found(*more: Operation) -> list[Finding]:
        asked = scenario(faults=(cut,), rto_s_max=120.0)
        judged = run([*served, *more], events=struck, asked=asked)
        return timed(prediction.check, tiny.with_third(judged))

    assert found() == []
    [finding] = found(op("there", 30.0, site="orsay"))
    assert finding.kind is PREDICTION_REFUTED
    assert finding.evidence[0]["site"] == "orsay"
