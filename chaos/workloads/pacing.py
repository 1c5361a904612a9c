"""When a worker begins its operations, and workers that run them by the clock.

The load is open-loop: operations are due by the clock, not when the last one ended, so that a slow
cluster does not slow down the question. A worker has one operation open at a time. After a short
delay it catches up; after an outage it does not: what was due in the meantime is skipped, because
a burst of everything that was missed would measure the burst and not the recovery.

The slots of a schedule are counted from the origin of the clock, so the workers of all sites are
at the same slot at the same time without communication (``shared`` needs that).
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import anyio

from chaos.workloads.base import SiteLoad, Work
from chaos.workloads.shared import shared_unit
from replication import AlreadyApplied, StorageError

BACKLOG_S_MAX = 0.5
"""Up to this much delay is caught up. Longer than any hiccup seen in the lab (a checkpoint, a
failed connection attempt), far shorter than any failover."""

NextWork = Callable[[int, int], Work]
"""From the number of the worker and the number of its operation, both from 0, to the operation."""


@dataclass(slots=True, kw_only=True)
class Pacer:
    """The schedule of one worker.

    Args:
        interval_s: from one operation to the next.
        next_slot: the first one; slot 0 was at the origin of the clock of ``delay_s``.
        phase: shift of this worker, as a share of the interval, so that workers alternate.
        rng: each operation is shifted by up to a tenth of the interval, so that processes do not
            fall into step with each other or with the server's own timers.
    """

    interval_s: float
    next_slot: int
    phase: float
    rng: random.Random
    skipped: int = 0

    @property
    def slot(self) -> int:
        """The one that ``delay_s`` gave last."""
        return self.next_slot - 1

    def delay_s(self, now_s: float) -> float:
        """Seconds to wait from ``now_s`` until the next operation is due; 0 when it is late.

        Each call takes one slot of the schedule.
        """
        due_s = (self.next_slot + self.phase) * self.interval_s
        late_s = now_s - due_s
        if late_s > BACKLOG_S_MAX:
            missed = int(late_s / self.interval_s) + 1
            self.skipped += missed
            self.next_slot += missed
            due_s += missed * self.interval_s
        self.next_slot += 1
        jitter_s = self.interval_s * self.rng.uniform(0.0, 0.1)
        return max(0.0, due_s + jitter_s - now_s)


def pacers(*, start_s: float, rate_per_s: float, workers: int, seed: int, site: str) -> list[Pacer]:
    """The schedules of a site's workers, which together reach ``rate_per_s``."""
    interval_s = workers / rate_per_s
    return [
        Pacer(
            interval_s=interval_s,
            next_slot=math.ceil(start_s / interval_s),
            phase=worker / workers,
            rng=random.Random(f"{seed}/{site}/{worker}"),
        )
        for worker in range(workers)
    ]


def site_pacers(load: SiteLoad) -> list[Pacer]:
    """The schedules of the workers of a load, from now on."""
    config = load.config
    return pacers(
        start_s=time.monotonic(),
        rate_per_s=config.rate_per_s,
        workers=config.workers,
        seed=config.seed,
        site=config.site,
    )


async def run_paced(load: SiteLoad, next_work: NextWork) -> None:
    """Run a site's workers until the load is stopped and each has ended its operation."""
    async with anyio.create_task_group() as group:
        for worker, pacer in enumerate(site_pacers(load)):
            group.start_soon(_work, load, next_work, worker, pacer)


async def wait_turn(load: SiteLoad, pacer: Pacer) -> bool:
    """Wait until the next operation is due; False when nothing more may be begun."""
    with anyio.move_on_after(pacer.delay_s(time.monotonic())):
        await load.stopping.wait()
    return not load.stopping.is_set()


async def _work(load: SiteLoad, next_work: NextWork, worker: int, pacer: Pacer) -> None:
    config = load.config
    n = 0
    while await wait_turn(load, pacer):
        work = next_work(worker, n)
        unit = None
        if work.leaves_entry:  # else nothing would show whose it was
            unit = shared_unit(config.sites, config.site, worker, pacer.slot, config.shared_every)
        await run_work(load, work, worker, unit)
        n += 1


async def run_work(load: SiteLoad, work: Work, worker: int, shared: str | None = None) -> None:
    """Run one operation, with its lines in the history.

    Args:
        load: of which site.
        work: what is done.
        worker: who does it.
        shared: the id of the unit that another site sends too; None: the operation's own.
    """
    load.journal.begin(
        work.id, worker=worker, leaves_entry=work.leaves_entry, work=work.about, shared_unit=shared
    )
    try:
        applied = await load.storage.run(
            work.apply,
            unit_id=shared or work.id,
            deadline_s=load.config.deadline_s,
            durability=load.config.promise,
            isolation=work.isolation,
        )
    except AlreadyApplied as error:
        load.journal.already(work.id, error)
    except StorageError as error:
        load.journal.failed(work.id, error)
    else:
        load.journal.applied(work.id, applied, applied.value)
