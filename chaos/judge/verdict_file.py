"""``verdict.json``: the answer of a drill for people, CI systems and auditors.

Its schema stands beside it in ``verdict.schema.json``. How the answer is found: ``judging.py``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from chaos.evidence.access import Moment
from chaos.evidence.manifest import VERDICT
from chaos.evidence.records import Scalar
from chaos.evidence.run import Manifest
from chaos.evidence.whole_file import write_whole
from chaos.findings import Finding, Verdict
from chaos.timing.hands import HandStep
from chaos.timing.model import Prediction, ReadTiming, RtoPhase, ServiceGap, SiteTiming
from chaos.timing.reads import DEMANDED
from cluster.topology.promises import SERVICES, ServiceKind

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
    already: int
    """How many were told that another caller had applied their unit of work."""
    resolved: int
    """How many of ``ok`` were in doubt and then resolved by their id row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rpo:
    """What was acknowledged and did not survive. None where the evidence cannot tell."""

    lost_entries: int | None
    lost_wal_bytes: int | None
    lost_over_s: float | None = None
    """From the acknowledgement of the first lost entry to that of the last one; 0 of a single one.
    None where none is found lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadTotals:
    """What became of the reads beside the writes of the load, of all sites."""

    sites: tuple[ReadTiming, ...]
    stale: int | None
    """Reads that broke their promise; None where none was found and not all reads are on record."""
    behind_on_primary: int
    """Reads on a server that took itself for the primary, which had not yet what other sites had
    acknowledged. Nothing is promised of that."""

    def longest_s(self, service: ServiceKind) -> float | None:
        """The longest that a site waited for a read of that service: of the sites that could be
        served so all the time, or of all where none could. None: nothing was read."""
        asked = [one for one in self.sites if DEMANDED.get(one.kind) == service]
        gaps = [one.longest_gap for one in asked if not one.not_due]
        gaps = gaps or [one.longest_gap for one in asked]
        return max((gap.gap_s for gap in gaps if gap is not None), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeTotals:
    """How one probe was answered."""

    name: str
    role: str
    expect: str
    """In words."""
    answers: Mapping[Moment, Mapping[str, int]]
    """By moment, how many answers were what."""
    wrong: int | None
    """How many were not as expected; None where none was found and not all are on record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawalTotals:
    """How long a right that was withdrawn was still admitted."""

    probe: str
    sql: str
    within_s: float
    longest_s: float | None
    """From the acknowledgement until the last node admitted for the last time; None: it was not
    acknowledged, or a node was not seen to refuse."""
    nodes: Mapping[str, float]
    """By node, how long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailCount:
    """How many acknowledged accesses are in the logs at the end."""

    acknowledged: int
    missing: int | None
    """In no log; None where none was found and not all is on record."""
    misnamed: int | None
    """Likewise, under another name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessTotals:
    """All that was asked of access."""

    probes: tuple[ProbeTotals, ...]
    withdrawals: tuple[WithdrawalTotals, ...]
    trail: TrailCount | None
    """None: nobody asked for it."""

    @property
    def answers(self) -> int:
        """All that were asked, answered or not."""
        return sum(sum(said.values()) for one in self.probes for said in one.answers.values())

    @property
    def wrong(self) -> int | None:
        """How many were not as expected; None where none was found and not all are seen."""
        found = sum(one.wrong or 0 for one in self.probes)
        return None if not found and None in {one.wrong for one in self.probes} else found


@dataclass(frozen=True, slots=True, kw_only=True)
class ThroughProxy:
    """What the load went through, and what writes straight to the members got beside it."""

    proxy: str
    direct_rto_s: float | None
    """As ``rto_s``, of the writes straight to the members; None where that is None."""
    sites: tuple[SiteTiming, ...]
    """How these were served; none where there is no record of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckerSummary:
    """One checker's answer, so that a reader sees what was looked at, not only what was found."""

    name: str
    question: str
    verdict: Verdict
    findings: int
    unseen: tuple[str, ...] = ()
    """What it could not look at, in words."""
    proof: tuple[str, ...] = ()
    """What it has proved, a sentence each; of a checker that has proofs."""


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
    shared_units: int | None
    """Units of work that several callers sent under one id; None where the load shares none."""
    split_brain: bool | None
    """Proved: two primaries acknowledged in overlapping windows. None where that can neither be
    proved nor excluded."""
    rto_s: float | None
    """The longest outage of the sites that could be served all the time, or of all sites where none
    could; None: no fault struck, a site was never served again, or of one that cannot be told."""
    unservable_outage_s: float | None
    """The longest outage of the sites that could not be served for a while, where others could."""
    rto_phases_s: Mapping[RtoPhase, float]
    rto_predicted_s: Prediction | None
    availability: Mapping[str, float | None]
    """By site, 0 to 1."""
    sites: tuple[SiteTiming, ...]
    operations: OperationTotals
    reads: ReadTotals | None
    """None where the load read nothing beside its writes."""
    rpo: Rpo
    by_hand: tuple[HandStep, ...]
    """What people did to bring the service back, in order."""
    access: AccessTotals | None
    """None where the scenario has no probes."""
    through: ThroughProxy | None
    """None where the load went straight to the members."""
    checkers: tuple[CheckerSummary, ...]
    findings: tuple[Finding, ...]
    """The worst first."""
    versions: Mapping[str, str]
    settings: Mapping[str, Scalar]
    manifest: Manifest | None
    """Whether the run folder is what it was when the drill ended; None where it has no manifest."""

    @property
    def rto_blur_s(self) -> float:
        """By so much ``rto_s`` may be wrong, either way, for stalls of a load process."""
        return max(
            (one.outage_blur_s for one in self.sites if one.outage_s == self.rto_s), default=0.0
        )

    def answer_of(self, checker: str) -> Verdict:
        """What one checker said; UNKNOWN where it was not asked."""
        answers = [one.verdict for one in self.checkers if one.name == checker]
        return answers[0] if answers else Verdict.UNKNOWN

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
            "shared_units": self.shared_units,
            "split_brain": self.split_brain,
            "rto_s": _rounded(self.rto_s),
            "unservable_outage_s": _rounded(self.unservable_outage_s),
            "rto_phases_s": {name: _rounded(part_s) for name, part_s in self.rto_phases_s.items()},
            "rto_predicted_s": _prediction_json(self.rto_predicted_s),
            "availability": {site: _rounded(share) for site, share in self.availability.items()},
            "sites": {site.site: _site_json(site) for site in self.sites},
            "service": {kind: self._service_json(kind) for kind in SERVICES},
            "reads": _reads_json(self.reads),
            "operations": {
                "total": self.operations.total,
                "ok": self.operations.ok,
                "fail": self.operations.fail,
                "info": self.operations.info,
                "already": self.operations.already,
                "resolved": self.operations.resolved,
            },
            "rpo": {
                "lost_entries": self.rpo.lost_entries,
                "lost_wal_bytes": self.rpo.lost_wal_bytes,
                "lost_over_s": _rounded(self.rpo.lost_over_s),
            },
            "by_hand": [
                {
                    "fault": one.fault,
                    "node": one.node,
                    "began_s": _rounded(one.began_s),
                    "decided_s": _rounded(one.decided_s),
                    "took_s": _rounded(one.took_s),
                    "detail": one.detail,
                }
                for one in self.by_hand
            ],
            "access": _access_json(self.access),
            "through": _through_json(self.through),
            "checkers": [_checker_json(checker) for checker in self.checkers],
            "findings": [_finding_json(finding) for finding in self.findings],
            "versions": dict(self.versions),
            "settings": dict(self.settings),
            "manifest": _manifest_json(self.manifest),
        }

    def _service_json(self, kind: ServiceKind) -> Json:
        """By site, how it was served so; null where that was not measured."""
        if kind == "write":
            return {site.site: _served_json(site) for site in self.sites}
        if self.reads is None:
            return None
        reads = [one for one in self.reads.sites if DEMANDED.get(one.kind) == kind]
        return {one.site: _served_json(one) for one in reads}


def write_verdict(folder: Path, verdict: VerdictFile) -> None:
    """Writes ``verdict.json`` into ``folder``, whole or not at all."""
    text = json.dumps(verdict.to_json(), indent=2, ensure_ascii=False)
    write_whole(folder / VERDICT, f"{text}\n")


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
        "service": prediction.service,
        "sites": list(prediction.sites),
        "elsewhere": _prediction_json(prediction.elsewhere),
        "stock_s": None if prediction.stock_s is None else [*map(_rounded, prediction.stock_s)],
    }


def _site_json(site: SiteTiming) -> Json:
    return {
        "operations": site.operations,
        "ok": site.ok,
        "fail": site.fail,
        "info": site.info,
        "already": site.already,
        "resolved": site.resolved,
        "last_acknowledged_before_s": _rounded(site.last_acknowledged_before_s),
        "first_acknowledged_after_s": _rounded(site.first_acknowledged_after_s),
        "outage_s": _rounded(site.outage_s),
        "outage_blur_s": _rounded(site.outage_blur_s),
        "served_again": site.served_again,
        "could_be_served": site.could_be_served,
        "not_due": [
            {
                "from_s": _rounded(one.from_s),
                "to_s": None if math.isinf(one.to_s) else _rounded(one.to_s),
                "why": one.why,
            }
            for one in site.not_due
        ],
        "longest_gap_s": _rounded(site.longest_gap.gap_s if site.longest_gap else None),
        "availability": _rounded(site.availability),
        "steady_rate_per_s": _rounded(site.steady_rate_per_s),
        "p50_ms": _rounded(site.p50_ms),
        "p99_ms": _rounded(site.p99_ms),
        "stalls": site.stalls,
        "longest_stall_s": _rounded(site.longest_stall_s),
    }


def _served_json(one: SiteTiming | ReadTiming) -> Json:
    return {
        "longest_gap_s": _gap_s(one.longest_gap),
        "longest_due_s": _gap_s(one.longest_due),
        "could_be_served": not one.not_due,
    }


def _gap_s(gap: ServiceGap | None) -> float | None:
    return _rounded(gap.gap_s if gap else None)


def _reads_json(reads: ReadTotals | None) -> Json:
    if reads is None:
        return None
    sites: dict[str, dict[str, Json]] = {}
    for one in reads.sites:
        sites.setdefault(one.site, {})[one.kind] = {
            "total": one.reads,
            "ok": one.ok,
            "p50_ms": _rounded(one.p50_ms),
            "longest_gap_s": _gap_s(one.longest_gap),
        }
    return {
        "stale": reads.stale,
        "behind_on_primary": reads.behind_on_primary,
        "sites": sites,
    }


def _access_json(access: AccessTotals | None) -> Json:
    if access is None:
        return None
    trail = access.trail
    return {
        "probes": [
            {
                "name": one.name,
                "as": one.role,
                "expect": one.expect,
                "answers": {moment: dict(said) for moment, said in one.answers.items()},
                "wrong": one.wrong,
            }
            for one in access.probes
        ],
        "withdrawals": [
            {
                "probe": one.probe,
                "sql": one.sql,
                "within_s": one.within_s,
                "longest_s": _rounded(one.longest_s),
                "nodes": {node: _rounded(taken_s) for node, taken_s in one.nodes.items()},
            }
            for one in access.withdrawals
        ],
        "trail": None
        if trail is None
        else {
            "acknowledged": trail.acknowledged,
            "missing": trail.missing,
            "misnamed": trail.misnamed,
        },
    }


def _through_json(through: ThroughProxy | None) -> Json:
    if through is None:
        return None
    return {
        "proxy": through.proxy,
        "direct_rto_s": _rounded(through.direct_rto_s),
        "direct_sites": {site.site: _site_json(site) for site in through.sites},
    }


def _manifest_json(manifest: Manifest | None) -> Json:
    if manifest is None:
        return None
    return {
        "sha256": manifest.sha256,
        "files": manifest.files,
        "holds": manifest.holds,
        "problems": list(manifest.problems),
    }


def _checker_json(checker: CheckerSummary) -> Json:
    return {
        "name": checker.name,
        "question": checker.question,
        "verdict": checker.verdict.word,
        "findings": checker.findings,
        "unseen": list(checker.unseen),
        **({"proof": list(checker.proof)} if checker.proof else {}),
    }


def _finding_json(finding: Finding) -> Json:
    return {
        "kind": finding.kind.word,
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
