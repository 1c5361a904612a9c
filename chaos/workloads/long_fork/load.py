"""Writes single keys, and reads all keys of a group in one transaction, on every member.

A group has a key for each worker of all sites, and is in use for two rounds of their schedule:
which one it is follows from the clock that all load processes share. In the first round each worker
writes its own key, in the second it reads the whole group on the primary; reads on the nearest
member go on beside both. The keys lie in two tables in turn, and a read asks one after the other:
where every statement has a snapshot of its own (READ COMMITTED), reads may fork.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, LiteralString

import anyio

from chaos.workloads.base import SiteLoad, Work, WorkResult
from chaos.workloads.isolation import LEVELS, ON_REPLICAS
from chaos.workloads.long_fork import LongForkOptions
from chaos.workloads.numbers import numbers_of
from chaos.workloads.pacing import run_paced
from chaos.workloads.reading import ReadWork, run_reads
from replication import Transaction

ROUNDS_A_GROUP = 2

TABLES: tuple[LiteralString, ...] = ("bascule.single_a", "bascule.single_b")
_WRITE: tuple[LiteralString, ...] = tuple(
    f"INSERT INTO {t} (id, key) VALUES (%s, %s)" for t in TABLES
)
_READ: tuple[LiteralString, ...] = tuple(
    f"SELECT key FROM {t} WHERE key >= %s AND key < %s" for t in TABLES
)


class SingleWrites:
    """See the module."""

    tables: tuple[LiteralString, ...] = (
        *(
            f"CREATE TABLE IF NOT EXISTS {t} (id text NOT NULL, key bigint NOT NULL)"
            for t in TABLES
        ),
        *(f"CREATE INDEX IF NOT EXISTS {t[8:]}_key ON {t} (key)" for t in TABLES),
    )
    grants: tuple[LiteralString, ...] = tuple(
        f"GRANT SELECT, INSERT ON {t} TO {{role}}" for t in TABLES
    )
    final_read: LiteralString = """
        SELECT 'row', id, key::text FROM (
            SELECT id, key FROM bascule.single_a UNION ALL SELECT id, key FROM bascule.single_b
        ) AS singles
        ORDER BY key, id
    """

    def __init__(self, options: LongForkOptions) -> None:
        self._options = options

    def opening(self) -> Iterable[tuple[LiteralString, tuple[Any, ...]]]:
        """Nothing is written."""
        return ()

    async def run(self, load: SiteLoad) -> None:
        """Write and read on the primary, and read on the nearest member."""
        config, isolation = load.config, self._options.isolation
        group_s = ROUNDS_A_GROUP * config.workers / config.rate_per_s
        first, keys = numbers_of(config)
        written: dict[int, int] = {}

        def next_work(worker: int, n: int) -> Work:
            id_, group = f"{config.site}-{worker}-{n}", int(time.monotonic() / group_s)
            if written.get(worker) == group:
                return Work(
                    id=id_,
                    apply=lambda transaction: look(transaction, group, keys),
                    leaves_entry=False,
                    isolation=LEVELS[isolation],
                    about=_about(group, keys),
                )
            written[worker], key = group, group * keys + first + worker

            async def write(transaction: Transaction) -> WorkResult:
                await transaction.execute(_WRITE[key % len(TABLES)], (id_, key))
                return {}

            about: WorkResult = {"op": "write", "key": key}
            return Work(id=id_, apply=write, isolation=LEVELS[isolation], about=about)

        def next_read(n: int) -> ReadWork:
            del n
            group = int(time.monotonic() / group_s)
            return ReadWork(
                apply=lambda transaction: look(transaction, group, keys),
                isolation=ON_REPLICAS[isolation],
                about=_about(group, keys),
            )

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run_paced, load, next_work)
            rate_per_s = config.rate_per_s * self._options.replica_reads
            await run_reads(load, next_read, rate_per_s=rate_per_s)


async def look(transaction: Transaction, group: int, keys: int) -> WorkResult:
    """The keys of a group that are written, for the history."""
    bounds = (group * keys, (group + 1) * keys)
    seen = [int(key) for read in _READ for (key,) in (await transaction.execute(read, bounds)).rows]
    return {"seen": ",".join(map(str, sorted(seen)))}


def _about(group: int, keys: int) -> WorkResult:
    return {"op": "read", "first": group * keys, "keys": keys}
