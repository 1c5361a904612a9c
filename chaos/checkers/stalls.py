"""Load processes that stood still: is the measured outage the cluster's, or the instrument's?

A stall matters where it touches the gap that is measured: the last write before may have been noted
late, or the service may have been back while nobody looked. Each such stall can make the gap wrong
by at most its own length. The timing is UNKNOWN only if that could change something:

- the limit of the scenario lies within the measured gap plus or minus the stalls that touch it, or
- they add up to more than a tenth of a measured outage.

Every other stall is only counted (``stalls`` and ``longest_stall_s`` of each site in
``verdict.json``).
"""

from __future__ import annotations

from collections.abc import Sequence

from chaos.evidence.records import Scalar, Stall
from chaos.evidence.run import Run
from chaos.timing import SiteTiming, measure
from chaos.timing.measure import STALL_S_MAX
from chaos.timing.model import Gap
from chaos.verdict import Finding, FindingKind, Verdict

BLUR_SHARE_MAX = 0.10
"""The share of an outage that stalls may make up before its length is not to be believed."""

EDGE_S = 0.1
"""A stall that ended so shortly before a gap began touches it: after a stall, the answers that
queued up are noted within some turns of the event loop."""


def check(run: Run) -> list[Finding]:
    """One finding for every site whose measured outage could be the load process's own doing."""
    limit_s = run.info.scenario.expect.rto_s_max
    stalls = {history.site: history.stalls for history in run.histories}
    findings = []
    for site in measure(run).sites:
        gap, is_outage = _judged_gap(site)
        touching = () if gap is None else touching_stalls(gap, stalls[site.site])
        if gap is None or not touching:
            continue
        blur_s = sum(stall.stall_s for stall in touching)
        undecided = gap.gap_s - blur_s <= limit_s < gap.gap_s + blur_s
        if undecided or (is_outage and blur_s > BLUR_SHARE_MAX * gap.gap_s):
            findings.append(_finding(site.site, gap, touching, limit_s))
    return findings


def touching_stalls(gap: Gap, stalls: Sequence[Stall]) -> tuple[Stall, ...]:
    """The stalls that overlap a gap or its edges.

    A stall is noted when the loop runs again: it lasted from ``t_s - stall_s`` to ``t_s``.
    """
    return tuple(
        stall
        for stall in stalls
        if stall.stall_s > STALL_S_MAX
        and stall.t_s >= gap.from_s - EDGE_S
        and stall.t_s - stall.stall_s <= gap.to_s
    )


def _judged_gap(site: SiteTiming) -> tuple[Gap | None, bool]:
    """The gap that decides for this site, and whether it is the outage that a fault made."""
    before_s, after_s = site.last_acknowledged_before_s, site.first_acknowledged_after_s
    if before_s is not None and after_s is not None:
        return Gap(from_s=before_s, to_s=after_s), True
    return site.longest_gap, False


def _finding(site: str, gap: Gap, touching: Sequence[Stall], limit_s: float) -> Finding:
    blur_s = sum(stall.stall_s for stall in touching)
    evidence: list[dict[str, Scalar]] = [
        {"site": site, "from_s": gap.from_s, "to_s": gap.to_s, "rto_s_max": limit_s},
    ]
    for stall in touching:
        evidence.append({"site": site, "t_s": stall.t_s, "stall_s": stall.stall_s})
    return Finding(
        kind=FindingKind.STALLED_LOAD,
        verdict=Verdict.UNKNOWN,
        summary=f"The load process of {site} itself stood still for {blur_s:.2f} s around the "
        f"{gap.gap_s:.2f} s without service that were measured there.",
        evidence=tuple(evidence),
    )
