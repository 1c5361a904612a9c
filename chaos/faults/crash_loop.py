"""PostgreSQL dies again and again: each postmaster that Patroni starts is killed in turn.

A process of the host itself kills, so that it ends with the host's power, and with the drill.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import anyio

from chaos.faults.base import FaultKind, FaultParams, FaultWords, Stage
from chaos.faults.programs import EFFECT_TIMEOUT_S, NO_POWER, POLL_S, nothing_there
from chaos.faults.targets import HOSTS, Victim
from chaos.wording import joined
from cluster.errors import ClusterError
from cluster.substrates.base import CrashLoopable, ProcessSteerable
from cluster.toml.reader import TomlTable
from cluster.topology.model import Topology

KEY = "process-crash-loop"
EVERY_S_MAX = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashLoopParams(FaultParams):
    """How often."""

    every_s: float = 0.0
    """The least time between two kills, in seconds; 0: a postmaster dies as soon as it is there."""
    times: int | None = None
    """How many kills; None: until it is undone."""


async def begin(stage: Stage, victim: Victim, params: CrashLoopParams) -> str:
    """Begin to kill; returns after the first one."""
    host, machine = victim.name, stage.able(CrashLoopable)
    await machine.start_crash_loop(host, params.every_s, params.times)
    with anyio.move_on_after(EFFECT_TIMEOUT_S):
        while not await machine.crashes(host):
            await anyio.sleep(POLL_S)
        how_often = "until healed" if params.times is None else f"{params.times} times in all"
        return f"kill -9 of the postmaster; from now on of each new one, {how_often}"
    raise ClusterError(f"PostgreSQL does not run on {host}: nothing was killed", host=host)


async def end(stage: Stage, victim: Victim, params: CrashLoopParams) -> str:
    """Leave PostgreSQL alone; Patroni starts it again."""
    host, machine = victim.name, stage.able(CrashLoopable)
    if not stage.able(ProcessSteerable).has_power(host):
        return NO_POWER
    await machine.stop_crash_loop(host)
    return f"PostgreSQL was killed {await machine.crashes(host)} times, and is left alone now"


def read(table: TomlTable) -> CrashLoopParams:
    """``every_s`` and ``times``."""
    times = table.integer("times", minimum=1) if table.has("times") else None
    every_s = table.number("every_s", minimum=0.0, maximum=EVERY_S_MAX, default=0.0)
    return CrashLoopParams(every_s=every_s, times=times)


def draw(random: Random) -> CrashLoopParams:
    """As soon as it is there, or every few seconds; a few times, or until it is undone."""
    return CrashLoopParams(
        every_s=random.choice((0.0, 1.0, 5.0)), times=random.choice((None, random.randint(1, 5)))
    )


def has_no_postgres(
    params: CrashLoopParams, topology: Topology, hosts: Sequence[str]
) -> str | None:
    """Where PostgreSQL does not run nothing can crash."""
    return nothing_there(KEY, "postgres", topology, hosts)


PROCESS_CRASH_LOOP = FaultKind(
    key=KEY,
    words=FaultWords(
        title="crash loop",
        healed="crash loop ended",
        noun=lambda hosts: f"the crash loop of PostgreSQL on {joined(hosts)}",
        clause=lambda hosts: f"PostgreSQL on {joined(hosts)} crashed again and again",
        broken=lambda host: f"postgres on {host} dies again and again",
    ),
    params=CrashLoopParams,
    read=read,
    takes=HOSTS,
    needs=(CrashLoopable, ProcessSteerable),
    lasts=True,
    effect=lambda params: "unpredicted",
    strike=begin,
    undo=end,
    draw=draw,
    impossible=has_no_postgres,
)
