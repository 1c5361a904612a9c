"""A cluster that did not become whole again within its time after heal."""

from __future__ import annotations

from chaos.evidence.run import Run
from chaos.verdict import Finding, FindingKind, Verdict

AFTER_RECOVERY = frozenset({"quiesce", "final-read", "done"})
"""Phases that begin when recovery has ended, well or not."""

NOTICE_S_MAX = 1.0
"""How much later than its limit a recovery in time may be noted: members are polled."""


def check(run: Run) -> list[Finding]:
    """Demands the ``settled`` event, in time, of every run that got past recovery.

    A run that was stopped before says nothing about recovery; the checker for completeness does.
    """
    limit_s = run.info.scenario.recovery_s_max
    phases = {str(event.fields.get("phase")): event.t_s for event in run.events_of("phase")}
    heals = [event.t_s for event in run.events_of("heal")]
    settled = run.events_of("settled")
    if not settled:
        if not AFTER_RECOVERY & phases.keys():
            return []
        missing = [str(event.fields.get("missing")) for event in run.events_of("not-whole")]
        summary = f"The cluster was not whole again within {limit_s:g} s"
        return [_finding(f"{': '.join([summary, *missing[-1:]])}.", None, limit_s)]
    begin_s = max([*heals, phases.get("recovery", settled[-1].t_s)])
    took_s = settled[-1].t_s - begin_s
    if took_s <= limit_s + NOTICE_S_MAX:
        return []
    summary = f"The cluster was whole again only after {took_s:.1f} s; allowed are {limit_s:g} s."
    return [_finding(summary, took_s, limit_s)]


def _finding(summary: str, took_s: float | None, limit_s: float) -> Finding:
    return Finding(
        kind=FindingKind.STUCK_CLUSTER,
        verdict=Verdict.INVALID,
        summary=summary,
        evidence=({"recovery_s": took_s, "recovery_s_max": limit_s},),
    )
