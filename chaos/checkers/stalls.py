"""Load processes that stood still: is the measured outage the cluster's, or the instrument's?

A stall matters where it touches the gap that is measured: the last write before may have been noted
late, or the service may have been back unnoticed. Each such stall can make the gap wrong
by at most its own length. The timing is UNKNOWN only if that could change something:

- the limit of the scenario lies within the measured gap plus or minus the stalls that touch it, or
- they add up to more than a tenth of a measured outage, and to more than half a second.

Every other stall is counted (``stalls`` and ``longest_stall_s`` of each site in ``verdict.json``),
and told beside the outage that it touches (``outage_blur_s``).
"""

from __future__ import annotations

from collections.abc import Sequence

from chaos.checkers import needs
from chaos.checkers.base import Checker
from chaos.evidence.records import Scalar, Stall
from chaos.evidence.run import Run
from chaos.findings import Finding, FindingKind, Verdict
from chaos.timing.load import blur_s, touching_stalls
from chaos.timing.model import ServiceGap, SiteTiming, Timing

STALLED_LOAD = FindingKind(
    word="stalled-load",
    meaning="UNKNOWN: a load process itself stood still, so that the outage it measured may be its "
    "own.",
    heading="Load process stood still",
    undecided="a load process stood still",
)

BLUR_SHARE_MAX = 0.10
"""The share of an outage that stalls may make up before its length is not to be believed."""
BLUR_S_MAX = 0.5
"""So much is told beside a short outage, and leaves the verdict. A lost primary that is replaced
within a second would else be UNKNOWN by every stall that is counted (``STALL_S_MAX``), although
nobody doubts that the limit was kept."""


def check(run: Run, timing: Timing) -> list[Finding]:
    """One finding for every site whose measured outage could be the load process's own doing."""
    limit_s = run.info.scenario.expect.rto_s_max
    stalls = {history.site: history.stalls for history in run.histories}
    findings = []
    for site in timing.sites:
        gap, is_outage = _judged_gap(site)
        touching = () if gap is None else touching_stalls(gap, stalls[site.site])
        if gap is None or not touching:
            continue
        wrong_s = blur_s(gap, touching)
        undecided = gap.gap_s - wrong_s <= limit_s < gap.gap_s + wrong_s
        if undecided or (is_outage and wrong_s > max(BLUR_S_MAX, BLUR_SHARE_MAX * gap.gap_s)):
            findings.append(_finding(site.site, gap, touching, limit_s))
    return findings


def _judged_gap(site: SiteTiming) -> tuple[ServiceGap | None, bool]:
    """The gap that decides for this site, and whether it is the outage that a fault made."""
    if site.not_due:
        return site.longest_due, False  # how long it could not be served is no demand
    before_s, after_s = site.last_acknowledged_before_s, site.first_acknowledged_after_s
    if before_s is not None and after_s is not None:
        return ServiceGap(from_s=before_s, to_s=after_s), True
    return site.longest_gap, False


def _finding(site: str, gap: ServiceGap, touching: Sequence[Stall], limit_s: float) -> Finding:
    evidence: list[dict[str, Scalar]] = [
        {"site": site, "from_s": gap.from_s, "to_s": gap.to_s, "rto_s_max": limit_s},
    ]
    for stall in touching:
        evidence.append({"site": site, "t_s": stall.t_s, "stall_s": stall.stall_s})
    return Finding(
        kind=STALLED_LOAD,
        verdict=Verdict.UNKNOWN,
        summary=f"The load process of {site} itself stood still for {blur_s(gap, touching):.2f} s "
        f"around the {gap.gap_s:.2f} s without service that were measured there.",
        evidence=tuple(evidence),
    )


CHECKER = Checker(
    name="instrument",
    question="No stall of the load processes blurs the measured outage.",
    check_timing=check,
    finds=(STALLED_LOAD,),
    needs=(needs.histories,),
)
