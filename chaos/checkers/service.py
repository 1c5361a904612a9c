"""Service kept, and restored in time, as each site saw it.

Service is demanded while the topology is supposed to tolerate what is broken, and of the sites that
can be served (``chaos/timing/due.py``). A site that cannot be served owes nothing meanwhile. Once
everything is healed, it must be served again within the scenario's limit for recovery.
"""

from __future__ import annotations

from dataclasses import dataclass

from chaos.checkers import needs
from chaos.checkers.base import Checker
from chaos.evidence.events import Phase
from chaos.evidence.records import Scalar
from chaos.evidence.run import Run
from chaos.findings import Finding, FindingKind, Verdict
from chaos.timing.load import blur_s, phase_window
from chaos.timing.model import ServiceGap, SiteTiming, Timing

SERVICE_NOT_KEPT = FindingKind(
    word="service-not-kept",
    meaning="INVALID: a site that could be served had no acknowledged write for longer than the "
    "scenario's ``rto_s_max``, or one that could not was not served within ``recovery_s_max`` of "
    "the heal, or there was no service when the load ended. UNKNOWN: its history was cut short.",
    heading="Service not kept",
    proved="service was not restored as demanded",
    undecided="it is not known whether service was restored",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Demand:
    """A stretch without service, and how long it may last."""

    gap: ServiceGap
    limit_s: float
    setting: str
    """The key of the limit in the scenario."""
    blur_s: float
    """Of it stalls of the load process itself may have made."""

    @property
    def is_broken(self) -> bool:
        """It lasted too long, whatever the stalls made of it."""
        return self.gap.gap_s - self.blur_s > self.limit_s


def check(run: Run, timing: Timing) -> list[Finding]:
    """At most one finding a site: the gravest problem of its service.

    A drill that broke off may have done so while the service was still on its way back: there only
    a gap beyond the limit counts. A gap beyond the limit that stalls of the load process itself
    could explain is left to the checker for stalls, which says UNKNOWN. A history that was cut
    short cannot prove that nothing was acknowledged after its last line: UNKNOWN as well.
    """
    came_to_its_end = phase_window(run, Phase.QUIESCE) is not None
    whole = {history.site for history in run.histories if history.complete}
    findings = []
    for site in timing.sites:
        if site.operations == 0 or site.longest_gap is None:
            continue  # no demand, no service to judge: the checker for completeness says so
        demands = _demands(run, site)
        broken = next((one for one in demands if one.is_broken), None)
        if not came_to_its_end and broken is None:
            continue
        summary = _complaint(site, broken)
        if summary is not None:
            shown = broken or _longest(site, demands)
            decided = site.site in whole or not shown.gap.open
            findings.append(_finding(site, shown, summary, decided=decided))
    return findings


def _demands(run: Run, site: SiteTiming) -> tuple[_Demand, ...]:
    scenario = run.info.scenario
    stalls = {history.site: history.stalls for history in run.histories}[site.site]
    limits = (
        (site.longest_due, scenario.expect.rto_s_max, "rto_s_max"),
        (site.longest_after_heal, scenario.recovery_s_max, "recovery_s_max"),
    )
    return tuple(
        _Demand(
            gap=gap,
            limit_s=limit_s,
            setting=setting,
            blur_s=blur_s(gap, stalls),
        )
        for gap, limit_s, setting in limits
        if gap is not None
    )


def _longest(site: SiteTiming, demands: tuple[_Demand, ...]) -> _Demand:
    """What is shown where no limit was broken: an open stretch, else the longest."""
    assert site.longest_gap is not None
    whole = _Demand(gap=site.longest_gap, limit_s=0.0, setting="rto_s_max", blur_s=0.0)
    return max(demands, key=lambda one: (one.gap.open, one.gap.gap_s), default=whole)


def _complaint(site: SiteTiming, broken: _Demand | None) -> str | None:
    """What is wrong with the service of a site; None if all is well."""
    if site.ok == 0:
        return f"{site.site} had not one write acknowledged."
    if site.served_again is False and site.due_at_end:
        return f"{site.site} was without service when the load ended."
    if site.steady_rate_per_s == 0:
        return f"{site.site} had no write acknowledged in the steady phase, before any fault."
    if broken is None:
        return None
    begin = f"{site.site} was without acknowledged write for {broken.gap.gap_s:.2f} s"
    if broken.setting == "rto_s_max":
        return f"{begin}; allowed are {broken.limit_s:g} s."
    return (
        f"{begin} after everything was healed; allowed are {broken.limit_s:g} s (recovery_s_max)."
    )


def _finding(site: SiteTiming, shown: _Demand, summary: str, *, decided: bool) -> Finding:
    proof: dict[str, Scalar] = {
        "site": site.site,
        "from_s": shown.gap.from_s,
        "to_s": shown.gap.to_s,
        "gap_s": shown.gap.gap_s,
        shown.setting: shown.limit_s,
        "served_again": site.served_again,
        "operations": site.operations,
        "ok": site.ok,
    }
    for stretch in site.not_due:
        if stretch.to_s >= shown.gap.from_s and stretch.from_s <= shown.gap.to_s:
            proof["could_not_be_served"] = stretch.why
    return Finding(
        kind=SERVICE_NOT_KEPT,
        verdict=Verdict.INVALID if decided else Verdict.UNKNOWN,
        summary=summary,
        evidence=(proof,),
    )


CHECKER = Checker(
    name="service",
    question="Every site that could be served was, and again in time.",
    check_timing=check,
    finds=(SERVICE_NOT_KEPT,),
    needs=(needs.histories, needs.steady_state, needs.faults_struck, needs.load_to_its_end),
)
