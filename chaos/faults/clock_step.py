"""The wall clock of a host is set: it jumps, ahead or back, and goes on from there.

So does NTP where it finds the time far off (chronyd's ``makestep``, ntpd beyond 0.128 s), an
operator with ``date``, and a virtual machine that is resumed. Patroni up to 4.1.5 counts its waits
by this clock (patroni issue 3560): a primary whose clock jumps back sleeps for so much longer.
"""

from __future__ import annotations

from dataclasses import dataclass

from chaos.faults.base import FaultParams, FaultWords
from chaos.faults.clock import clock_fault, clocks_of
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


CLOCK_STEP = clock_fault(
    KEY,
    words=FaultWords(
        title="clock set wrong",
        healed="clock set right",
        noun=lambda hosts: f"the jump of {clocks_of(hosts)}",
        clause=lambda hosts: f"{clocks_of(hosts)} jumped",
        broken=lambda host: f"the clock of {host} is wrong",
    ),
    params=ClockStepParams,
    read=read,
    shift_of=lambda params: ClockShift(step_s=params.step_s),
    draw=lambda random: ClockStepParams(step_s=round(random.uniform(*DRAWN_S), 1)),
)
