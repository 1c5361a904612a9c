"""How long an outage should be, going by the settings: what a drill is held against. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from chaos.scenarios.model import FaultStep
from chaos.timing.model import Prediction

WAL_RETRY_S = 5.0
"""A standby whose WAL receiver failed tries again after so long (PostgreSQL manual, Replication,
Standby Servers, ``wal_retrieve_retry_interval``; its default is kept). Measured: after the crash of
a primary that was back within 1.8 to 2.3 s, the first write was acknowledged after 5.0 to 5.2 s (3
drills), when the standbys' logs show their next try."""

ELECTION_S_MAX = 9.0
"""From the end of the leader key's ttl to the first acknowledged write, as the sum of what can be
waited for: 1 s until etcd has revoked the lease (it looks every 0.5 s), 2 s for the REST API of the
old leader (``patroni/ha.py`` asks members with a timeout of 2 s), 1 s for the promotion,
``WAL_RETRY_S`` until a standby confirms commits again. Measured in the lab: 0.5 s with quorum
commit (3 drills), 1.2 to 1.8 s where links had been cut as well (3 drills); in a prototype in which
somebody else deleted the key 4.0 to 8.6 s."""

RESTART_S_MAX = 5.0
"""From Patroni's look at a crashed postmaster until it accepts connections again: its start and the
crash recovery of a small database. Measured: 0.5 s."""

SWITCHOVER_S_MAX = 9.0
"""A planned change of the primary: shutdown checkpoint, promotion, and ``WAL_RETRY_S`` where the
standby does not follow at once. Measured: 1.5 to 1.7 s (4 drills); 4.3 s with Patroni's defaults in
a prototype."""

NOTICE_S = 0.5
"""What the client needs to notice that writes go again: its retries are up to so far apart."""

_TTL_SOURCE = "Patroni documentation, Dynamic Configuration Settings: ttl, loop_wait"
_RETRY_SOURCE = "PostgreSQL manual, Replication, wal_retrieve_retry_interval"
_SWITCHOVER_SOURCE = "Patroni documentation, patronictl switchover; measured on this lab"


def predict(
    *,
    ttl_s: float,
    loop_wait_s: float,
    faults: Sequence[FaultStep],
    heal_after_s: float,
    waits_for_standby: bool = True,
) -> Prediction | None:
    """The outage to expect, from the fault that hits the primary to the first acknowledged write.

    Args:
        ttl_s: Lifetime of the leader key in seconds, as in force.
        loop_wait_s: Seconds between two looks of Patroni, as in force.
        faults: The schedule of the scenario.
        heal_after_s: Seconds from the begin of the fault phase to the heal of all that has no
            ``heal_at_s`` of its own; matters only where the replicas are out of reach too, because
            nobody can be elected before.
        waits_for_standby: A commit is acknowledged only when a standby has it (quorum, strict).

    Returns:
        The longest of the predictions of the single faults; None when no fault hits the primary.
    """
    predictions = [
        _predict_crash(loop_wait_s, waits_for_standby=waits_for_standby)
        if step.fault == "process-kill"
        else _predict_change(step, ttl_s, loop_wait_s, _replicas_back_s(step, faults, heal_after_s))
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


def _predict_crash(loop_wait_s: float, *, waits_for_standby: bool) -> Prediction:
    """PostgreSQL died, its host and Patroni live: Patroni restarts it in place.

    With quorum commit the standbys' receivers decide. They try again at once, while nobody listens
    yet, and from then on every ``WAL_RETRY_S``: the first commit is confirmed at one of these
    beats.
    """
    restarted_s = loop_wait_s + RESTART_S_MAX
    words = (
        f"Patroni notices the dead process at its next look (loop_wait {loop_wait_s:g} s) and "
        "restarts it in place, or hands the lead over"
    )
    if not waits_for_standby:
        return Prediction(
            low_s=0.0, high_s=restarted_s + NOTICE_S, words=f"{words}.", source=_TTL_SOURCE
        )
    return Prediction(
        low_s=WAL_RETRY_S,
        high_s=math.ceil(restarted_s / WAL_RETRY_S) * WAL_RETRY_S + NOTICE_S,
        words=f"{words}; a write is acknowledged once a standby follows again, and standbys try "
        f"every {WAL_RETRY_S:g} s (wal_retrieve_retry_interval).",
        source=f"{_TTL_SOURCE}; {_RETRY_SOURCE}",
    )


def _predict_change(
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
