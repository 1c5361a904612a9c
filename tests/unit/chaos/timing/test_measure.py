"""Outages by site, RTO and its phases, availability, latency, WAL lost, and the prediction."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.evidence import tiny
from support.evidence.tiny import POWER_CUT, A, B, event, life, op, run, scenario

from chaos.evidence.events import ProcessEnded, RoleSeen, RunEvent
from chaos.evidence.records import Operation, SiteHistory
from chaos.timing import RTO_PHASES, Timing, measure
from chaos.timing.durations import PROXY_DELAY_S
from chaos.timing.load import percentile

FAULT = event(10.0, "fault", fault="host-power-cut", target=A)
FAILED_OVER = [
    *life(fault_s=10.0, timeline=2),
    FAULT,
    event(-1.0, "leader-key", holder=A),
    event(28.0, "leader-key", holder=None),
    event(28.5, "leader-key", holder=B),
    event(30.0, "role", node=B, role="primary"),
]


def _two_sites(back_s: float = 33.0) -> list[Operation]:
    """Load at both sites; paris is served again at 32, orsay at ``back_s``."""
    return [
        *tiny.load(0.0, 10.0),
        *tiny.load(32.0, 50.0, node=B, timeline=2),
        *tiny.load(0.0, 10.0, site="orsay"),
        *tiny.load(back_s, 50.0, site="orsay", node=B, timeline=2),
    ]


def _measured(operations: list[Operation], events: list[RunEvent] | None = None) -> Timing:
    asked = scenario(faults=(POWER_CUT,))
    found = FAILED_OVER if events is None else events
    return measure(tiny.with_third(run(operations, events=found, asked=asked)))


def test_the_rto_is_the_longest_outage_of_a_site() -> None:
    timing = _measured(_two_sites())
    paris, orsay = timing.sites
    assert (paris.site, orsay.site) == ("paris", "orsay")
    assert paris.outage_s == pytest.approx(32.005 - 9.905)
    assert orsay.outage_s == pytest.approx(33.005 - 9.905)
    assert (timing.rto_s, timing.rto_site) == (orsay.outage_s, "orsay")
    assert orsay.last_acknowledged_before_s == pytest.approx(9.905)
    assert orsay.first_acknowledged_after_s == pytest.approx(33.005)
    assert timing.fault_s == 10.0


def test_the_phases_follow_each_other_and_add_up() -> None:
    phases = _measured(_two_sites()).rto_phases_s
    assert tuple(phases) == tuple(one for one in RTO_PHASES if one != "to_decision_by_hand")
    assert list(phases.values()) == pytest.approx([18.0, 0.5, 1.5, 3.005])
    assert sum(phases.values()) == pytest.approx(33.005 - 10.0)


def test_a_process_that_came_back_in_place_has_one_phase() -> None:
    events = [*life(fault_s=10.0), FAULT, event(-1.0, "leader-key", holder=A)]
    operations = [*tiny.load(0.0, 10.0), *tiny.load(15.0, 50.0)]
    assert dict(_measured(operations, events).rto_phases_s) == {
        "to_first_acknowledged": pytest.approx(5.005)
    }


def test_an_operators_decision_is_a_part_of_its_own() -> None:
    """A standby cluster has had its leader key all along: nobody takes one."""
    decided = event(25.0, "fault", fault="promote-standby", target="cluster")
    promoted = event(26.0, "role", node=B, role="primary")
    operations = [*tiny.load(0.0, 10.0), *tiny.load(28.0, 50.0)]
    phases = _measured(operations, [*life(fault_s=10.0), FAULT, decided, promoted]).rto_phases_s
    assert dict(phases) == {
        "to_decision_by_hand": pytest.approx(15.0),
        "to_promoted": pytest.approx(1.0),
        "to_first_acknowledged": pytest.approx(2.005),
    }


def test_a_promotion_that_was_seen_late_is_proved_by_an_acknowledgement() -> None:
    late = [e for e in FAILED_OVER if not isinstance(e, RoleSeen)]
    late.append(event(33.5, "role", node=B, role="primary"))
    phases = _measured(_two_sites(), late).rto_phases_s
    assert phases["to_promoted"] == pytest.approx(32.005 - 28.5)
    assert all(part_s >= 0 for part_s in phases.values())
    assert sum(phases.values()) == pytest.approx(23.005)


def test_a_site_that_is_never_served_again_has_no_rto() -> None:
    operations = [
        *tiny.load(0.0, 10.0),
        op("waiting", 10.1, outcome="info", ended=False),
        *tiny.load(0.0, 50.0, site="orsay"),
    ]
    timing = _measured(operations)
    paris, orsay = timing.sites
    assert not paris.served_again
    assert paris.outage_s is None
    assert orsay.served_again
    assert timing.rto_s is None
    assert "to_first_acknowledged" not in timing.rto_phases_s


def test_without_a_fault_there_is_no_outage() -> None:
    timing = _measured([*tiny.load(0.0, 20.0), *tiny.load(25.0, 50.0)], life())
    [paris] = timing.sites
    assert (timing.rto_s, timing.fault_s, paris.outage_s) == (None, None, None)
    assert paris.longest_gap is not None
    assert paris.longest_gap.gap_s == pytest.approx(5.1)


def test_a_gap_before_the_fault_is_no_outage() -> None:
    operations = [*tiny.load(0.0, 2.0), *tiny.load(8.0, 10.0), *tiny.load(12.0, 50.0)]
    assert _measured(operations).rto_s == pytest.approx(2.1)


def test_of_two_faults_the_one_next_to_the_outage_began_it() -> None:
    events = [
        *life(fault_s=10.0),
        event(10.0, "fault", fault="link-cut", target=B),
        event(14.0, "fault", fault="host-power-cut", target=A),
    ]
    timing = _measured([*tiny.load(0.0, 14.1), *tiny.load(34.0, 50.0)], events)
    assert timing.fault_s == 14.0


def test_a_fault_during_the_outage_did_not_begin_it() -> None:
    events = [
        *life(fault_s=9.8),
        event(9.8, "fault", fault="host-power-cut", target=A),
        event(15.0, "fault", fault="link-cut", target=B),
    ]
    timing = _measured([*tiny.load(0.0, 10.0), *tiny.load(34.0, 50.0)], events)
    assert timing.fault_s == 9.8


def test_a_site_without_service_at_the_end_outweighs_a_longer_outage() -> None:
    operations = [
        *_two_sites(),
        *tiny.load(0.0, 40.0, site="toul"),
        op("waiting", 40.0, site="toul", outcome="info", ended=False),
    ]
    timing = _measured(operations)
    assert (timing.rto_site, timing.rto_s) == ("toul", None)


def test_who_still_waits_when_others_are_served_after_the_end_waits_for_work_of_his_own() -> None:
    long_work = op("steward", 45.0, took_s=12.0, outcome="info")
    [paris] = _measured([*tiny.load(0.0, 49.9), op("last", 49.95, took_s=0.06), long_work]).sites
    assert (paris.served_again, paris.due_at_end) == (True, True)
    [paris] = _measured([*tiny.load(0.0, 48.5), long_work]).sites
    assert paris.served_again is False


def test_availability_counts_the_gaps_that_users_notice() -> None:
    whole = _measured(tiny.load(0.0, 50.0)).sites[0]
    short = _measured([*tiny.load(0.0, 20.0), *tiny.load(20.7, 50.0)]).sites[0]
    long = _measured([*tiny.load(0.0, 20.0), *tiny.load(29.9, 50.0)]).sites[0]
    assert whole.availability == short.availability == 1.0
    assert long.availability == pytest.approx(0.8)


def test_rate_and_latency_are_those_of_the_steady_phase() -> None:
    operations = [op(f"e{i}", i * 0.1, took_s=0.001 * (i + 1)) for i in range(100)]
    slow = op("slow", 20.0, took_s=9.0)
    [paris] = _measured([*operations, slow]).sites
    assert (paris.p50_ms, paris.p99_ms) == (pytest.approx(50.0), pytest.approx(99.0))
    assert paris.steady_rate_per_s == pytest.approx(10.0, rel=0.02)


def test_percentiles_are_nearest_rank() -> None:
    assert percentile([], 0.5) is None
    assert percentile([7.0], 0.99) == 7.0
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.5) == 2.0


def _lost_wal_bytes(*operations: Operation, ended: bool = True) -> int | None:
    ends = [event(44.0, "timeline", timeline=1, end_lsn="0/C8")] if ended else []
    return measure(run(operations, events=[*life(timeline=2), *ends])).lost_wal_bytes


def test_wal_that_was_acknowledged_beyond_the_end_of_its_timeline_is_lost() -> None:
    assert _lost_wal_bytes(op("a", 1.0, lsn=199), op("b", 2.0, timeline=2, lsn=900)) == 0
    assert _lost_wal_bytes(op("a", 1.0, lsn=260), op("b", 2.0, timeline=2, lsn=900)) == 60
    assert _lost_wal_bytes(op("a", 1.0, lsn=260), ended=False) is None


STEADY = event(0.0, "phase", phase="steady")
HANGING = op("waiting", 10.05, outcome="info", ended=False)


def _load_exit(t_s: float, *, expected: bool = True) -> RunEvent:
    return ProcessEnded(t_s=t_s, host="app-paris", process="load", status=-9, expected=expected)


def _broken_off(*events: RunEvent, operations: list[Operation] | None = None) -> Timing:
    """Only paris; its history was cut short."""
    found = [*tiny.load(0.0, 10.0), HANGING] if operations is None else operations
    asked = scenario(faults=(POWER_CUT,))
    return measure(run(found, events=[STEADY, FAULT, *events], asked=asked, complete=False))


def test_a_run_broken_off_in_the_outage_has_an_outage_that_did_not_end() -> None:
    for end in (event(18.0, "interrupted", reason="SIGINT"), _load_exit(18.0)):
        timing = _broken_off(end)
        [paris] = timing.sites
        assert timing.rto_s is None
        assert (paris.outage_s, paris.served_again) == (None, False)
        assert paris.longest_gap is not None
        assert paris.longest_gap.gap_s == pytest.approx(18.0 - 9.905)
        assert paris.availability == pytest.approx(9.905 / 18.0)
    healed_since = [_load_exit(18.0), event(25.0, "interrupted", reason="SIGINT")]
    assert _broken_off(*healed_since).load_end_s == 18.0


def test_a_record_that_ends_with_the_fault_tells_nothing_of_the_outage() -> None:
    timing = _broken_off()
    [paris] = timing.sites
    assert (timing.rto_s, paris.outage_s) == (None, None)
    assert (paris.served_again, paris.availability) == (None, None)
    assert timing.rto_phases_s == {}


def test_an_outage_that_was_over_before_the_run_broke_off_is_known() -> None:
    operations = [*tiny.load(0.0, 10.0), *tiny.load(32.0, 40.0, node=B, timeline=2)]
    timing = _broken_off(event(40.0, "interrupted", reason="SIGINT"), operations=operations)
    assert timing.rto_s == pytest.approx(22.1)
    assert timing.sites[0].served_again is True


def test_the_longest_outage_is_not_known_while_that_of_one_site_is_not() -> None:
    whole = run(_two_sites(), events=FAILED_OVER, asked=scenario(faults=(POWER_CUT,)))
    gone = measure(replace(whole, histories=whole.histories[:1]))
    assert gone.rto_s is None
    assert [site.availability is None for site in gone.sites] == [False, True]


def test_no_load_at_all_measures_nothing() -> None:
    timing = measure(run([]))
    [paris] = timing.sites
    assert (paris.operations, paris.availability, paris.served_again) == (0, None, None)
    assert timing.rto_s is None
    assert measure(run([], reads=[], events=[])).lost_wal_bytes is None


def test_the_prediction_goes_by_the_settings_in_force() -> None:
    events = [*FAILED_OVER, event(-0.5, "settings", ttl_s=30, loop_wait_s=10)]
    prediction = _measured(_two_sites(), events).prediction
    assert prediction is not None
    assert (prediction.low_s, prediction.high_s) == (20.0, 39.0)


def test_the_prediction_knows_the_topology_and_who_led() -> None:
    two_nodes = run(_two_sites(), events=FAILED_OVER, asked=scenario(faults=(POWER_CUT,)))
    prediction = measure(two_nodes).prediction
    assert prediction is not None
    assert prediction.service == "none-until-healed"
    assert prediction.low_s == 30.0  # the drill's patience: rto_s_max
    assert "of 2 PostgreSQL only one can be reached" in prediction.words


def _direct(back_s: float | None) -> SiteHistory:
    """Paris' writes straight to the members: without service from 10 to ``back_s``, or for good."""
    after = [] if back_s is None else tiny.load(back_s, 50.0, every_s=0.2, node=B, timeline=2)
    waiting = [] if back_s is not None else [op("paris-direct", 10.1, took_s=40.0, outcome="info")]
    operations = (*tiny.load(0.0, 10.0, every_s=0.2), *after, *waiting)
    return SiteHistory(site="paris", operations=operations, complete=True)


@pytest.mark.parametrize(("back_s", "outage_s"), [(30.0, 30.005 - 9.805), (None, None)])
def test_writes_straight_to_the_members_are_measured_apart(
    back_s: float | None, outage_s: float | None
) -> None:
    asked = scenario(faults=(POWER_CUT,))
    plain = tiny.with_third(run(_two_sites(), events=FAILED_OVER, asked=asked))
    timing = measure(replace(plain, direct=(_direct(back_s),)))
    [direct] = timing.direct
    assert direct.site == "paris"
    assert timing.direct_rto_s == (outage_s and pytest.approx(outage_s))
    assert replace(timing, direct=(), direct_rto_s=None) == measure(plain)


def test_through_a_proxy_more_is_predicted() -> None:
    asked = scenario(faults=(POWER_CUT,))
    direct = _measured(_two_sites()).prediction
    found = tiny.with_third(
        run(
            _two_sites(),
            events=FAILED_OVER,
            asked=replace(asked, through="haproxy"),
            settings={PROXY_DELAY_S: 6},
        )
    )
    behind = measure(found).prediction
    assert direct is not None
    assert behind is not None
    assert (behind.low_s, behind.high_s) == (direct.low_s, direct.high_s + 6)
    assert "the proxy leads to the new primary up to 6 s later" in behind.words
