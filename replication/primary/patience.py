"""How long an answer may take before it is suspicious: learnt from the last ones. Pure.

A fixed limit is too long where answers take milliseconds, and too short on a busy machine: there it
would ask about a server that is merely slow. So the limit follows what was seen.
"""

from __future__ import annotations

from collections import deque

OVERDUE_S_MIN = 0.25
"""A checkpoint or a slow disk holds a commit up for so long now and then. A failover that takes
half a second is still noticed in its course."""

OVERDUE_S_MAX = 1.0
"""However slow the answers are, and while too few are known: a small write takes milliseconds. What
takes longer by its nature is asked about ever less often (``waits.Talks.watch_overdue``)."""

FACTOR = 10
"""So many times what 99 of 100 answers took is no chance any more."""

ANSWERS = 256
"""So many of the last ones are remembered; their 99th percentile counts."""

ANSWERS_MIN = 20


class Patience:
    """Learns from answers; says when the next one is overdue."""

    __slots__ = ("_last_s",)

    def __init__(self) -> None:
        self._last_s: deque[float] = deque(maxlen=ANSWERS)

    def note(self, took_s: float) -> None:
        """An answer took ``took_s``."""
        self._last_s.append(took_s)

    @property
    def overdue_s(self) -> float:
        """An answer that takes longer is suspicious."""
        if len(self._last_s) < ANSWERS_MIN:
            return OVERDUE_S_MAX
        p99_s = sorted(self._last_s)[-1 - len(self._last_s) // 100]
        return min(max(FACTOR * p99_s, OVERDUE_S_MIN), OVERDUE_S_MAX)
