"""The wall clock of a host runs too fast or too slow: it is farther off every second.

A quartz is wrong by some 50 millionths; a virtual machine whose clock source is broken by per cent.
What waits by the clock that only counts is not touched: there a fast clock shows nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from chaos.faults.base import FaultKind, FaultParams, FaultWords, Stage
from chaos.faults.clock import CLOCK_NEEDS, clocks_of, restoring, shift_clock
from chaos.faults.roles import only_with
from chaos.faults.targets import HOSTS, Victim
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


def shift_of(params: FaultParams) -> ClockShift:
    """As the substrate puts it."""
    assert isinstance(params, ClockDriftParams)
    return ClockShift(rate=params.percent / 100)


async def drift(stage: Stage, victim: Victim, params: ClockDriftParams) -> str:
    """Let it drift; how far off it is at once is next to nothing, and said."""
    proof = await shift_clock(stage, victim.name, shift_of(params))
    return f"it gains {params.percent:+g} %: {proof}"


CLOCK_DRIFT = FaultKind(
    key=KEY,
    words=FaultWords(
        title="clock drifts",
        healed="clock set right",
        noun=lambda hosts: f"the drift of {clocks_of(hosts)}",
        clause=lambda hosts: f"{clocks_of(hosts)} began to drift",
        broken=lambda host: f"the clock of {host} drifts",
    ),
    params=ClockDriftParams,
    read=read,
    takes=HOSTS,
    needs=CLOCK_NEEDS,
    lasts=True,
    effect=lambda params: "unpredicted",
    strike=drift,
    undo=restoring(shift_of),
    draw=lambda random: ClockDriftParams(percent=round(random.uniform(*DRAWN_PERCENT), 1)),
    impossible=only_with("postgres", KEY),
)
