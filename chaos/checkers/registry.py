"""All checkers, and the one way to run them: ``judge``."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import replace

from chaos.checkers import (
    balances,
    chunks,
    completeness,
    dead_timeline,
    divergence,
    duplicates,
    exits,
    failover,
    in_doubt,
    load,
    lost,
    needs,
    phantom,
    recovery,
    service,
    settings,
    split_brain,
    stalls,
    totals,
)
from chaos.checkers.judgement import Checker, CheckResult, Gap, Judgement
from chaos.evidence.run import Run
from chaos.scenarios.model import WorkloadKind
from chaos.verdict import Finding, FindingKind, Verdict

CHECKERS: tuple[Checker, ...] = (
    Checker(
        name="lost-entries",
        question="Every acknowledged entry survived.",
        check=lost.check,
        finds=(FindingKind.LOST_WRITE, FindingKind.INCOMPLETE_EVIDENCE),
        needs=(needs.histories, needs.one_primary),
    ),
    Checker(
        name="phantom-entries",
        question="Every entry in the ledger was written, and none was reported failed.",
        check=phantom.check,
        finds=(FindingKind.PHANTOM_WRITE,),
        needs=(needs.histories, needs.final_reads),
    ),
    Checker(
        name="duplicates",
        question="Every entry took effect once.",
        check=duplicates.check,
        finds=(FindingKind.DUPLICATE,),
        needs=(needs.final_reads,),
    ),
    Checker(
        name="total-kept",
        question="Money was neither made nor lost: every total is the opening one.",
        check=totals.check,
        finds=(FindingKind.WRONG_TOTAL,),
        needs=(needs.histories, needs.final_reads),
        workloads=("transfers",),
    ),
    Checker(
        name="balances",
        question="Every balance is what the transfers say, and they say what was asked.",
        check=balances.check,
        finds=(FindingKind.WRONG_BALANCE,),
        needs=(needs.histories, needs.final_reads),
        workloads=("transfers",),
    ),
    Checker(
        name="chunks",
        question="Every chunk of a bulk load is there whole, and no row of it twice.",
        check=chunks.check_chunks,
        finds=(FindingKind.TORN_CHUNK,),
        needs=(needs.histories, needs.final_reads),
        workloads=("bulk",),
    ),
    Checker(
        name="bulk-end",
        question="Every bulk load came to its end.",
        check=chunks.check_finished,
        finds=(FindingKind.BULK_UNFINISHED,),
        needs=(needs.histories, needs.load_to_its_end),
        workloads=("bulk",),
    ),
    Checker(
        name="in-doubt",
        question="No operation was left in doubt that could have been resolved.",
        check=in_doubt.check,
        finds=(FindingKind.IN_DOUBT_UNRESOLVED,),
        needs=(needs.histories, needs.load_to_its_end),
    ),
    Checker(
        name="split-brain",
        question="Never did two primaries acknowledge writes at the same time.",
        check=split_brain.check,
        finds=(FindingKind.SPLIT_BRAIN, FindingKind.INCOMPLETE_EVIDENCE),
        needs=(needs.histories,),
    ),
    Checker(
        name="dead-timeline",
        question="Nothing was acknowledged on WAL that did not survive.",
        check=dead_timeline.check,
        finds=(FindingKind.DEAD_TIMELINE, FindingKind.INCOMPLETE_EVIDENCE),
        needs=(needs.histories, needs.which_timeline_survived, needs.whole_events),
    ),
    Checker(
        name="divergence",
        question="All nodes hold the same content at the end.",
        check=divergence.check,
        finds=(
            FindingKind.DIVERGENT_REPLICA,
            FindingKind.UNREADABLE_NODE,
            FindingKind.INCOMPLETE_EVIDENCE,
        ),
        needs=(needs.final_reads, needs.one_primary),
    ),
    Checker(
        name="service",
        question="Every site was served, and again in time.",
        check=service.check,
        finds=(FindingKind.SERVICE_NOT_KEPT,),
        needs=(needs.histories, needs.steady_state, needs.faults_struck, needs.load_to_its_end),
    ),
    Checker(
        name="recovery",
        question="The cluster became whole again in time.",
        check=recovery.check,
        finds=(FindingKind.STUCK_CLUSTER,),
        needs=(needs.recovery_over,),
    ),
    Checker(
        name="failover",
        question="The lead changed only as the scenario expects.",
        check=failover.check,
        finds=(FindingKind.UNEXPECTED_FAILOVER, FindingKind.MISSING_FAILOVER),
        needs=(needs.steady_state, needs.faults_struck, needs.whole_events, needs.who_led),
    ),
    Checker(
        name="processes",
        question="No process died on its own.",
        check=exits.check,
        finds=(FindingKind.UNEXPECTED_EXIT,),
        needs=(needs.whole_events,),
    ),
    Checker(
        name="settings",
        question="What was asked for was in force.",
        check=settings.check,
        finds=(FindingKind.SETTINGS_NOT_IN_FORCE,),
        needs=(needs.settings_found,),
    ),
    Checker(
        name="load",
        question="The load that was asked for was there.",
        check=load.check,
        finds=(FindingKind.LOAD_TOO_LOW,),
        needs=(needs.histories, needs.steady_state),
    ),
    Checker(
        name="instrument",
        question="No stall of the load processes blurs the measured outage.",
        check=stalls.check,
        finds=(FindingKind.STALLED_LOAD,),
        needs=(needs.histories,),
    ),
    Checker(
        name="completeness",
        question="The evidence is whole.",
        check=completeness.check,
        finds=(FindingKind.INCOMPLETE_EVIDENCE,),
    ),
)
"""In the order of reports: what harms data first, the instrument last."""


def checkers_of(kind: WorkloadKind) -> tuple[Checker, ...]:
    """Those that judge a run with that workload, in the order of reports."""
    return tuple(one for one in CHECKERS if not one.workloads or kind in one.workloads)


def judge(run: Run, checkers: Sequence[Checker] | None = None) -> Judgement:
    """Runs checkers over ``run``. Never raises: a checker that crashes says UNKNOWN.

    Args:
        run: The evidence.
        checkers: Which ones; None: all that judge its workload.
    """
    if checkers is None:
        checkers = checkers_of(run.info.scenario.workload.kind)
    return Judgement(results=tuple(_guarded(checker, run) for checker in checkers))


def _guarded(checker: Checker, run: Run) -> CheckResult:
    """One checker's answer; its crash is an answer too (Jepsen, ``check-safe``)."""
    unseen: tuple[Gap, ...] = ()
    try:
        unseen = tuple(dict.fromkeys(gap for need in checker.needs for gap in need(run)))
        findings = tuple(replace(found, checker=checker.name) for found in checker.check(run))
    except Exception as crash:
        findings = (_crashed(checker, crash),)
    return CheckResult(
        name=checker.name, question=checker.question, findings=findings, unseen=unseen
    )


def _crashed(checker: Checker, crash: Exception) -> Finding:
    """The finding for a crash: where it happened, and what was raised."""
    frames = traceback.extract_tb(crash.__traceback__)
    where = frames[-1]
    module = where.filename.rpartition("/")[2]
    return Finding(
        kind=FindingKind.CHECKER_CRASHED,
        verdict=Verdict.UNKNOWN,
        checker=checker.name,
        summary=f"The checker {checker.name} crashed: it says nothing about this run.",
        evidence=(
            {
                "checker": checker.name,
                "error": traceback.format_exception_only(crash)[-1].strip(),
                "at": f"{module}:{where.lineno} in {where.name}",
            },
        ),
    )
