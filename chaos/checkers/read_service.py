"""Reads served, and again in time, as each site saw it: on the primary, and on any server.

Demanded as writes are (``service``): while the topology is supposed to tolerate what is broken, and
of the sites that can be served. A site that is cut off from the primary can still be served by a
replica on its side, with data that grow old; only for want of any server it owes nothing.
"""

from __future__ import annotations

from chaos.checkers import needs
from chaos.checkers.base import Checker
from chaos.evidence.events import Phase
from chaos.evidence.reads import ReadKind
from chaos.evidence.records import Scalar
from chaos.evidence.run import Run
from chaos.findings import Finding, FindingKind, Verdict
from chaos.timing.load import UNSERVED_S_MIN, blur_s, phase_window
from chaos.timing.model import ReadTiming, ServiceGap, Timing
from chaos.timing.reads import DEMANDED

READS_NOT_KEPT = FindingKind(
    word="reads-not-served",
    meaning="INVALID: a site that could be served waited longer than the scenario's "
    "``rto_s_max`` for a read, on the primary or on any server; or one that could not, longer than "
    "``recovery_s_max`` after the heal; or it waited in vain when the load ended.",
    heading="Reads not served",
    proved="reads were not served as demanded",
    undecided="it is not known whether reads were served",
)

WORDS: dict[ReadKind, str] = {"primary": "on the primary", "any": "on any server"}
"""Of the kinds of which something is demanded."""


def check(run: Run, timing: Timing) -> list[Finding]:
    """At most one finding for each site and kind of read.

    Stalls of the load process itself are taken off what it waited. A drill that broke off, and a
    file that was cut short, show no wait at the end of the load.
    """
    stalls = {history.site: history.stalls for history in run.histories}
    findings = []
    for one in timing.reads:
        if one.kind not in DEMANDED:
            continue
        for gap, limit_s, setting in _demands(run, one):
            if gap.gap_s - blur_s(gap, stalls.get(one.site, ())) > limit_s:
                findings.append(_finding(one, gap, limit_s, setting))
                break
    return findings


def _demands(run: Run, one: ReadTiming) -> list[tuple[ServiceGap, float, str]]:
    """Each time that somebody waited, how long that may be, and which key says so."""
    scenario = run.info.scenario
    is_whole = any(found.site == one.site and found.complete for found in run.reads)
    demands = [
        (one.longest_due, scenario.expect.rto_s_max, "rto_s_max"),
        (one.longest_after_heal, scenario.recovery_s_max, "recovery_s_max"),
    ]
    found = [(gap, limit_s, key) for gap, limit_s, key in demands if gap is not None]
    if one.in_vain and is_whole and phase_window(run, Phase.QUIESCE) is not None:
        found.append((one.in_vain, UNSERVED_S_MIN, "at_end"))
    return found


def _finding(one: ReadTiming, gap: ServiceGap, limit_s: float, setting: str) -> Finding:
    begin = f"{one.site} waited {gap.gap_s:.2f} s for a read {WORDS[one.kind]}"
    if setting == "at_end":
        summary = f"{begin}, in vain, when the load ended."
    elif setting == "rto_s_max":
        summary = f"{begin}; allowed are {limit_s:g} s."
    else:
        summary = f"{begin} after everything was healed; allowed are {limit_s:g} s ({setting})."
    proof: dict[str, Scalar] = {
        "site": one.site,
        "read": one.kind,
        "from_s": gap.from_s,
        "to_s": gap.to_s,
        "gap_s": gap.gap_s,
        "allowed_s": limit_s,
        "reads": one.reads,
        "ok": one.ok,
    }
    for stretch in one.not_due:
        if stretch.to_s >= gap.from_s and stretch.from_s <= gap.to_s:
            proof["could_not_be_served"] = stretch.why
    return Finding(kind=READS_NOT_KEPT, verdict=Verdict.INVALID, summary=summary, evidence=(proof,))


CHECKER = Checker(
    name="read-service",
    question="Every site that could be served was read to, and again in time.",
    check_timing=check,
    finds=(READS_NOT_KEPT,),
    needs=(needs.reads, needs.steady_state, needs.faults_struck, needs.load_to_its_end),
    is_asked=lambda run: run.has_reads,
)
