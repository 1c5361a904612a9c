"""Random moments and durations of a schedule. Pure.

Most are log-uniform, so that tenths of a second are drawn as often as tens of seconds. The others
lie around the clocks of Patroni (ttl, loop_wait, retry_timeout), where what happens depends on
which comes first: at 0.5, 0.9, 1.1 and 2 times them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

SHORTEST_S = 0.1
"""The observers look at the members this often: what is shorter may not be seen."""
FACTORS = (0.5, 0.9, 1.1, 2.0)
AROUND_SHARE = 0.5
DIGITS = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """What one run draws its times from."""

    random: Random
    around_s: tuple[float, ...]
    """Patroni's clocks."""
    duration_s_max: float

    def draw_s(self, most_s: float | None = None, least_s: float = SHORTEST_S) -> float:
        """A duration from ``least_s`` to ``most_s``, at most the limit; in tenths of a second."""
        end_s = self.duration_s_max if most_s is None else min(most_s, self.duration_s_max)
        if end_s <= least_s:
            return round(max(end_s, 0.0), DIGITS)
        near_s = [
            factor * clock_s
            for clock_s in self.around_s
            for factor in FACTORS
            if least_s <= factor * clock_s <= end_s
        ]
        if near_s and self.random.random() < AROUND_SHARE:
            return round(self.random.choice(near_s), DIGITS)
        drawn_s = math.exp(self.random.uniform(math.log(least_s), math.log(end_s)))
        # Rounding must not lead out of the bounds.
        return min(max(round(drawn_s, DIGITS), least_s), math.floor(end_s * 10) / 10)
