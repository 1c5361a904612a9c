"""How long an outage should be, going by the settings: what a drill is held against. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from chaos.scenarios.model import FaultStep
from chaos.timing.model import Prediction

ELECTION_S_MAX = 9.0
"""From the leader key's end to the first acknowledged write. Measured: 4.0 to 8.6 s in 3 sites with
strict quorum (the old leader's REST API is waited for 2 s, then promotion, then the next loops name
the remaining standby)."""

RESTART_S_MAX = 5.0
"""From the detection of a crashed postmaster to the first acknowledged write on the same node:
crash recovery of a small database and Patroni's next look at it."""

SWITCHOVER_S_MAX = 9.0
"""A planned change of the primary: shutdown checkpoint, promotion, next loop. Measured: 4.3 s with
Patroni's defaults; the same upper bound as for an election."""

_TTL_SOURCE = "Patroni documentation, Dynamic Configuration Settings: ttl, loop_wait"
_SWITCHOVER_SOURCE = "Patroni documentation, patronictl switchover; measured on this lab"


def predict(
    *, ttl_s: float, loop_wait_s: float, faults: Sequence[FaultStep], heal_after_s: float
) -> Prediction | None:
    """The outage to expect, from the fault that hits the primary to the first acknowledged write.

    Args:
        ttl_s: Lifetime of the leader key in seconds, as in force.
        loop_wait_s: Seconds between two looks of Patroni, as in force.
        faults: The schedule of the scenario.
        heal_after_s: Seconds from the begin of the fault phase to the heal of all that has no
            ``heal_at_s`` of its own; matters only where the replicas are out of reach too, because
            nobody can be elected before.

    Returns:
        The longest of the predictions of the single faults; None when no fault hits the primary.
    """
    predictions = [
        _predict_one(step, ttl_s, loop_wait_s, _replicas_back_s(step, faults, heal_after_s))
        for step in faults
        if step.target == "primary"
    ]
    return max(predictions, key=lambda prediction: prediction.high_s, default=None)


def _replicas_back_s(
    step: FaultStep, faults: Sequence[FaultStep], heal_after_s: float
) -> float | None:
    """How long after ``step`` the replicas can be elected again; None when they always can."""
    backs_s = [
        heal_after_s if other.heal_at_s is None else other.heal_at_s
        for other in faults
        if other.target == "replicas" and other.fault != "switchover" and other.at_s <= step.at_s
    ]
    return max(0.0, max(backs_s) - step.at_s) if backs_s else None


def _predict_one(
    step: FaultStep, ttl_s: float, loop_wait_s: float, replicas_back_s: float | None
) -> Prediction:
    if step.fault == "switchover":
        return Prediction(
            low_s=0.0,
            high_s=SWITCHOVER_S_MAX,
            words="A switchover hands the leader key over: no expiry is waited for, only the "
            "shutdown of the old primary and the promotion of the new one.",
            source=_SWITCHOVER_SOURCE,
        )
    if step.fault == "process-kill":
        return Prediction(
            low_s=0.0,
            high_s=loop_wait_s + RESTART_S_MAX,
            words=f"Patroni notices the dead process at its next look (loop_wait {loop_wait_s:g} s)"
            " and restarts it in place, or hands the lead over.",
            source=_TTL_SOURCE,
        )
    return _predict_lost_leader(ttl_s, loop_wait_s, replicas_back_s)


def _predict_lost_leader(
    ttl_s: float, loop_wait_s: float, replicas_back_s: float | None
) -> Prediction:
    """The primary is gone without a word, so that its key must expire.

    The key is renewed every ``loop_wait`` and lives ``ttl`` from there: a fault just before a
    renewal finds ``ttl - loop_wait`` left of it, a fault just after one finds ``ttl``.
    """
    low_s = max(0.0, ttl_s - loop_wait_s)
    high_s = ttl_s
    words = (
        f"The leader key expires {low_s:g} to {ttl_s:g} s after the loss (ttl {ttl_s:g} s, renewed "
        f"every {loop_wait_s:g} s); election and promotion take up to {ELECTION_S_MAX:g} s more."
    )
    if replicas_back_s is not None:
        low_s = max(low_s, replicas_back_s)
        high_s = max(high_s, replicas_back_s)
        words += (
            f" Nobody can be elected before the replicas are within reach again, "
            f"{replicas_back_s:g} s after the loss."
        )
    return Prediction(low_s=low_s, high_s=high_s + ELECTION_S_MAX, words=words, source=_TTL_SOURCE)
