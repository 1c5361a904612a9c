"""One run of a campaign: a drawn case becomes a drill, and the drill a line of the journal."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from chaos.campaigns.cases import Case
from chaos.campaigns.journal import JUDGED, RunDone, StruckTarget
from chaos.campaigns.keeping import LabKeeper, had_lab
from chaos.checkers.load import LOAD_TOO_LOW
from chaos.checkers.stalls import STALLED_LOAD
from chaos.drill.launch import DrillEnd, DrillRequest, run_drill
from chaos.evidence.events import Phase, PhaseBegan
from chaos.evidence.run import Run
from chaos.findings import Verdict
from chaos.report.sentence import verdict_sentence
from chaos.scenarios.fitting import fitted
from chaos.scenarios.load import to_toml
from chaos.scenarios.model import FaultStep
from chaos.timing.load import phase_window
from chaos.workloads.registry import DEFAULT as DEFAULT_WORKLOAD
from chaos.workloads.registry import WORKLOADS

RATE_PER_S_MIN = 4.0
"""That of ``bulk`` by default: a dozen operations a site in the steady state. With fewer, one more
or less would decide whether the load was too low."""
OF_THE_MACHINE = frozenset({LOAD_TOO_LOW, STALLED_LOAD})
"""Findings about the instrument, not about the cluster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseDrilled:
    """A drill that has ended."""

    end: DrillEnd
    schedule: Path
    took_s: float
    lab_ended: str = ""
    """Why the lab that was to be kept was not; empty: it was, or was not to be."""


def drill_case(  # noqa: PLR0913 (what a run consists of)
    case: Case,
    *,
    schedule: Path,
    folder: Path,
    rate_per_s: float | None = None,
    pg_bindir: Path | None = None,
    keeper: LabKeeper | None = None,
) -> CaseDrilled:
    """Write the schedule down, and run it.

    Args:
        case: what was drawn.
        schedule: the TOML file to write, which replays it.
        folder: the run folder, new.
        rate_per_s: of the ledger; other workloads in proportion, but no fewer than are needed.
        pg_bindir: PostgreSQL's programs; None: the newest found.
        keeper: has a lab that may be used; None: the run gets one of its own.

    Raises:
        PrerequisiteError: this machine lacks something; nothing was begun.
        OutputError, OSError: the files cannot be written.
    """
    begin_s = time.monotonic()
    schedule.parent.mkdir(parents=True, exist_ok=True)
    schedule.write_text(to_toml(case.scenario), encoding="utf-8")
    kind = WORKLOADS[case.scenario.workload.kind]
    rate = kind.rate_per_s
    if rate_per_s is not None:
        share = rate_per_s / DEFAULT_WORKLOAD.rate_per_s
        rate = max(round(rate * share, 3), min(rate, RATE_PER_S_MIN))
    request = DrillRequest(
        scenario=case.scenario,
        topology=fitted(case.topology, case.scenario),
        seed=case.seed,
        rate_per_s=rate,
        workers=case.client.workers,
        deadline_s=case.client.deadline_s,
        out=folder,
        command=replay_of(case, schedule, folder, rate),
        pg_bindir=pg_bindir,
        display="none",
    )
    # Witnesses are started by each drill, and stay until the lab ends.
    if request.topology.cluster.witness:
        keeper = None
    end = run_drill(request) if keeper is None else keeper.drill(request)
    return CaseDrilled(
        end=end,
        schedule=schedule,
        took_s=time.monotonic() - begin_s,
        lab_ended="" if keeper is None else keeper.ended_because,
    )


def replay_of(case: Case, schedule: Path, folder: Path, rate_per_s: float) -> str:
    """The command that runs the same drill again."""
    topology = folder.resolve() / "topology.toml"
    words = ["bascule", "drill", schedule.resolve(), "--topology", topology]
    words += ["--rate", f"{rate_per_s:g}", "--seed", case.seed]
    words += ["--workers", case.client.workers, "--deadline", f"{case.client.deadline_s:g}"]
    return shlex.join(str(word) for word in words)


def hindered_by_the_machine(drilled: CaseDrilled) -> bool:
    """Whether a run is UNKNOWN for no other reason than that the load could not be driven as asked,
    or that no load had begun: then the same case, run once more, tells more."""
    end = drilled.end
    if end.judged.verdict.verdict is not Verdict.UNKNOWN or end.stopped_by is not None:
        return False
    if not end.ran:
        return phase_window(end.judged.run, Phase.STEADY) is None
    return {finding.kind for finding in end.judged.verdict.findings} <= OF_THE_MACHINE


def line_of(
    case: Case, drilled: Sequence[CaseDrilled], campaign: Path, *, is_canary: bool, labs: int = 1
) -> RunDone:
    """What the journal says of a run: of its last attempt, and what all took."""
    last = drilled[-1]
    run, verdict = last.end.judged.run, last.end.judged.verdict
    cluster = case.topology.cluster
    worst = [
        finding.kind.word for finding in verdict.findings if finding.verdict == verdict.verdict
    ]
    return RunDone(
        n=case.n,
        is_canary=is_canary,
        folder=last.end.folder.relative_to(campaign.resolve()).as_posix(),
        schedule=last.schedule.resolve().relative_to(campaign.resolve()).as_posix(),
        topology=case.topology.name,
        ttl_s=cluster.ttl_s,
        witness=cluster.witness,
        durability=cluster.durability,
        workload=verdict.workload,
        seed=case.seed,
        faults=struck(case.scenario.faults),
        verdict=verdict.verdict.word,
        findings=tuple(dict.fromkeys(worst)),
        sentence=verdict_sentence(run, verdict),
        acknowledged=verdict.acknowledged,
        lost=verdict.lost,
        split_brain=verdict.split_brain,
        rto_s=_rounded(verdict.rto_s),
        outages_s={site.site: _rounded(site.outage_s) for site in verdict.sites},
        started_at=verdict.started_at,
        attempts=len(drilled),
        labs=labs,
        took_s=round(sum(one.took_s for one in drilled), 1),
        cost_s=_rounded(_cost_s(run, last.took_s)),
        parts_s=_parts_s(run, last.took_s),
        had_lab=had_lab(run.info),
        lab_ended=last.lab_ended,
    )


def struck(faults: tuple[FaultStep, ...]) -> tuple[StruckTarget, ...]:
    """The faults of a schedule, for the journal."""
    return tuple(StruckTarget(fault=step.fault, target=str(step.target)) for step in faults)


def _cost_s(run: Run, took_s: float) -> float | None:
    """What a run took beside its load and its faults."""
    steady, quiesce = phase_window(run, Phase.STEADY), phase_window(run, Phase.QUIESCE)
    if steady is None or quiesce is None:
        return None
    return took_s - (quiesce.begin_s - steady.begin_s)


def _parts_s(run: Run, took_s: float) -> Mapping[str, float]:
    """What a run took, by phase of its drill."""
    begin_s = run.info.started_t_s
    phases = [(one.phase, one.t_s) for one in run.events_of(PhaseBegan)]
    if not phases or phases[-1][0] != Phase.DONE:
        return {}
    later = [(phase, t_s) for phase, t_s in phases if phase not in {Phase.BOOT, Phase.DONE}]
    moments = [(str(Phase.BOOT), begin_s), *later, (JUDGED, phases[-1][1])]
    ends_s = [*(moment_s for _, moment_s in moments[1:]), begin_s + took_s]
    return {
        phase: round(until_s - from_s, 3)
        for (phase, from_s), until_s in zip(moments, ends_s, strict=True)
    }


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 3)
