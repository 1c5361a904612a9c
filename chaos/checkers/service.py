"""Service kept, and restored in time, as each site saw it."""

from __future__ import annotations

from chaos.checkers.stalls import touching_stalls
from chaos.evidence.run import Run
from chaos.timing import SiteTiming, measure
from chaos.timing.load import phase_window
from chaos.timing.model import Gap
from chaos.verdict import Finding, FindingKind, Verdict


def check(run: Run) -> list[Finding]:
    """At most one finding a site: the gravest thing that can be said of its service.

    A drill that broke off may have done so while the service was still on its way back: there only
    a gap beyond the limit counts. A gap beyond the limit that stalls of the load process itself
    could explain is left to the checker for stalls, which says UNKNOWN. A history that was cut
    short cannot prove that nothing was acknowledged after its last line: UNKNOWN as well.
    """
    limit_s = run.info.scenario.expect.rto_s_max
    came_to_its_end = phase_window(run, "quiesce") is not None
    stalls = {history.site: history.stalls for history in run.histories}
    whole = {history.site for history in run.histories if history.complete}
    findings = []
    for site in measure(run).sites:
        gap = site.longest_gap
        if site.operations == 0 or gap is None:
            continue  # no demand, no service to judge: the checker for completeness says so
        blur_s = sum(stall.stall_s for stall in touching_stalls(gap, stalls[site.site]))
        if not came_to_its_end and gap.gap_s - blur_s <= limit_s:
            continue
        summary = _complaint(site, gap, blur_s, limit_s)
        if summary is not None:
            decided = site.site in whole or not gap.open
            findings.append(_finding(site, gap, limit_s, summary, decided=decided))
    return findings


def _complaint(site: SiteTiming, gap: Gap, blur_s: float, limit_s: float) -> str | None:
    """What is wrong with the service of a site; None when nothing is."""
    if site.ok == 0:
        return f"{site.site} had not one write acknowledged."
    if site.served_again is False:
        return f"{site.site} was without service when the load ended."
    if site.steady_rate_per_s == 0:
        return f"{site.site} had no write acknowledged in the steady phase, before any fault."
    if gap.gap_s - blur_s > limit_s:
        return (
            f"{site.site} was without acknowledged write for {gap.gap_s:.2f} s; "
            f"allowed are {limit_s:g} s."
        )
    return None


def _finding(site: SiteTiming, gap: Gap, limit_s: float, summary: str, *, decided: bool) -> Finding:
    return Finding(
        kind=FindingKind.SERVICE_NOT_KEPT,
        verdict=Verdict.INVALID if decided else Verdict.UNKNOWN,
        summary=summary,
        evidence=(
            {
                "site": site.site,
                "from_s": gap.from_s,
                "to_s": gap.to_s,
                "gap_s": gap.gap_s,
                "rto_s_max": limit_s,
                "served_again": site.served_again,
                "operations": site.operations,
                "ok": site.ok,
            },
        ),
    )
