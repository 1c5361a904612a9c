"""Whether the load that was asked for was there: a drill without load proves nothing."""

from __future__ import annotations

from chaos.evidence.run import Run
from chaos.timing import measure
from chaos.timing.settings import number_in_force
from chaos.verdict import Finding, FindingKind, Verdict

LOAD_SHARE_MIN = 0.8
"""The share of the asked rate that must be acknowledged in steady state. Less than that, and the
cluster was tested under another load than the report says."""


def check(run: Run) -> list[Finding]:
    """One UNKNOWN finding for every site whose load stayed too low in the steady phase.

    A site with nothing acknowledged at all is left to the checker for service.
    """
    asked_per_s = number_in_force(run, "rate_per_s")
    if asked_per_s is None:
        return []
    return [
        Finding(
            kind=FindingKind.LOAD_TOO_LOW,
            verdict=Verdict.UNKNOWN,
            summary=f"{site.site} had {site.steady_rate_per_s:.1f} writes a second acknowledged in "
            f"steady state; {asked_per_s:g} were asked for.",
            evidence=(
                {
                    "site": site.site,
                    "rate_per_s": site.steady_rate_per_s,
                    "asked_per_s": asked_per_s,
                },
            ),
        )
        for site in measure(run).sites
        if site.steady_rate_per_s and site.steady_rate_per_s < LOAD_SHARE_MIN * asked_per_s
    ]
