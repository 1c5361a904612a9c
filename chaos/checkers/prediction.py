"""What topology and settings predict of the service, held against what the drill has shown.

How long an outage lasts varies, and the report holds it against the prediction. Whether there is
service at all while the faults last does not vary: where prediction and drill differ in that, one
of them is wrong, and the drill's result for this topology is unreliable until it is known which.
"""

from __future__ import annotations

from chaos.checkers import needs
from chaos.checkers.base import Checker
from chaos.evidence.events import FaultHealed, FaultStruck
from chaos.evidence.records import Operation
from chaos.evidence.run import Run
from chaos.findings import Finding, FindingKind, Verdict
from chaos.timing.failover import FAULT_GRACE_S
from chaos.timing.model import Prediction, Timing

PREDICTION_REFUTED = FindingKind(
    word="prediction-refuted",
    meaning="UNKNOWN: there was service before the heal where topology and settings allow none, or "
    "none where they let expect some: one of drill and prediction is wrong.",
    heading="Service other than predicted",
    undecided="drill and prediction disagree on whether there can be service",
)


def check(run: Run, timing: Timing) -> list[Finding]:
    """At most one finding: service where none was possible, or none where it was due.

    Only what happened between the first fault and the first heal counts, where nothing but the
    cluster itself can have brought service back.
    """
    prediction = timing.prediction
    struck_s = min((event.t_s for event in run.events_of(FaultStruck)), default=None)
    if prediction is None or struck_s is None:
        return []
    healed_s = min((e.t_s for e in run.events_of(FaultHealed) if e.t_s > struck_s), default=None)
    if prediction.service == "none-until-healed":
        begun_s = struck_s + FAULT_GRACE_S + prediction.begins_within_s
        served = _first_acknowledged(run, begun_s, healed_s, prediction.sites)
        return [] if served is None else [_served(prediction, served, struck_s)]
    # A heal that comes before service is due needs no wait.
    due_s = struck_s + prediction.high_s + FAULT_GRACE_S
    if healed_s is None or healed_s <= due_s or len(run.info.scenario.faults) > 1:
        return []
    if _first_acknowledged(run, struck_s + FAULT_GRACE_S, healed_s) is not None:
        return []
    return [_not_served(prediction, healed_s - struck_s)]


def _first_acknowledged(
    run: Run, from_s: float, until_s: float | None, sites: tuple[str, ...] = ()
) -> Operation | None:
    """The first write that an attempt after ``from_s`` had acknowledged before ``until_s``, in one
    of these sites; none: in any.

    Resolved ones are left out: they took effect before, and were only asked about.
    """
    found = [
        op
        for history in run.histories
        if not sites or history.site in sites
        for op in history.operations
        if op.outcome == "ok"
        and not op.resolved
        and op.leaves_entry
        and op.ended_s is not None
        and op.begin_s >= from_s
        and (until_s is None or op.ended_s < until_s)
    ]
    return min(found, key=lambda op: op.ended_s or 0.0, default=None)


def _served(prediction: Prediction, served: Operation, struck_s: float) -> Finding:
    ended_s = served.ended_s or 0.0
    return Finding(
        kind=PREDICTION_REFUTED,
        verdict=Verdict.UNKNOWN,
        summary="By topology and settings there could be no service before the heal, and a write "
        f"was acknowledged {ended_s - struck_s:.1f} s after the fault: the prediction is wrong, or "
        "the settings were not in force.",
        evidence=(
            {
                "predicted": prediction.service,
                "why": prediction.words,
                "id": served.id,
                "site": served.site,
                "node": served.node,
                "acknowledged_s": ended_s,
            },
        ),
    )


def _not_served(prediction: Prediction, healed_after_s: float) -> Finding:
    return Finding(
        kind=PREDICTION_REFUTED,
        verdict=Verdict.UNKNOWN,
        summary=f"By topology and settings service was due {prediction.high_s:g} s after the fault "
        f"at the latest, and none came in the {healed_after_s:.1f} s until the heal: the "
        "prediction is wrong, or the cluster was hindered by something else.",
        evidence=(
            {
                "predicted": prediction.service,
                "why": prediction.words,
                "high_s": prediction.high_s,
                "healed_after_s": healed_after_s,
            },
        ),
    )


CHECKER = Checker(
    name="prediction",
    question="There was service while the faults lasted as topology and settings predict.",
    check_timing=check,
    finds=(PREDICTION_REFUTED,),
    needs=(needs.histories, needs.faults_struck),
)
