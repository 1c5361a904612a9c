"""From values to coordinates: linear and logarithmic scales, and ticks at round numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearScale:
    """Maps ``low..high`` to ``start..stop``. A scale of no extent maps everything to ``start``."""

    low: float
    high: float
    start: float
    stop: float

    def at(self, value: float) -> float:
        """The coordinate of ``value``; values outside get that of the nearer end."""
        if self.high <= self.low:
            return self.start
        share = (value - self.low) / (self.high - self.low)
        return self.start + min(max(share, 0.0), 1.0) * (self.stop - self.start)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogScale:
    """Like ``LinearScale`` on the logarithm; ``low`` must be above 0."""

    low: float
    high: float
    start: float
    stop: float

    def at(self, value: float) -> float:
        """The coordinate of ``value``; values up to ``low`` get ``start``."""
        if value <= self.low:
            return self.start
        linear = LinearScale(
            low=math.log10(self.low), high=math.log10(self.high), start=self.start, stop=self.stop
        )
        return linear.at(math.log10(value))


def nice_step(extent: float, count_max: int) -> float:
    """The smallest of 1, 2, 5 times a power of ten that cuts ``extent`` into at most
    ``count_max`` parts. ``extent`` must be above 0 and ``count_max`` at least 1."""
    rough = extent / count_max
    magnitude = 10.0 ** math.floor(math.log10(rough))
    for factor in (1.0, 2.0, 5.0):
        # The tolerance keeps 0.1 + 0.2 from asking for the next larger step.
        if factor * magnitude >= rough * (1 - 1e-9):
            return factor * magnitude
    return 10.0 * magnitude


def ticks(low: float, high: float, count_max: int) -> tuple[float, ...]:
    """Round values from ``low`` to ``high``, at most ``count_max + 1`` of them."""
    if high <= low:
        return (low,)
    step = nice_step(high - low, count_max)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return tuple(index * step for index in range(first, last + 1))


def nice_ceiling(value: float, count_max: int = 4) -> float:
    """The first tick at or above ``value``: the top of an axis that starts at 0. 1 for 0."""
    if value <= 0:
        return 1.0
    step = nice_step(value, count_max)
    return math.ceil(value / step - 1e-9) * step


def decades(low: float, high: float) -> tuple[float, ...]:
    """The powers of ten that enclose ``low..high`` (both above 0), at least two of them."""
    first = math.floor(math.log10(low) + 1e-9)
    last = max(math.ceil(math.log10(max(high, low)) - 1e-9), first + 1)
    return tuple(10.0**power for power in range(first, last + 1))
