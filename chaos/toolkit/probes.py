"""Probes: how a cluster is, whether it acknowledges writes, and what a drill has proved."""

import time
from pathlib import Path
from typing import Any

from chaos.gameday.errors import NotHealthyError, OptionError
from chaos.toolkit import drill, writes
from chaos.toolkit.activity import activity, logger, seconds, word
from chaos.toolkit.held import clusters
from cluster.whole import PRIMARY_ROLES

# Not "from __future__ import annotations": ``chaos discover`` looks at the types themselves.

__all__ = [
    "is_whole",
    "outage_s",
    "primaries",
    "primary",
    "replica_lag_bytes",
    "verdict",
    "write_is_acknowledged",
]

DEFAULT = "default"
"""The name of the cluster where an experiment has but one."""
WRITE_TIMEOUT_S = 30.0
"""A failover with Patroni's ``ttl`` of 20 s takes 22 s."""
WITHIN_S_LEAST = 0.1


@activity
def primary(cluster: str = DEFAULT) -> str | None:
    """The node that is the primary now; null while there is none, or more than one."""
    return clusters.get(cluster).cluster.primary


@activity
def primaries(cluster: str = DEFAULT) -> int:
    """How many nodes run as primary now. More than one is a split brain."""
    members = clusters.get(cluster).cluster.state().members.values()
    return sum(
        member is not None and member.role in PRIMARY_ROLES and member.state == "running"
        for member in members
    )


@activity
def is_whole(within_s: float = 0.0, cluster: str = DEFAULT) -> bool:
    """Whether the cluster is whole: a primary, every replica caught up, quorum commit in force.

    Args:
        within_s: how long to wait for that; 0: as it is now.
        cluster: which cluster.
    """
    limit_s = seconds("within_s", within_s)
    asked = clusters.get(cluster).cluster
    missing = asked.state().missing
    if missing is not None and limit_s:
        try:
            missing = asked.wait_healthy(limit_s).missing
        except NotHealthyError:
            missing = asked.state().missing or "it was whole too late"
    if missing is not None:
        logger.info(f"the cluster {cluster} is not whole: {missing}")
    return missing is None


@activity
def replica_lag_bytes(cluster: str = DEFAULT) -> int:
    """What the replica that is furthest behind has still to replay, in bytes, seen by the primary.

    A replica that does not stream makes the probe fail: its lag is unknown, and 0 would be wrong.
    """
    lags = writes.replica_lag_bytes(clusters.get(cluster).cluster)
    return max(lags.values(), default=0)


@activity
def write_is_acknowledged(
    within_s: float = WRITE_TIMEOUT_S, site: str | None = None, cluster: str = DEFAULT
) -> bool:
    """Write once, through the storage layer, as durably as the cluster promises.

    In a method it waits until service is back. How long that took, ``outage_s`` says.

    Args:
        within_s: how long to try, 0.1 or more. A write in doubt that could not be resolved in that
            time is not acknowledged.
        site: as a client in this site; null: from outside, where no fault cuts it off.
        cluster: which cluster.
    """
    limit_s = seconds("within_s", within_s, least=WITHIN_S_LEAST)
    held = clusters.get(cluster)
    where = None if site is None else word("site", site)
    began_s = time.monotonic()
    refused = writes.write(held.cluster, within_s=limit_s, site=where)
    if refused is not None:
        held.outage.refused(began_s)
        logger.info(f"no write was acknowledged: {refused}")
        return False
    held.outage.acknowledged(began_s)
    return True


@activity
def outage_s(cluster: str = DEFAULT) -> float:
    """The longest outage that ``write_is_acknowledged`` has seen the end of, in seconds.

    It begins when one of our actions struck (or when a write began that was refused, or that waited
    for more than a second) and ends with the next acknowledged write that began after the strike.
    So it is never shorter than the outage, and longer by the time between the actions. 0 if there
    was none. The probe fails while no write has been acknowledged since a fault: such an outage has
    no length yet.
    """
    held = clusters.get(cluster)
    if (open_s := held.outage.open_s) is not None:
        words = f"no write is known to have been acknowledged for {open_s:.1f} s"
        raise NotHealthyError(f"{words}: ask write_is_acknowledged first")
    return round(max(held.outage.outages_s, default=0.0), 3)


@activity
def verdict(run: str | None = None) -> dict[str, Any]:
    """The verdict of a drill, judged again from the evidence in its run folder.

    Args:
        run: the run folder; null: that of the last ``run_drill`` of this experiment.

    Returns:
        The main fields of ``verdict.json``.
    """
    folder = clusters.last_run if run is None else Path(word("run", run))
    if folder is None:
        raise OptionError("no drill was run yet: give the folder of a run, or use run_drill first")
    return drill.verdict_of(folder)
