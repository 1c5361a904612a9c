"""The disk of a host lies: it answers every sync at once, and keeps nothing.

Nobody notices before the power is cut: then everything since is lost.
"""

from __future__ import annotations

from chaos.faults.base import NO_PARAMS, FaultKind, FaultParams, Stage
from chaos.faults.disk import break_disk, disk_words, has_no_postgres, mending
from chaos.faults.targets import HOSTS, Victim
from cluster.substrates.base import DiskBreakable
from cluster.substrates.disk import DiskFault


async def lie(stage: Stage, victim: Victim, params: FaultParams) -> str:
    """Let it lie; proved by bytes that were synced and are not on the disk."""
    return await break_disk(stage, victim, DiskFault(name="lies"))


DISK_LIES = FaultKind(
    key="disk-lies",
    words=disk_words(
        "disk lies", "disk honest again", noun="lies", state="only said that it synced"
    ),
    params=FaultParams,
    read=lambda table: NO_PARAMS,
    takes=HOSTS,
    needs=(DiskBreakable,),
    lasts=True,
    effect=lambda params: "none",
    strike=lie,
    undo=mending("lies"),
    draw=None,
    impossible=has_no_postgres,
)
