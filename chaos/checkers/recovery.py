"""A cluster that did not become whole again within its time after heal."""

from __future__ import annotations

from chaos.checkers import needs
from chaos.checkers.base import Checker
from chaos.evidence.events import ClusterNotWhole, ClusterSettled, FaultHealed, Phase, PhaseBegan
from chaos.evidence.run import Run
from chaos.findings import Finding, FindingKind, Verdict

STUCK_CLUSTER = FindingKind(
    word="stuck-cluster",
    meaning="INVALID: the cluster was not whole, every replica caught up, within the scenario's "
    "``recovery_s_max`` after heal.",
    heading="Cluster not whole again in time",
    proved="the cluster was not whole again in time",
    undecided="it is not known whether the cluster became whole again",
)

NOTICE_S_MAX = 1.0
"""How much later than its limit a recovery in time may be noted: members are polled."""


def check(run: Run) -> list[Finding]:
    """Demands the ``settled`` event, in time, of every run that got past recovery.

    The checker for completeness reports a run that was stopped before that.
    """
    limit_s = run.info.scenario.recovery_s_max
    phases = {event.phase: event.t_s for event in run.events_of(PhaseBegan)}
    heals = [event.t_s for event in run.events_of(FaultHealed)]
    settled = run.events_of(ClusterSettled)
    if not settled:
        missing = [str(event.missing) for event in run.events_of(ClusterNotWhole)]
        if not missing and not needs.AFTER_RECOVERY & phases.keys():
            return []
        summary = f"The cluster was not whole again within {limit_s:g} s"
        return [_finding(f"{': '.join([summary, *missing[-1:]])}.", None, limit_s)]
    begin_s = max([*heals, phases.get(Phase.RECOVERY, settled[-1].t_s)])
    took_s = settled[-1].t_s - begin_s
    if took_s <= limit_s + NOTICE_S_MAX:
        return []
    summary = f"The cluster was whole again only after {took_s:.1f} s; allowed are {limit_s:g} s."
    return [_finding(summary, took_s, limit_s)]


def _finding(summary: str, took_s: float | None, limit_s: float) -> Finding:
    return Finding(
        kind=STUCK_CLUSTER,
        verdict=Verdict.INVALID,
        summary=summary,
        evidence=({"recovery_s": took_s, "recovery_s_max": limit_s},),
    )


CHECKER = Checker(
    name="recovery",
    question="The cluster became whole again in time.",
    check=check,
    finds=(STUCK_CLUSTER,),
    needs=(needs.recovery_over,),
)
