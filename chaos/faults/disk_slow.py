"""The disk of a host is slow: every write to it and every sync takes longer."""

from __future__ import annotations

from dataclasses import dataclass

from chaos.faults.base import FaultKind, FaultParams, Stage
from chaos.faults.disk import break_disk, disk_words, has_no_postgres, mending, read_area
from chaos.faults.targets import HOSTS, Victim
from cluster.substrates.base import DiskBreakable
from cluster.substrates.disk import DiskArea, DiskFault
from cluster.toml.reader import TomlTable

DELAY_MS = 50.0
"""A disk under a heavy load of others; an idle one of flash needs below 1 ms."""
DELAY_MS_MIN = 1.0
DELAY_MS_MAX = 1000.0
DRAWN_MS = (10.0, 200.0)
PREDICTED_MS_MAX = 200.0
"""Up to here a commit, a few syncs one after another, ends well below a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskSlowParams(FaultParams):
    """How slow, and what of it."""

    where: DiskArea | None = None
    """As of ``disk-full``."""
    delay_ms: float = DELAY_MS
    """Milliseconds that each write and each sync takes longer."""


def read(table: TomlTable) -> DiskSlowParams:
    """``where`` and ``delay_ms``."""
    delay_ms = table.number(
        "delay_ms", minimum=DELAY_MS_MIN, maximum=DELAY_MS_MAX, default=DELAY_MS
    )
    return DiskSlowParams(where=read_area(table), delay_ms=delay_ms)


async def slow_down(stage: Stage, victim: Victim, params: DiskSlowParams) -> str:
    """Slow it down; proved by the time that a synced write takes."""
    fault = DiskFault(name="slow", where=params.where, delay_s=params.delay_ms / 1000)
    return await break_disk(stage, victim, fault)


DISK_SLOW = FaultKind(
    key="disk-slow",
    words=disk_words("disk slow", "disk quick again", noun="slowness", state="was slow"),
    params=DiskSlowParams,
    read=read,
    takes=HOSTS,
    needs=(DiskBreakable,),
    lasts=True,
    effect=lambda params: "none" if params.delay_ms <= PREDICTED_MS_MAX else "unpredicted",
    strike=slow_down,
    undo=mending("slow"),
    draw=lambda random: DiskSlowParams(delay_ms=round(random.uniform(*DRAWN_MS), 1)),
    impossible=has_no_postgres,
)
