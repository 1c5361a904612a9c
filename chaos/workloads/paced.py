"""Workers that run operations by the clock: what most workloads are driven with."""

from __future__ import annotations

import time
from collections.abc import Callable

import anyio

from chaos.workloads.base import SiteLoad, Work
from chaos.workloads.pacing import Pacer, pacers
from replication import StorageError

NextWork = Callable[[int, int], Work]
"""From the number of the worker and the number of its operation, both from 0, to the operation."""


async def run_paced(load: SiteLoad, next_work: NextWork) -> None:
    """Run a site's workers until the load is stopped and each has ended its operation."""
    config = load.config
    schedules = pacers(
        start_s=time.monotonic(),
        rate_per_s=config.rate_per_s,
        workers=config.workers,
        seed=config.seed,
        site=config.site,
    )
    async with anyio.create_task_group() as group:
        for worker, pacer in enumerate(schedules):
            group.start_soon(_work, load, next_work, worker, pacer)


async def wait_turn(load: SiteLoad, pacer: Pacer) -> bool:
    """Wait until the next operation is due; False when nothing more may be begun."""
    with anyio.move_on_after(pacer.delay_s(time.monotonic())):
        await load.stopping.wait()
    return not load.stopping.is_set()


async def _work(load: SiteLoad, next_work: NextWork, worker: int, pacer: Pacer) -> None:
    n = 0
    while await wait_turn(load, pacer):
        await _operation(load, next_work(worker, n), worker)
        n += 1


async def _operation(load: SiteLoad, work: Work, worker: int) -> None:
    load.journal.begin(work.id, worker=worker, leaves_entry=work.leaves_entry, work=work.about)
    try:
        applied = await load.storage.run(
            work.apply,
            unit_id=work.id,
            deadline_s=load.config.deadline_s,
            durability=load.config.promise,
        )
    except StorageError as error:
        load.journal.failed(work.id, error)
    else:
        load.journal.applied(work.id, applied, applied.value)
