"""The parts of an outage: fault, leader key gone, new leader key, promoted, first write. Pure.

Where an operator promotes a standby cluster, its leader key was there before: what is waited for is
the decision, and it has a part of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from chaos.evidence.events import FaultStruck, LeaderSeen, RoleSeen
from chaos.evidence.run import Run
from chaos.faults.promote_standby import KEY as PROMOTE_STANDBY
from chaos.timing.model import RtoPhase, ServiceGap

FAULT_GRACE_S = 1.0
"""A fault still began an outage when a last write was acknowledged so shortly after it was noted:
the note is written before the fault bites, and answers may still be on their way."""

OBSERVER_LAG_S = 1.0
"""What the observers note so shortly after the first acknowledged write still belongs to the
outage: roles are polled, and the watch of the leader key shares two cores with the load."""


def fault_of(gap: ServiceGap | None, faults: Sequence[FaultStruck]) -> FaultStruck | None:
    """The fault that began an outage.

    Usually it is noted some milliseconds before or after the last acknowledged write. When a
    scenario strikes twice (first the replicas, then the primary), the one next to the outage's
    begin is meant, not the first.

    Args:
        gap: The outage; None where there is none, which gives the first fault.
        faults: The faults in order.
    """
    if not faults:
        return None
    if gap is None:
        return faults[0]
    before = [event for event in faults if event.t_s <= gap.from_s]
    within = [event for event in faults if gap.from_s < event.t_s < gap.to_s]
    if before and gap.from_s - before[-1].t_s <= FAULT_GRACE_S:
        return before[-1]
    if within:
        return within[0]
    return before[-1] if before else None


def rto_phases_s(
    run: Run, fault_s: float, first_acknowledged_s: float | None
) -> dict[RtoPhase, float]:
    """The parts of the outage that happened, in order, in seconds.

    A part that did not happen is absent: a crashed process that came back in place never lost the
    leader key. Moments that were observed late are pulled back to what an acknowledged write
    proves, so that no part is negative and they add up to the time from the fault to the first
    acknowledged write.

    Args:
        fault_s: When the fault struck.
        first_acknowledged_s: End of the outage; None when it never ended.
    """
    end_s = float("inf") if first_acknowledged_s is None else first_acknowledged_s
    gone_s, taken = _leader_key(run, fault_s, end_s + OBSERVER_LAG_S)
    decided_s = _decided_s(run, fault_s, end_s)
    promoted_s = None
    if decided_s is not None:
        taken, promoted_s = None, _promoted_s(run, None, decided_s)
    elif taken is not None:
        promoted_s = _promoted_s(run, taken.holder, taken.t_s)
    marks: list[tuple[RtoPhase, float | None]] = [
        ("fault_to_leader_key_gone", gone_s),
        ("to_decision_by_hand", decided_s),
        ("to_new_leader_key", taken.t_s if taken else None),
        ("to_promoted", promoted_s),
        ("to_first_acknowledged", first_acknowledged_s),
    ]
    known = [(name, min(moment, end_s)) for name, moment in marks if moment is not None]
    moments = [fault_s]
    for _, moment in known:
        moments.append(max(moments[-1], moment))
    return {
        name: later - earlier
        for (name, _), (earlier, later) in zip(known, pairwise(moments), strict=True)
    }


def _leader_key(run: Run, fault_s: float, until_s: float) -> tuple[float | None, LeaderSeen | None]:
    """When the leader key was gone after the fault, and the event that shows its new holder."""
    holder_before: str | None = None
    gone_s: float | None = None
    for event in run.events_of(LeaderSeen):
        if event.t_s <= fault_s:
            holder_before = event.holder
        elif event.t_s > until_s:
            break
        elif event.holder is None:
            gone_s = event.t_s if gone_s is None else gone_s
        elif gone_s is not None or event.holder != holder_before:
            return gone_s, event
    return gone_s, None


def _decided_s(run: Run, fault_s: float, until_s: float) -> float | None:
    """When an operator promoted the standby cluster during the outage; None: nobody did."""
    struck = [event.t_s for event in run.events_of(FaultStruck) if event.fault == PROMOTE_STANDBY]
    return next((t_s for t_s in struck if fault_s < t_s < until_s), None)


def _promoted_s(run: Run, node: str | None, from_s: float) -> float | None:
    """When a node (None: any) was first known to be the primary from a moment on: seen as such, or
    acknowledging."""
    seen = [
        event.t_s
        for event in run.events_of(RoleSeen)
        if event.t_s >= from_s and node in (None, event.node) and event.is_primary
    ]
    acknowledged = [
        operation.ended_s
        for history in run.histories
        for operation in history.operations
        if operation.outcome == "ok"
        and node in (None, operation.node)
        and operation.ended_s is not None
        and operation.ended_s >= from_s
    ]
    return min([*seen[:1], *acknowledged], default=None)
