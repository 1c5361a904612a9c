"""The wall clock of a host is set: it jumps, ahead or back, and goes on from there.

So does NTP where it finds the time far off (chronyd's ``makestep``, ntpd beyond 0.128 s), an
operator with ``date``, and a virtual machine that is resumed. Patroni up to 4.1.5 counts its waits
by this clock (patroni issue 3560): a primary whose clock jumps back sleeps for so much longer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from chaos.faults.base import FaultKind, FaultParams, FaultWords, Stage
from chaos.faults.clock import CLOCK_NEEDS, clocks_of, restoring, shift_clock
from chaos.faults.roles import only_with
from chaos.faults.targets import HOSTS, Victim
from cluster.substrates.base import ClockShift
from cluster.toml.reader import TomlTable

KEY = "clock-step"
STEP_S = 60.0
STEP_S_MAX = 366 * 86_400.0
"""A clock whose battery is empty comes up years off; a year is as good."""
DRAWN_S = (-10.0, 120.0)
"""Back by less than the lease has left in any shipped topology, so that a drill can judge it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockStepParams(FaultParams):
    """How far."""

    step_s: float = STEP_S
    """Seconds that the clock is ahead from then on; below 0: behind."""


def read(table: TomlTable) -> ClockStepParams:
    """``step_s``."""
    return ClockStepParams(
        step_s=table.number("step_s", minimum=-STEP_S_MAX, maximum=STEP_S_MAX, default=STEP_S)
    )


def shift_of(params: FaultParams) -> ClockShift:
    """As the substrate puts it."""
    assert isinstance(params, ClockStepParams)
    return ClockShift(step_s=params.step_s)


async def step(stage: Stage, victim: Victim, params: ClockStepParams) -> str:
    """Set it; proved by what Patroni and PostgreSQL say the time is."""
    return await shift_clock(stage, victim.name, shift_of(params))


def clause(hosts: Sequence[str]) -> str:
    """After "after"."""
    return f"{clocks_of(hosts)} jumped"


CLOCK_STEP = FaultKind(
    key=KEY,
    words=FaultWords(
        title="clock set wrong",
        healed="clock set right",
        noun=lambda hosts: f"the jump of {clocks_of(hosts)}",
        clause=clause,
        broken=lambda host: f"the clock of {host} is wrong",
    ),
    params=ClockStepParams,
    read=read,
    takes=HOSTS,
    needs=CLOCK_NEEDS,
    lasts=True,
    effect=lambda params: "unpredicted",
    strike=step,
    undo=restoring(shift_of),
    draw=lambda random: ClockStepParams(step_s=_drawn(random)),
    impossible=only_with("postgres", KEY),
)


def _drawn(random: Random) -> float:
    return round(random.uniform(*DRAWN_S), 1)
