"""Whether the load that was asked for was there: a drill without load proves nothing."""

from __future__ import annotations

from chaos.checkers import needs
from chaos.checkers.base import Checker
from chaos.evidence.run import Run
from chaos.findings import Finding, FindingKind, Verdict
from chaos.timing.model import Timing
from chaos.timing.settings import number_in_force

LOAD_TOO_LOW = FindingKind(
    word="load-too-low",
    meaning="UNKNOWN: a site had less than four fifths of the asked rate acknowledged in steady "
    "state.",
    heading="Load below what was asked",
    undecided="the load was too low to prove anything",
)

LOAD_SHARE_MIN = 0.8
"""The share of the asked rate that must be acknowledged in steady state. Less than that, and the
cluster was tested under another load than the report says."""


def check(run: Run, timing: Timing) -> list[Finding]:
    """One UNKNOWN finding for every site whose load stayed too low in the steady phase.

    A site with nothing acknowledged at all is left to the checker for service.
    """
    asked_per_s = number_in_force(run, "rate_per_s")
    if asked_per_s is None:
        return []
    return [
        Finding(
            kind=LOAD_TOO_LOW,
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
        for site in timing.sites
        if site.steady_rate_per_s and site.steady_rate_per_s < LOAD_SHARE_MIN * asked_per_s
    ]


CHECKER = Checker(
    name="load",
    question="The load that was asked for was there.",
    check_timing=check,
    finds=(LOAD_TOO_LOW,),
    needs=(needs.histories, needs.steady_state),
)
