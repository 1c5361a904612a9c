"""The wall clock of a host runs too fast or too slow: it is farther off every second.

A quartz is wrong by some 50 millionths; a virtual machine whose clock source is broken by per cent.
What waits by the clock that only counts is not touched: there a fast clock shows nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from chaos.faults.base import FaultParams, FaultWords
from chaos.faults.clock import clock_fault, clocks_of
from cluster.substrates.base import ClockShift
from cluster.toml.reader import TomlTable

KEY = "clock-drift"
PERCENT = 10.0
PERCENT_MAX = 50.0
DRAWN_PERCENT = (-20.0, 20.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockDriftParams(FaultParams):
    """How fast."""

    percent: float = PERCENT
    """By how much it runs too fast; below 0: too slow."""


def read(table: TomlTable) -> ClockDriftParams:
    """``percent``."""
    return ClockDriftParams(
        percent=table.number("percent", minimum=-PERCENT_MAX, maximum=PERCENT_MAX, default=PERCENT)
    )


CLOCK_DRIFT = clock_fault(
    KEY,
    words=FaultWords(
        title="clock drifts",
        healed="clock set right",
        noun=lambda hosts: f"the drift of {clocks_of(hosts)}",
        clause=lambda hosts: f"{clocks_of(hosts)} began to drift",
        broken=lambda host: f"the clock of {host} drifts",
    ),
    params=ClockDriftParams,
    read=read,
    shift_of=lambda params: ClockShift(rate=params.percent / 100),
    draw=lambda random: ClockDriftParams(percent=round(random.uniform(*DRAWN_PERCENT), 1)),
    # How far off it is at once is next to nothing.
    said=lambda params: f"it gains {params.percent:+g} %: ",
)
