"""Lines of a campaign's journal, and drills that have ended, for tests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from support.evidence.tiny import life, load
from support.evidence.tiny import run as tiny_run

from chaos.campaigns.cases import GENERATOR
from chaos.campaigns.drilling import CaseDrilled
from chaos.campaigns.journal import FORMAT_VERSION, CampaignBegan, RunDone, StruckTarget
from chaos.drill.launch import DrillEnd
from chaos.findings import Finding, FindingKind, Verdict
from chaos.judge.folder import Judged
from chaos.judge.judging import build_verdict

BEGAN = CampaignBegan(
    format_version=FORMAT_VERSION,
    generator=GENERATOR,
    seed=7,
    topologies=("three-sites",),
    rate_per_s=20.0,
    has_disks=True,
    runs=40,
    minutes=None,
    started_at="2026-11-27T10:00:00.000Z",
    versions={"bascule": "0.1.0", "postgresql": "18.1"},
)


def a_run(
    n: int,
    *,
    verdict: str = "valid",
    is_canary: bool = False,
    fault: str = "host-power-cut",
    target: str = "primary",
    rto_s: float | None = 20.0,
) -> RunDone:
    """A run of the three sites with one fault."""
    findings = {"valid": (), "unknown": ("load-too-low",), "invalid": ("lost-acknowledged-write",)}
    return RunDone(
        n=n,
        is_canary=is_canary,
        folder=f"runs/{n:04}",
        schedule=f"schedules/{n:04}.toml",
        topology="three-sites",
        ttl_s=20,
        witness=False,
        durability="quorum",
        workload="ledger",
        seed=100 + n,
        faults=(StruckTarget(fault=fault, target=target),),
        verdict=verdict,
        findings=findings[verdict],
        sentence=f"{verdict.upper()}: it was so.",
        acknowledged=500,
        lost=3 if verdict == "invalid" else 0,
        split_brain=False,
        rto_s=rto_s,
        outages_s={"paris": rto_s, "orsay": 1.0},
        attempts=1,
        started_at="2026-11-27T10:00:00.000Z",
        took_s=40.0,
        cost_s=9.5,
    )


def drilled(folder: Path, *findings: tuple[FindingKind, Verdict]) -> CaseDrilled:
    """A run of 50 s with load, and with these findings instead of its own."""
    run = tiny_run(load(0.0, 50.0), events=life(fault_s=5.0))
    found = tuple(Finding(kind=kind, verdict=verdict, summary="") for kind, verdict in findings)
    worst = max((finding.verdict for finding in found), default=Verdict.VALID)
    verdict = replace(build_verdict(run), findings=found, verdict=worst)
    end = DrillEnd(
        folder=folder / "runs" / "0007",
        judged=Judged(run=run, verdict=verdict),
        ran=True,
        stopped_by=None,
    )
    return CaseDrilled(end=end, schedule=folder / "schedules" / "0007.toml", took_s=61.0)
