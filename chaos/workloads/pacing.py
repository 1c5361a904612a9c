"""When a worker begins its operations. Pure arithmetic on given times.

The load is open-loop: operations are due by the clock, not when the last one ended, so that a slow
cluster does not slow down the question. A worker has one operation open at a time. After a short
delay it catches up; after an outage it does not: what was due in the meantime is skipped, because
a burst of everything that was missed would measure the burst and not the recovery.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

BACKLOG_S_MAX = 0.5
"""Up to this much delay is caught up. Longer than any hiccup seen in the lab (a checkpoint, a
failed connection attempt), far shorter than any failover."""


@dataclass(slots=True, kw_only=True)
class Pacer:
    """The schedule of one worker.

    Args:
        start_s: when the schedule begins, on the clock of ``delay_s``.
        interval_s: from one operation to the next.
        phase: shift of this worker, as a share of the interval, so that workers alternate.
        rng: each operation is shifted by up to a tenth of the interval, so that processes do not
            fall into step with each other or with the server's own timers.
    """

    start_s: float
    interval_s: float
    phase: float
    rng: random.Random
    skipped: int = 0
    _slot: int = 0

    def delay_s(self, now_s: float) -> float:
        """Seconds to wait from ``now_s`` until the next operation is due; 0 when it is late.

        Each call takes one slot of the schedule.
        """
        due_s = self.start_s + (self._slot + self.phase) * self.interval_s
        late_s = now_s - due_s
        if late_s > BACKLOG_S_MAX:
            missed = int(late_s / self.interval_s) + 1
            self.skipped += missed
            self._slot += missed
            due_s += missed * self.interval_s
        self._slot += 1
        jitter_s = self.interval_s * self.rng.uniform(0.0, 0.1)
        return max(0.0, due_s + jitter_s - now_s)


def pacers(*, start_s: float, rate_per_s: float, workers: int, seed: int, site: str) -> list[Pacer]:
    """The schedules of a site's workers, which together reach ``rate_per_s``."""
    interval_s = workers / rate_per_s
    return [
        Pacer(
            start_s=start_s,
            interval_s=interval_s,
            phase=worker / workers,
            rng=random.Random(f"{seed}/{site}/{worker}"),
        )
        for worker in range(workers)
    ]
