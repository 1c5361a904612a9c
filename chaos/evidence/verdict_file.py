"""``verdict.json``: the answer of a drill for people, CI systems and auditors.

Built from the evidence alone and deterministic: the same run folder gives the same bytes on any
machine (``bascule check RUN``). Its schema stands beside it in ``verdict.schema.json``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from chaos.checkers.duplicates import duplicated
from chaos.checkers.judgement import Judgement
from chaos.checkers.lost import lost_operations
from chaos.checkers.registry import judge
from chaos.evidence.records import Scalar
from chaos.evidence.run import Run
from chaos.timing import Prediction, RtoPhase, SiteTiming, Timing, measure
from chaos.verdict import Finding, FindingKind, Verdict

FORMAT_VERSION = 1
"""Raised when an older reader could no longer follow."""

Json: TypeAlias = Mapping[str, "Json"] | list["Json"] | Scalar


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationTotals:
    """How the operations of all sites ended."""

    total: int
    ok: int
    fail: int
    info: int
    resolved: int
    """How many of ``ok`` were in doubt and then resolved by their id row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rpo:
    """What was acknowledged and did not survive. None where the evidence cannot tell."""

    lost_entries: int | None
    lost_wal_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckerSummary:
    """One checker's answer, so that a reader sees what was looked at, not only what was found."""

    name: str
    question: str
    verdict: Verdict
    findings: int
    unseen: tuple[str, ...] = ()
    """What it could not look at, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictFile:
    """Everything in ``verdict.json``. ``to_json`` gives the object that is written."""

    format_version: int
    verdict: Verdict
    scenario: str
    seed: int
    workload: str
    topology: str
    started_at: str
    command: str
    acknowledged: int
    """Operations that must have left an entry: all that were acknowledged but mere reads."""
    lost: int | None
    """Acknowledged entries that are not on the primary. None where the evidence cannot tell: no
    primary could be read, or none is missing of those on record and some may not be on record."""
    duplicated: int | None
    """Ids that stand more than once on some node; None where none was found and not every node
    could be read."""
    split_brain: bool | None
    """Proved: two primaries acknowledged in overlapping windows. None where that can neither be
    proved nor excluded."""
    rto_s: float | None
    """The longest outage of a site; None: no fault struck, a site was never served again, or of one
    that cannot be told."""
    rto_phases_s: Mapping[RtoPhase, float]
    rto_predicted_s: Prediction | None
    availability: Mapping[str, float | None]
    """By site, 0 to 1."""
    sites: tuple[SiteTiming, ...]
    operations: OperationTotals
    rpo: Rpo
    checkers: tuple[CheckerSummary, ...]
    findings: tuple[Finding, ...]
    """The worst first."""
    versions: Mapping[str, str]
    settings: Mapping[str, Scalar]

    def to_json(self) -> dict[str, Json]:
        """The object of ``verdict.json``: fixed order of keys, numbers rounded to microseconds."""
        return {
            "format_version": self.format_version,
            "verdict": self.verdict.word,
            "scenario": self.scenario,
            "workload": self.workload,
            "seed": self.seed,
            "topology": self.topology,
            "started_at": self.started_at,
            "command": self.command,
            "acknowledged": self.acknowledged,
            "lost": self.lost,
            "duplicated": self.duplicated,
            "split_brain": self.split_brain,
            "rto_s": _rounded(self.rto_s),
            "rto_phases_s": {name: _rounded(part_s) for name, part_s in self.rto_phases_s.items()},
            "rto_predicted_s": _prediction_json(self.rto_predicted_s),
            "availability": {site: _rounded(share) for site, share in self.availability.items()},
            "sites": {site.site: _site_json(site) for site in self.sites},
            "operations": {
                "total": self.operations.total,
                "ok": self.operations.ok,
                "fail": self.operations.fail,
                "info": self.operations.info,
                "resolved": self.operations.resolved,
            },
            "rpo": {
                "lost_entries": self.rpo.lost_entries,
                "lost_wal_bytes": self.rpo.lost_wal_bytes,
            },
            "checkers": [_checker_json(checker) for checker in self.checkers],
            "findings": [_finding_json(finding) for finding in self.findings],
            "versions": dict(self.versions),
            "settings": dict(self.settings),
        }


def build_verdict(run: Run) -> VerdictFile:
    """Judges and measures ``run`` and puts the answer together. Pure and deterministic."""
    return assemble(run, judge(run), measure(run))


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
        split_brain=_split_brain(judgement),
        rto_s=timing.rto_s,
        rto_phases_s=timing.rto_phases_s,
        rto_predicted_s=timing.prediction,
        availability={site.site: site.availability for site in timing.sites},
        sites=timing.sites,
        operations=totals,
        rpo=Rpo(
            lost_entries=lost_entries,
            lost_wal_bytes=_unless_unproved(timing.lost_wal_bytes, judgement, "dead-timeline"),
        ),
        checkers=tuple(
            CheckerSummary(
                name=result.name,
                question=result.question,
                verdict=result.verdict,
                findings=len(result.findings),
                unseen=tuple(gap.what for gap in result.unseen),
            )
            for result in judgement.results
        ),
        findings=judgement.findings,
        versions=run.info.versions,
        settings=run.info.settings,
    )


def _totals(timing: Timing) -> OperationTotals:
    return OperationTotals(
        total=sum(site.operations for site in timing.sites),
        ok=sum(site.ok for site in timing.sites),
        fail=sum(site.fail for site in timing.sites),
        info=sum(site.info for site in timing.sites),
        resolved=sum(site.resolved for site in timing.sites),
    )


def _acknowledged(run: Run) -> int:
    return sum(
        operation.outcome == "ok" and operation.leaves_entry
        for history in run.histories
        for operation in history.operations
    )


def _lost(run: Run, judgement: Judgement) -> int | None:
    """How many acknowledged entries are lost for certain; None instead of an unproved nought."""
    lost = lost_operations(run)
    return None if lost is None else _unless_unproved(len(lost), judgement, "lost-entries")


def _duplicated(run: Run, judgement: Judgement) -> int | None:
    """How many ids are there more than once; None instead of an unproved nought."""
    return _unless_unproved(len({id_ for _, id_ in duplicated(run)}), judgement, "duplicates")


def _split_brain(judgement: Judgement) -> bool | None:
    """Found, or excluded, or neither."""
    if any(finding.kind is FindingKind.SPLIT_BRAIN for finding in judgement.findings):
        return True
    return None if _could_not_look(judgement, "split-brain") else False


def _unless_unproved(number: int | None, judgement: Judgement, checker: str) -> int | None:
    """``number``; None where it is nought and the checker could not look."""
    return None if not number and _could_not_look(judgement, checker) else number


def _could_not_look(judgement: Judgement, checker: str) -> bool:
    """The checker's answer is UNKNOWN, or it was not asked: its silence is no answer."""
    result = judgement.result(checker)
    return result is None or result.verdict is Verdict.UNKNOWN


def _rounded(number: float | None) -> float | None:
    """To microseconds: what the clocks are worth, and the same text on every machine."""
    return None if number is None else round(number, 6)


def _prediction_json(prediction: Prediction | None) -> Json:
    if prediction is None:
        return None
    return {
        "low_s": _rounded(prediction.low_s),
        "high_s": _rounded(prediction.high_s),
        "words": prediction.words,
        "source": prediction.source,
    }


def _site_json(site: SiteTiming) -> Json:
    return {
        "operations": site.operations,
        "ok": site.ok,
        "fail": site.fail,
        "info": site.info,
        "resolved": site.resolved,
        "last_acknowledged_before_s": _rounded(site.last_acknowledged_before_s),
        "first_acknowledged_after_s": _rounded(site.first_acknowledged_after_s),
        "outage_s": _rounded(site.outage_s),
        "served_again": site.served_again,
        "longest_gap_s": _rounded(site.longest_gap.gap_s if site.longest_gap else None),
        "availability": _rounded(site.availability),
        "steady_rate_per_s": _rounded(site.steady_rate_per_s),
        "p50_ms": _rounded(site.p50_ms),
        "p99_ms": _rounded(site.p99_ms),
        "stalls": site.stalls,
        "longest_stall_s": _rounded(site.longest_stall_s),
    }


def _checker_json(checker: CheckerSummary) -> Json:
    return {
        "name": checker.name,
        "question": checker.question,
        "verdict": checker.verdict.word,
        "findings": checker.findings,
        "unseen": list(checker.unseen),
    }


def _finding_json(finding: Finding) -> Json:
    return {
        "kind": finding.kind.value,
        "checker": finding.checker,
        "verdict": finding.verdict.word,
        "summary": finding.summary,
        "evidence": [
            {
                name: _rounded(value) if isinstance(value, float) else value
                for name, value in proof.items()
            }
            for proof in finding.evidence
        ],
    }
