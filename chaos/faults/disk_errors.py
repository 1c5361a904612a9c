"""The disk of a host fails: one kind of operation on it ends with an input/output error."""

from __future__ import annotations

from dataclasses import dataclass

from chaos.faults.base import FaultKind, FaultParams, Stage
from chaos.faults.disk import break_disk, disk_words, has_no_postgres, mending, read_area
from chaos.faults.targets import HOSTS, Victim
from cluster.substrates.base import DiskBreakable
from cluster.substrates.disk import DISK_OPERATIONS, DiskArea, DiskFault, DiskOperation
from cluster.toml.reader import TomlTable


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskErrorsParams(FaultParams):
    """What fails, and where."""

    where: DiskArea | None = None
    """As of ``disk-full``."""
    operation: DiskOperation = "sync"
    """``read``, ``write`` or ``sync``. After a failed sync PostgreSQL restarts by itself, since it
    cannot know what the disk has kept (``data_sync_retry``, manual 19.14)."""


def read(table: TomlTable) -> DiskErrorsParams:
    """``where`` and ``operation``."""
    operation = table.choice("operation", DISK_OPERATIONS, "sync")
    return DiskErrorsParams(where=read_area(table), operation=operation)


async def fail(stage: Stage, victim: Victim, params: DiskErrorsParams) -> str:
    """Let it fail; proved by a probe that fails."""
    fault = DiskFault(name="errors", where=params.where, on=params.operation)
    return await break_disk(stage, victim, fault)


DISK_ERRORS = FaultKind(
    key="disk-errors",
    words=disk_words("disk errors", "disk without errors", noun="errors", state="had errors"),
    params=DiskErrorsParams,
    read=read,
    takes=HOSTS,
    needs=(DiskBreakable,),
    lasts=True,
    effect=lambda params: "unpredicted",
    strike=fail,
    undo=mending("errors"),
    draw=None,
    impossible=has_no_postgres,
)
