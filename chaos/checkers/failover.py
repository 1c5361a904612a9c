"""Whether the lead went to another node, held against what the scenario expects."""

from __future__ import annotations

import math

from chaos.checkers import needs
from chaos.checkers.base import Checker
from chaos.evidence.events import (
    ClusterSettled,
    FaultHealed,
    FaultStruck,
    LeaderSeen,
    Phase,
    RoleSeen,
)
from chaos.evidence.run import Run
from chaos.findings import Evidence, Finding, FindingKind, Verdict
from chaos.timing.load import phase_window

UNEXPECTED_FAILOVER = FindingKind(
    word="unexpected-failover",
    meaning="INVALID: the lead changed, or the timeline did, where the scenario says ``must-not``, "
    "or before the heal where it says ``not-while-broken``.",
    heading="Failover that was not expected",
    proved="the cluster failed over where it must not",
    undecided="it is not known whether the lead changed",
)

MISSING_FAILOVER = FindingKind(
    word="missing-failover",
    meaning="INVALID: the lead did not change where the scenario says ``must``. UNKNOWN: nobody "
    "would have seen it.",
    heading="Failover that did not happen",
    proved="the cluster did not fail over where it must",
    undecided="it is not known whether the lead changed",
)


def check(run: Run) -> list[Finding]:
    """Looks at the leader key, the roles, the timelines and who acknowledged, from steady state on.

    A **failover** is a change of the primary's node, planned or not. Where none may happen, a new
    timeline on the same node counts too: the primary was demoted and promoted again. A leader key
    that was gone for a moment and went back to its holder is no failover.
    """
    steady = phase_window(run, Phase.STEADY)
    expected = run.info.scenario.expect.failover
    if steady is None or expected == "may":
        return []
    moves, watched = _moves(run, steady.begin_s)
    if expected == "must":
        decided = watched and phase_window(run, Phase.QUIESCE) and run.events_of(FaultStruck)
        return [] if moves else [_missing(bool(decided))]
    until_s = math.inf if expected == "must-not" else _healed_s(run)
    signs = [*moves, *_new_timelines(run, steady.begin_s)]
    unexpected = [sign for sign in signs if float(str(sign["t_s"])) < until_s]
    if not unexpected:
        return []
    return [
        Finding(
            kind=UNEXPECTED_FAILOVER,
            verdict=Verdict.INVALID,
            summary="The lead changed though this scenario gives no reason for it: "
            + ", ".join(dict.fromkeys(str(sign["sign"]) for sign in unexpected))
            + ".",
            evidence=tuple(unexpected),
        )
    ]


def _healed_s(run: Run) -> float:
    """When the first heal after the last strike began; never, where none is on record."""
    last_s = max((event.t_s for event in run.events_of(FaultStruck)), default=-math.inf)
    heals = (event.t_s for event in run.events_of(FaultHealed) if event.t_s > last_s)
    return min(heals, default=math.inf)


def _missing(decided: bool) -> Finding:
    """The finding for a failover that is not on record.

    Args:
        decided: The fault struck, the drill came to its end, and it would have been seen.
    """
    return Finding(
        kind=MISSING_FAILOVER,
        verdict=Verdict.INVALID if decided else Verdict.UNKNOWN,
        summary="No other node took the lead, though this scenario must make one do so."
        if decided
        else "The record cannot tell whether another node took the lead.",
    )


def _moves(run: Run, begin_s: float) -> tuple[list[Evidence], bool]:
    """Signs that another node led than when steady state began, and whether there was any witness.

    The node of a resolved operation is left out: its answer came from a node asked later.
    """
    sightings: list[tuple[float, str, str]] = [
        (event.t_s, event.holder, "leader key")
        for event in run.events_of(LeaderSeen)
        if event.holder is not None
    ]
    sightings += [
        (event.t_s, event.node, "role") for event in run.events_of(RoleSeen) if event.is_primary
    ]
    first_acknowledged: dict[str, float] = {}
    for history in run.histories:
        for op in history.operations:
            if op.outcome == "ok" and op.node and op.ended_s is not None and not op.resolved:
                known_s = first_acknowledged.get(op.node, op.ended_s)
                first_acknowledged[op.node] = min(known_s, op.ended_s)
    sightings += [(t_s, node, "acknowledged") for node, t_s in first_acknowledged.items()]
    sightings.sort()
    before = [sighting for sighting in sightings if sighting[0] <= begin_s]
    reference = before[-1:] or sightings[:1]
    leader = reference[0][1] if reference else None
    moves: list[Evidence] = [
        {"t_s": t_s, "sign": sign, "node": node, "leader_before": leader}
        for t_s, node, sign in sightings
        if t_s > begin_s and node != leader
    ]
    return moves, bool(sightings)


def _new_timelines(run: Run, begin_s: float) -> list[Evidence]:
    """Signs that the timeline is not the one of when steady state began."""
    sightings: dict[int, float] = {}
    for history in run.histories:
        for op in history.operations:
            if op.outcome == "ok" and op.timeline is not None and not op.resolved:
                ended_s = op.invoked_s if op.ended_s is None else op.ended_s
                sightings[op.timeline] = min(sightings.get(op.timeline, ended_s), ended_s)
    for event in run.events_of(ClusterSettled):
        if event.timeline is not None:
            first_s = sightings.get(event.timeline, event.t_s)
            sightings[event.timeline] = min(first_s, event.t_s)
    if not sightings:
        return []
    first = min(sightings, key=lambda timeline: (sightings[timeline], timeline))
    return [
        {"t_s": t_s, "sign": "timeline", "timeline": timeline, "timeline_before": first}
        for timeline, t_s in sorted(sightings.items())
        if timeline != first and t_s > begin_s
    ]


CHECKER = Checker(
    name="failover",
    question="The lead changed only as the scenario expects.",
    check=check,
    finds=(UNEXPECTED_FAILOVER, MISSING_FAILOVER),
    needs=(needs.steady_state, needs.faults_struck, needs.whole_events, needs.who_led),
)
