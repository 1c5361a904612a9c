"""Adds elements to a set, and looks for the newest ones on the nearest member.

A read has a **watermark**: it looks at what was added after a place in the table (its ``seq``), so
that it does not grow with the set. The place is that of an element which this site was acknowledged
``WINDOW_S`` ago; so every element is looked for as long as that after its addition, by every site.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from typing import Any, LiteralString

import anyio

from chaos.workloads.base import SiteLoad, Work, WorkResult
from chaos.workloads.numbers import numbers_of
from chaos.workloads.pacing import run_paced
from chaos.workloads.reading import ReadWork, run_reads
from chaos.workloads.set import SetOptions
from replication import Transaction

WINDOW_S = 10.0
"""Longer than any replica of a whole cluster is behind; after an outage the window begins before
it, because nothing is acknowledged meanwhile."""

ADD: LiteralString = "INSERT INTO bascule.element (id, element) VALUES (%s, %s) RETURNING seq"
LOOK: LiteralString = (
    "SELECT coalesce(string_agg(element::text, ',' ORDER BY seq), '')"
    " FROM bascule.element WHERE seq > %s"
)


class Watermark:
    """The place after which a read looks.

    Args:
        window_s: what was acknowledged longer ago is not looked for.
    """

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._added: deque[tuple[float, int]] = deque()
        self._seq = 0

    def added(self, seq: int, now_s: float) -> None:
        """An element was added at ``seq``, just now."""
        self._added.append((now_s, seq))

    def at(self, now_s: float) -> int:
        """The place; 0: everything is looked at."""
        while self._added and self._added[0][0] < now_s - self._window_s:
            self._seq = max(self._seq, self._added.popleft()[1])
        return self._seq


class GrowingSet:
    """See the module."""

    tables: tuple[LiteralString, ...] = (
        "CREATE TABLE IF NOT EXISTS bascule.element ("
        " seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id text NOT NULL,"
        " element bigint NOT NULL)",
    )
    grants: tuple[LiteralString, ...] = ("GRANT SELECT, INSERT ON bascule.element TO {role}",)
    final_read: LiteralString = "SELECT 'row', id, element::text FROM bascule.element ORDER BY seq"

    def __init__(self, options: SetOptions) -> None:
        self._options = options

    def opening(self) -> Iterable[tuple[LiteralString, tuple[Any, ...]]]:
        """The set begins empty."""
        return ()

    async def run(self, load: SiteLoad) -> None:
        """Add on the primary, and look on the nearest member."""
        config = load.config
        first, step = numbers_of(config)
        watermark = Watermark(WINDOW_S)

        def next_work(worker: int, n: int) -> Work:
            id_, element = f"{config.site}-{worker}-{n}", first + worker + n * step

            async def add(transaction: Transaction) -> WorkResult:
                [(seq,)] = (await transaction.execute(ADD, (id_, element))).rows
                watermark.added(int(seq), time.monotonic())
                return {"seq": int(seq)}

            return Work(id=id_, apply=add, about={"op": "add", "element": element})

        def next_read(n: int) -> ReadWork:
            del n
            above = watermark.at(time.monotonic())

            async def look(transaction: Transaction) -> WorkResult:
                [(elements,)] = (await transaction.execute(LOOK, (above,))).rows
                return {"elements": str(elements)}

            return ReadWork(apply=look, about={"op": "look", "above": above})

        async with anyio.create_task_group() as group:
            group.start_soon(run_paced, load, next_work)
            rate_per_s = config.rate_per_s * self._options.replica_reads
            await run_reads(load, next_read, rate_per_s=rate_per_s)
