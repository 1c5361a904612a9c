"""From the evidence of a run to its verdict: the checkers are run, the service is measured.

Built from the evidence alone and deterministic: the same run folder gives the same bytes on any
machine. ``folder`` judges a whole run folder and writes the verdict.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial

from chaos.checkers import stale_reads
from chaos.checkers.authority import lost_operations
from chaos.checkers.base import Checker, CheckResult, Gap, Judgement
from chaos.checkers.duplicates import duplicated
from chaos.checkers.registry import checkers_of
from chaos.checkers.shared_units import is_asked, sent_by_several
from chaos.checkers.split_brain import SPLIT_BRAIN
from chaos.evidence.run import Run
from chaos.findings import CHECKER_CRASHED, Finding, Verdict
from chaos.judge.access import access_totals
from chaos.judge.verdict_file import (
    FORMAT_VERSION,
    CheckerSummary,
    OperationTotals,
    ReadTotals,
    Rpo,
    ThroughProxy,
    VerdictFile,
)
from chaos.timing import Timing, measure
from chaos.timing.hands import hand_steps


def build_verdict(run: Run) -> VerdictFile:
    """Judges and measures ``run`` and puts the answer together. Pure and deterministic."""
    measured = cache(partial(measure, run))
    return assemble(run, judge(run, measured=measured), measured())


def assemble(run: Run, judgement: Judgement, timing: Timing) -> VerdictFile:
    """Puts the answer together from what was judged and measured already."""
    lost_entries = _lost(run, judgement)
    totals = _totals(timing)
    return VerdictFile(
        format_version=FORMAT_VERSION,
        verdict=judgement.verdict,
        scenario=run.info.scenario.name,
        seed=run.info.seed,
        workload=run.info.scenario.workload.kind,
        topology=run.info.topology,
        started_at=run.info.started_at,
        command=run.info.command,
        acknowledged=_acknowledged(run),
        lost=lost_entries,
        duplicated=_duplicated(run, judgement),
        shared_units=sent_by_several(run) if is_asked(run) else None,
        split_brain=_split_brain(judgement),
        rto_s=timing.rto_s,
        unservable_outage_s=timing.unservable_outage_s,
        rto_phases_s=timing.rto_phases_s,
        rto_predicted_s=timing.prediction,
        availability={site.site: site.availability for site in timing.sites},
        sites=timing.sites,
        operations=totals,
        reads=_reads(run, judgement, timing),
        rpo=Rpo(
            lost_entries=lost_entries,
            lost_wal_bytes=_unless_unproved(timing.lost_wal_bytes, judgement, "dead-timeline"),
            lost_over_s=_lost_over_s(run),
        ),
        by_hand=hand_steps(run),
        access=access_totals(
            run,
            is_seen=not _could_not_look(judgement, "seals"),
            is_trail_seen=not _could_not_look(judgement, "trail"),
        ),
        through=_through(run, timing),
        checkers=tuple(
            CheckerSummary(
                name=result.name,
                question=result.question,
                verdict=result.verdict,
                findings=len(result.findings),
                unseen=tuple(gap.what for gap in result.unseen),
                proof=result.proof,
            )
            for result in judgement.results
        ),
        findings=judgement.findings,
        versions=run.info.versions,
        settings=run.info.settings,
        manifest=run.manifest,
    )


def _through(run: Run, timing: Timing) -> ThroughProxy | None:
    proxy = run.info.scenario.through
    if proxy is None:
        return None
    return ThroughProxy(proxy=proxy, direct_rto_s=timing.direct_rto_s, sites=timing.direct)


def judge(
    run: Run,
    checkers: Sequence[Checker] | None = None,
    measured: Callable[[], Timing] | None = None,
) -> Judgement:
    """Runs checkers over ``run``. Never raises: a checker that crashes says UNKNOWN.

    Args:
        run: The evidence.
        checkers: Which ones; None: all that judge its workload.
        measured: Gives the timing of the run, where the caller measures it too.
    """
    measured = measured or cache(partial(measure, run))
    if checkers is None:
        kind = run.info.scenario.workload.kind
        checkers = [one for one in checkers_of(kind) if one.is_asked(run)]
    return Judgement(results=tuple(_guarded(checker, run, measured) for checker in checkers))


def _guarded(checker: Checker, run: Run, measured: Callable[[], Timing]) -> CheckResult:
    """One checker's answer; its crash is an answer too (Jepsen, ``check-safe``)."""
    unseen: tuple[Gap, ...] = ()
    proof: tuple[str, ...] = ()
    try:
        unseen = tuple(dict.fromkeys(gap for need in checker.needs for gap in need(run)))
        found = checker.look(run, measured)
        findings = tuple(replace(finding, checker=checker.name) for finding in found.findings)
        proof = found.proof
    except Exception as crash:
        findings = (_crashed(checker, crash),)
    return CheckResult(
        name=checker.name,
        question=checker.question,
        findings=findings,
        unseen=unseen,
        proof=proof,
    )


def _crashed(checker: Checker, crash: Exception) -> Finding:
    """The finding for a crash: where it happened, and what was raised."""
    frames = traceback.extract_tb(crash.__traceback__)
    where = frames[-1]
    module = where.filename.rpartition("/")[2]
    return Finding(
        kind=CHECKER_CRASHED,
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


def _totals(timing: Timing) -> OperationTotals:
    return OperationTotals(
        total=sum(site.operations for site in timing.sites),
        ok=sum(site.ok for site in timing.sites),
        fail=sum(site.fail for site in timing.sites),
        info=sum(site.info for site in timing.sites),
        already=sum(site.already for site in timing.sites),
        resolved=sum(site.resolved for site in timing.sites),
    )


def _reads(run: Run, judgement: Judgement, timing: Timing) -> ReadTotals | None:
    """None where the load read nothing."""
    if not run.has_reads:
        return None
    findings = [one for one in judgement.findings if one.kind is stale_reads.STALE_READ]
    stale = sum(stale_reads.count_reads(finding.evidence) for finding in findings)
    return ReadTotals(
        sites=timing.reads,
        stale=_unless_unproved(stale, judgement, stale_reads.CHECKER.name),
        behind_on_primary=len(stale_reads.behind(run)),
    )


def _acknowledged(run: Run) -> int:
    return sum(
        operation.outcome == "ok" and operation.leaves_entry
        for history in run.histories
        for operation in history.operations
    )


def _lost(run: Run, judgement: Judgement) -> int | None:
    """How many acknowledged entries are certainly lost; None instead of an unproved zero."""
    lost = lost_operations(run)
    return None if lost is None else _unless_unproved(len(lost), judgement, "lost-entries")


def _lost_over_s(run: Run) -> float | None:
    """Over how long the lost entries were acknowledged; None where none is found lost."""
    ends_s = [op.ended_s for op in lost_operations(run) or () if op.ended_s is not None]
    return max(ends_s) - min(ends_s) if ends_s else None


def _duplicated(run: Run, judgement: Judgement) -> int | None:
    """How many ids are there more than once; None instead of an unproved zero."""
    return _unless_unproved(len({id_ for _, id_ in duplicated(run)}), judgement, "duplicates")


def _split_brain(judgement: Judgement) -> bool | None:
    """Found, or excluded, or neither."""
    if any(finding.kind is SPLIT_BRAIN for finding in judgement.findings):
        return True
    return None if _could_not_look(judgement, "split-brain") else False


def _unless_unproved(number: int | None, judgement: Judgement, checker: str) -> int | None:
    """``number``; None where it is zero and the checker could not look."""
    return None if not number and _could_not_look(judgement, checker) else number


def _could_not_look(judgement: Judgement, checker: str) -> bool:
    """The checker's answer is UNKNOWN, or it was not asked: its silence is no answer."""
    result = judgement.result(checker)
    return result is None or result.verdict is Verdict.UNKNOWN
