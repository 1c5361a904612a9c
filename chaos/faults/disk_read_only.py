"""The disk of a host takes no change any more, as a file system that was mounted read-only by an
error."""

from __future__ import annotations

from chaos.faults.base import NO_PARAMS, FaultKind, FaultParams, Stage
from chaos.faults.disk import break_disk, disk_words, has_no_postgres, mending
from chaos.faults.targets import HOSTS, Victim
from cluster.substrates.base import DiskBreakable
from cluster.substrates.disk import DiskFault


async def forbid(stage: Stage, victim: Victim, params: FaultParams) -> str:
    """Make it read-only; proved by a change that is refused."""
    return await break_disk(stage, victim, DiskFault(name="read-only"))


DISK_READ_ONLY = FaultKind(
    key="disk-read-only",
    words=disk_words(
        "disk read-only", "disk writable", noun="refusal to write", state="was read-only"
    ),
    params=FaultParams,
    read=lambda table: NO_PARAMS,
    takes=HOSTS,
    needs=(DiskBreakable,),
    lasts=True,
    effect=lambda params: "unpredicted",
    strike=forbid,
    undo=mending("read-only"),
    draw=lambda random: NO_PARAMS,
    impossible=has_no_postgres,
)
