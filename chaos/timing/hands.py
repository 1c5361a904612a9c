"""How long people took to bring the service back: what they decided and did by hand, told apart.

Of the whole outage only this part is a matter of people, and of rehearsal. In a drill the decision
is as long as its schedule says, and stands for the time that a real one takes. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from chaos.evidence.events import FaultStruck
from chaos.evidence.run import Run
from chaos.faults.registry import FAULTS


@dataclass(frozen=True, slots=True, kw_only=True)
class HandStep:
    """One thing that was done by hand while the service was away."""

    fault: str
    """Its key in the fault catalogue."""
    node: str
    began_s: float
    """A moment (monotonic)."""
    decided_s: float | None
    """From the last fault before it until it was begun; None: there was none."""
    took_s: float | None
    """From then until it had taken effect; None: not on record."""
    detail: str


def hand_steps(run: Run) -> tuple[HandStep, ...]:
    """What was done by hand, in order; empty where nothing was."""
    struck = run.events_of(FaultStruck)
    found = []
    for one in struck:
        kind = FAULTS.get(one.fault)
        if kind is None or not kind.by_hand:
            continue
        before = [other.t_s for other in struck if other.t_s < one.t_s]
        took_s = one.took_s
        found.append(
            HandStep(
                fault=one.fault,
                node=one.target or "",
                began_s=one.t_s,
                decided_s=one.t_s - max(before) if before else None,
                took_s=None if took_s is None else float(took_s),
                detail=one.detail or "",
            )
        )
    return tuple(found)
