"""Reads of a workload on the nearest member, beside its units of work and in its own history.

They are for workloads that judge what is seen on replicas. Every second one asks for nothing
(``any``), the others to see the newest unit of work that this site was acknowledged (``after``, our
causal token). A worker of its own makes them, so that a slow replica holds up no unit of work.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from chaos.evidence.records import Scalar
from chaos.workloads.base import SiteLoad, WorkResult
from chaos.workloads.pacing import pacers, wait_turn
from replication import Isolation, StorageError, TokenLost, Transaction

ANY_S = 3600.0
"""How old a read of the kind ``any`` may be: longer than a drill, so it never decides."""

READ_DEADLINE_S = 5.0
"""A read that was not served by then is left, and the next one begun: what it must see follows
from its begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadWork:
    """One read, before it is begun."""

    apply: Callable[[Transaction], Awaitable[WorkResult]]
    isolation: Isolation | None = None
    """The server's default if None."""
    about: Mapping[str, Scalar] = field(default_factory=dict)
    """What the checkers must know of it, for the history."""


NextRead = Callable[[int], ReadWork]
"""From the number of the read, from 0."""


async def run_reads(load: SiteLoad, next_read: NextRead, *, rate_per_s: float) -> None:
    """Read until the load is stopped and the last read has ended.

    Args:
        load: the site's load; its journal takes the reads, those of the worker after the last one.
        next_read: makes each read.
        rate_per_s: reads a second; 0: none.
    """
    if not rate_per_s:
        return
    config = load.config
    worker = config.workers
    (pacer,) = pacers(
        start_s=time.monotonic(),
        rate_per_s=rate_per_s,
        workers=1,
        seed=config.seed,
        site=f"{config.site}/nearest",
    )
    n = 0
    while await wait_turn(load, pacer):
        await _read(load, next_read(n), f"{config.site}-{worker}-{n}", is_causal=n % 2 == 1)
        n += 1


async def _read(load: SiteLoad, work: ReadWork, id_: str, *, is_causal: bool) -> None:
    journal = load.journal
    has_tokens = load.config.client == "storage"
    newest = journal.newest if is_causal and has_tokens else None
    after, token = (None, None) if newest is None else newest
    journal.begin_read(id_, worker=load.config.workers, after=after, work=work.about)
    try:
        read = await load.storage.read(
            work.apply,
            after=token,
            max_staleness_s=ANY_S if token is None else None,
            isolation=work.isolation,
            deadline_s=READ_DEADLINE_S,
        )
    except StorageError as error:
        if isinstance(error, TokenLost) and journal.newest == newest:
            journal.newest = None
        journal.not_answered(id_, error, after=after)
    else:
        journal.answered(id_, read, after=after, result=read.value)
