"""The registry: the evidence is whole, a crash is an answer, every kind of finding has a finder."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from support.evidence import tiny
from support.evidence.accesses import (
    ESCAPE,
    OWN,
    answer,
    fingerprint,
    with_access,
    with_answers,
    with_print,
    withdrawn_run,
)
from support.evidence.counted import added, counting
from support.evidence.elements import element, growing, looking
from support.evidence.forked import forking, single, whole
from support.evidence.listed import LONG_FORK, listed, near, txn
from support.evidence.marks import look, mark, with_reads
from support.evidence.registered import reading, registered, writing
from support.evidence.streams import stream, with_reader
from support.evidence.takers import taker, taking
from support.evidence.tiny import POWER_CUT, A, B, event, is_phase, life, op, read, run, scenario
from support.evidence.trails import asked_run, weekly, with_value
from support.evidence.warehoused import bad_warehouse

from chaos.checkers import completeness, needs
from chaos.checkers.base import Checker
from chaos.checkers.dead_timeline import DEAD_TIMELINE
from chaos.checkers.duplicates import DUPLICATE
from chaos.checkers.lost import LOST_WRITE
from chaos.checkers.registry import CHECKERS, FINDINGS, checkers_of
from chaos.evidence.events import Phase, RoleSeen, RunEvent, SettingsFound
from chaos.evidence.rebuilds import Rebuild
from chaos.evidence.records import FinalRead, LedgerRow, Scalar, Stall
from chaos.evidence.restores import Restore, RestoreRecord
from chaos.evidence.run import Run
from chaos.findings import CHECKER_CRASHED, INCOMPLETE_EVIDENCE, Finding, Verdict
from chaos.judge.judging import judge
from chaos.scenarios.model import WorkloadSpec
from chaos.timing import Timing
from chaos.workloads.bulk import BulkOptions
from chaos.workloads.registry import WORKLOADS
from chaos.workloads.transfers import TransfersOptions

SPECIAL = {"shared-units", "stale-reads", "read-service", "restore", "restored"} | {
    "seals",
    "doors",
    "powers",
    "withdrawal",
    "trail",
    "trail-values",
    "retention",
}
"""Those that are asked only where the load, or the scenario's probes, did what they judge."""

LEDGERS = [one for one in checkers_of("ledger") if one.name not in SPECIAL]
"""Those that judge a run without shared units, without reads, and in which nothing was restored."""


def _good() -> Run:
    return run([*tiny.load(0.0, 50.0), *tiny.load(0.0, 50.0, site="orsay")])


def test_a_run_in_which_all_is_well_is_valid_and_every_checker_says_so() -> None:
    judgement = judge(_good())
    assert judgement.verdict is Verdict.VALID
    assert judgement.findings == ()
    assert [result.name for result in judgement.results] == [checker.name for checker in LEDGERS]


def test_names_of_checkers_are_unique() -> None:
    assert len({checker.name for checker in CHECKERS}) == len(CHECKERS)


def _without(judged: Run, gone: type[RunEvent] | Phase) -> Run:
    """The run without the events of a kind, or without that phase."""
    kept = [
        one
        for one in judged.events
        if not (is_phase(one, gone) if isinstance(gone, Phase) else isinstance(one, gone))
    ]
    return replace(judged, events=tuple(kept))


def _silent(judged: Run) -> set[str]:
    """The checkers that could not look."""
    results = judge(judged).results
    assert all(result.verdict is not Verdict.VALID for result in results if result.unseen)
    return {result.name for result in results if result.unseen}


def test_a_checker_that_could_not_look_does_not_say_valid() -> None:
    good = _good()
    assert _silent(good) == set()
    everything = {checker.name for checker in LEDGERS} - {"completeness"}
    assert _silent(replace(good, events=(), histories=(), final_reads=())) == everything
    reads = {"lost-entries", "phantom-entries", "duplicates", "divergence"}
    assert _silent(replace(good, final_reads=())) == reads
    of_histories = {
        "lost-entries",
        "phantom-entries",
        "split-brain",
        "dead-timeline",
        "service",
        "prediction",
        "in-doubt",
        "load",
        "instrument",
    }
    assert _silent(replace(good, histories=good.histories[:1])) == of_histories
    assert _silent(_without(good, SettingsFound)) == {"settings"}
    assert _silent(_without(good, RoleSeen)) == {"failover"}


def test_what_could_not_be_looked_at_makes_the_drill_unknown_by_itself() -> None:
    lame = Checker(name="lame", question="?", check=lambda run: [], needs=(needs.one_primary,))
    judgement = judge(replace(_good(), final_reads=()), [lame])
    assert judgement.findings == ()
    assert judgement.verdict is Verdict.UNKNOWN


def _gaps(judged: Run) -> list[object]:
    [finding] = completeness.check(judged)
    assert (finding.kind, finding.verdict) == (INCOMPLETE_EVIDENCE, Verdict.UNKNOWN)
    return [gap["what"] for gap in finding.evidence]


def test_every_gap_of_the_evidence_is_named() -> None:
    good = _good()
    struck = replace(good, info=replace(good.info, scenario=scenario(faults=(POWER_CUT,))))
    cut = tuple(replace(history, complete=False) for history in good.histories)
    idle = tuple(replace(history, operations=()) for history in good.histories[:1])
    assert completeness.check(good) == []
    assert _gaps(replace(good, damage=("final-x.jsonl: no header",))) == [
        "final-x.jsonl: no header"
    ]
    assert _gaps(replace(good, histories=good.histories[:1])) == ["no history of orsay"]
    assert _gaps(replace(good, histories=cut))[0] == "the history of paris was cut short"
    assert "the load process of paris did nothing" in _gaps(replace(good, histories=idle))
    assert _gaps(replace(good, final_reads=good.final_reads[:1])) == [f"no final read of {B}"]
    assert _gaps(struck) == ["the fault host-power-cut of the scenario never struck"]
    assert _gaps(replace(good, events=good.events[:-1])) == [
        "the drill did not come to its end (no phase done)"
    ]
    assert _gaps(_without(good, Phase.STEADY)) == ["no steady phase"]
    assert _gaps(_without(good, SettingsFound)) == ["the settings in force are not on record"]


def test_an_interrupted_drill_is_unknown() -> None:
    good = _good()
    stopped = replace(good, events=(*good.events, event(60.0, "interrupted", reason="SIGINT")))
    [finding] = completeness.check(stopped)
    assert finding.verdict is Verdict.UNKNOWN
    assert "SIGINT" in finding.summary


def test_asynchronous_by_option_is_judged_by_the_same_expectations() -> None:
    # bascule drill host-loss --durability async: the scenario says quorum and nothing lost.
    off: dict[str, Scalar] = {"synchronous_mode": "off", "synchronous_standby_names": ""}
    events = [e for e in life(fault_s=10.0, timeline=2) if not isinstance(e, SettingsFound)]
    events += [
        tiny.settings_event(**off),
        event(10.0, "fault", fault="host-power-cut", target=A),
        event(44.0, "timeline", timeline=1, end_lsn="0/64"),
    ]
    lost = op("last", 9.95, lsn=100)
    operations = [*tiny.load(0.0, 9.9), lost, *tiny.load(32.0, 50.0, node=B, timeline=2)]
    operations = [
        replace(o, lsn=50) if o.timeline == 1 and o is not lost else o for o in operations
    ]
    kept = [o.id for o in operations if o is not lost]
    judged = run(
        operations,
        events=events,
        reads=[read(A, kept, timeline=2), read(B, kept, primary=True, timeline=2)],
        asked=scenario(faults=(POWER_CUT,)),
        settings={"durability": "async"},
    )
    judgement = judge(judged)
    assert [(f.kind, f.verdict) for f in judgement.findings] == [
        (LOST_WRITE, Verdict.INVALID),
        (DEAD_TIMELINE, Verdict.INVALID),
    ]
    assert [proof["id"] for proof in judgement.findings[0].evidence] == ["last"]


def _crash(run: Run) -> list[Finding]:
    raise ZeroDivisionError("one by nothing")


def test_a_checker_that_crashes_says_unknown_and_stops_nobody() -> None:
    crashing = Checker(name="crashing", question="Nothing.", check=_crash)
    judgement = judge(_good(), [crashing, *LEDGERS])
    assert judgement.verdict is Verdict.UNKNOWN
    assert len(judgement.results) == 1 + len(LEDGERS)
    assert {finding.checker for finding in judgement.findings} == {"crashing"}
    [finding] = judgement.findings
    assert finding.kind is CHECKER_CRASHED
    assert finding.evidence[0]["error"] == "ZeroDivisionError: one by nothing"


def test_a_crash_does_not_hide_what_others_found() -> None:
    lost = run([op("a", 1.0)], reads=[read(A, "", primary=True), read(B, "")])
    crashing = Checker(name="crashing", question="Nothing.", check=_crash)
    judgement = judge(lost, [crashing, *LEDGERS])
    assert judgement.verdict is Verdict.INVALID
    assert judgement.findings[0].verdict is Verdict.INVALID


def _bad_runs() -> Iterator[Run]:
    """Runs that between them show everything that can be found."""
    fault = event(10.0, "fault", fault="host-power-cut")
    struck: list[RunEvent] = [*life(fault_s=10.0, settled=False), fault]
    operations = [
        *tiny.load(0.0, 10.0),
        op("b", 5.01, node=B, timeline=2),
        *tiny.load(40.0, 50.0, timeline=2),
    ]
    yield run(
        operations,
        events=[
            *struck,
            event(44.0, "settled", timeline=2),
            event(44.0, "timeline", timeline=1, end_lsn="0/10"),
            event(12.0, "child-exit", host="x", process="etcd", status=1, expected=False),
            event(12.0, "leader-key", holder=B),
        ],
        reads=[read(A, ["b", "b", "phantom"], primary=True), read(B, ["b"])],
        asked=scenario(rto_s_max=1.0, failover="must-not"),
        settings={"rate_per_s": 100, "ttl_s": 30},
        stalls=[Stall(site="paris", t_s=30.0, stall_s=9.0)],
    )
    yield run([op("x", 1.0, shared_unit="u"), op("y", 1.0, site="orsay", shared_unit="u")])
    yield run(
        tiny.load(0.0, 50.0),
        events=[*struck, event(-1.0, "leader-key", holder=A)],
        reads=[FinalRead(node=A, error="refused")],
        asked=scenario(failover="must"),
    )
    well = with_access(_good())
    escaped = [answer(ESCAPE, A, 20.0, rows=150), answer(OWN, A, 20.0, rows=99)]
    yield with_print(with_answers(well, *escaped), fingerprint(A, "rejoined", doors={}))
    yield replace(well, access=replace(well.access, trails=()))
    mighty = {"role alice": "LOGIN SUPERUSER"}
    yield with_print(well, fingerprint(A, "rejoined", rights=mighty))
    yield weekly(with_value(asked_run(), B), A)
    yield with_reader([stream(15.0, B)])
    yield withdrawn_run(_good(), [answer(OWN, B, 30.0, rows=100)])
    # Of two PostgreSQL one is lost, and the other one acknowledges, alone.
    yield run(
        [*tiny.load(0.0, 10.0), *tiny.load(32.0, 50.0, node=B, timeline=2)],
        events=struck,
        asked=scenario(faults=(POWER_CUT,)),
    )
    yield with_reads(
        run(tiny.load(0.0, 50.0), asked=scenario(rto_s_max=1.0)),
        [mark(1, 1.0)],
        [look("primary", 2.0, {}, took_s=3.0)],
    )
    record = RestoreRecord(
        host=B, entry="x", xid="7", named_s=2.0, named_timeline=1, begin_s=3.0, timeline=2
    )
    lacking = Restore(record=record, read=read(B, [], primary=True))
    failed = Restore(record=replace(record, error="a gap"), read=None)
    yield replace(run([op("x", 1.0)]), restores=(lacking, failed))
    rebuild = Rebuild(
        entry="x",
        xid="7",
        age_s=1.0,
        named_s=2.0,
        named_timeline=1,
        dead_s=3.0,
        host=B,
        begin_s=4.0,
        primary_s=5.0,
        timeline=2,
    )
    gone = [op("x", 1.0), op("y", 2.5)]
    yield replace(run(gone, reads=[read(A, "x", primary=True)]), rebuilds=(rebuild,))
    torn = LedgerRow(id="c", content='{"rows": 1, "distinct": 1, "first": 0, "last": 0}')
    yield run(
        [op("c", 1.0, work={"op": "chunk", "rows": 2, "first": 0})],
        reads=[FinalRead(node=A, rows=(torn,), is_primary=True)],
        asked=scenario(workload=WorkloadSpec(options=BulkOptions())),
    )
    yield listed(
        [
            txn("a", 1.0, "append 1 10"),
            txn("b", 2.0, "read 1", ""),
            near("c", 3.0, "read 1", "", after="a"),
        ],
        {1: "10"},
    )
    yield listed(LONG_FORK, {1: "10", 2: "20"})
    yield registered([writing("w", 1.0, 10, 1), reading("s", 2.0, None, 0)], 10, 1)
    yield counting([added("a", 1.0, 1), added("b", 2.0, 1)], 1)
    yield taking([taker("a", 1.0), taker("b", 2.0)], {"a": 1, "b": 1})
    yield forking([single("x", 1.0, 0), whole("r", 2.0, "")], [0])
    yield growing([element("a", 1.0, 1), looking("r", 2.0, "1,1")])
    yield run(
        [*tiny.load(0.0, 50.0), op("x", 0.0, took_s=20.0, outcome="info")],
        reads=[FinalRead(node=A, state=(LedgerRow(id="0", content="7"),), is_primary=True)],
        asked=scenario(workload=WorkloadSpec(options=TransfersOptions(accounts=2))),
    )
    yield bad_warehouse()


def test_the_service_is_measured_once_for_all_checkers() -> None:
    seen: list[Timing] = []

    def check(run: Run, timing: Timing) -> list[Finding]:
        seen.append(timing)
        return []

    two = [Checker(name=name, question="?", check_timing=check) for name in ("one", "other")]
    assert judge(_good(), two).verdict is Verdict.VALID
    assert seen[0] is seen[1]
    assert [site.site for site in seen[0].sites] == ["paris", "orsay"]


def test_the_checkers_of_a_workload_are_those_that_know_it() -> None:
    names = {kind: {checker.name for checker in checkers_of(kind)} for kind in WORKLOADS}
    common = names["ledger"]
    assert names["transfers"] - common == {"total-kept", "balances"}
    assert names["bulk"] - common == {"chunks", "bulk-end"}
    assert names["append"] - common == {"isolation"}
    assert names["register"] - common == {"linearizable"}
    assert names["counter"] - common == {"counter"}
    assert names["set"] - common == {"elements"}
    assert names["write-skew"] - common == {"takers"}
    assert names["long-fork"] - common == {"forks"}
    assert names["warehouse"] - common == {
        *("feeds", "warehouse-totals", "warehouse-reads", "workspaces", "readers"),
    }
    assert set.union(*names.values()) == {checker.name for checker in CHECKERS}


def test_every_kind_of_finding_is_found_by_some_checker() -> None:
    crashing = Checker(name="crashing", question="Nothing.", check=_crash)
    found = {
        finding.kind
        for judged in _bad_runs()
        for finding in judge(
            judged, [crashing, *checkers_of(judged.info.scenario.workload.kind)]
        ).findings
    }
    assert found == set(FINDINGS)


@pytest.mark.parametrize("verdicts", [[0], [0, 1], [1, 2, 0], []])
def test_verdicts_merge_by_maximum(verdicts: list[int]) -> None:
    def check(run: Run) -> list[Finding]:
        return [
            Finding(kind=DUPLICATE, verdict=Verdict(number), summary="x") for number in verdicts
        ]

    judgement = judge(_good(), [Checker(name="some", question="?", check=check)])
    assert judgement.verdict == max(verdicts, default=0)


def test_a_long_history_is_judged_in_no_time() -> None:
    long = run(tiny.load(0.0, 50.0, every_s=0.001), settings={"rate_per_s": 1000})
    begin_s = time.process_time()
    assert judge(long).verdict is Verdict.VALID
    assert time.process_time() - begin_s < 2.0  # 50,000 operations: about a quarter of a second
