"""The disk of a host is full: what would take more of it is refused, until it has room again."""

from __future__ import annotations

from dataclasses import dataclass

from chaos.faults.base import FaultKind, FaultParams, Stage
from chaos.faults.disk import break_disk, disk_words, has_no_postgres, mending, read_area
from chaos.faults.targets import HOSTS, Victim
from cluster.substrates.base import DiskBreakable
from cluster.substrates.disk import DiskArea, DiskFault
from cluster.toml.reader import TomlTable

ROOM_MB_MAX = 1024.0
"""The lab's disks are in memory."""
MB = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskFullParams(FaultParams):
    """How full, and what of it."""

    where: DiskArea | None = None
    """``wal`` (a volume of its own for ``pg_wal``) or ``data`` (all the rest); None: both."""
    room_mb: float = 0.0
    """Megabytes that it still takes."""


def read(table: TomlTable) -> DiskFullParams:
    """``where`` and ``room_mb``."""
    room_mb = table.number("room_mb", minimum=0.0, maximum=ROOM_MB_MAX, default=0.0)
    return DiskFullParams(where=read_area(table), room_mb=room_mb)


async def fill(stage: Stage, victim: Victim, params: DiskFullParams) -> str:
    """Fill it; proved by a write that is refused, where no room was left."""
    room_bytes = int(params.room_mb * MB)
    return await break_disk(
        stage, victim, DiskFault(name="full", where=params.where, room_bytes=room_bytes)
    )


DISK_FULL = FaultKind(
    key="disk-full",
    words=disk_words("disk full", "disk has room", noun="filling up", state="was full"),
    params=DiskFullParams,
    read=read,
    takes=HOSTS,
    needs=(DiskBreakable,),
    lasts=True,
    # Files that are there can still be written over: what stops depends on what must grow next.
    effect=lambda params: "unpredicted",
    strike=fill,
    undo=mending("full"),
    draw=lambda random: DiskFullParams(where=random.choice((None, "data", "wal"))),
    impossible=has_no_postgres,
)
