"""Appends to lists and reads them, several in a transaction.

A list is one row of text, in one of three tables; an append changes the row in place, so two
transactions that append to one list meet on its row. Half of the accesses look for the row by its
primary key, half by a secondary one (Jepsen's append test of PostgreSQL does both). Each
transaction takes its lists in the order of their keys, so that none waits for another in a circle.

**Which lists** are in use follows from the clock, which all load processes of a drill share: a few
at a time, each for about 16 appends, then a new one takes its place. So lists stay short, and all
sites meet on them without communication. One access in five goes to an older list: what was written
before an outage is read, and appended to, after it.

**The end.** The final read of every node is a transaction that reads every list, when nothing is
open any more (``native.py``): what was lost and never asked for again shows there.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, LiteralString

import anyio

from chaos.workloads.append import AppendOptions
from chaos.workloads.append.micro import MicroOp, lists_written, written
from chaos.workloads.base import SiteLoad, Work, WorkResult
from chaos.workloads.config import LoadConfig
from chaos.workloads.isolation import LEVELS, ON_REPLICAS
from chaos.workloads.kind import IsolationName
from chaos.workloads.numbers import numbers_of
from chaos.workloads.pacing import run_paced
from chaos.workloads.reading import ReadWork, run_reads
from replication import Transaction

APPENDS_A_LIST = 16
"""Long enough that its order says something; above 32 elements reading costs more than judging."""
OPS_MAX = 4
APPENDS_SHARE = 0.5
OLDER_SHARE = 0.2
OLDER_S_MAX = 90.0
"""An older list is up to so old: older than any failover takes, so that lists from before it are
used again after it."""
VALUES_A_UNIT = 8
"""Numbers for the appends of one unit of work; at least ``OPS_MAX``."""
BY_TAG_SHARE = 0.5

TABLES: tuple[LiteralString, ...] = ("bascule.list_a", "bascule.list_b", "bascule.list_c")
ADD_ENTRY: LiteralString = "INSERT INTO bascule.append_entry (id) VALUES (%s)"

_READ: tuple[LiteralString, ...] = tuple(f"SELECT items FROM {t} WHERE key = %s" for t in TABLES)
_READ_BY_TAG: tuple[LiteralString, ...] = tuple(
    f"SELECT items FROM {t} WHERE tag = %s" for t in TABLES
)
_APPEND: tuple[LiteralString, ...] = tuple(
    f"INSERT INTO {t} AS old (key, tag, items) VALUES (%s, %s, %s)"
    " ON CONFLICT (key) DO UPDATE SET items = old.items || ',' || excluded.items"
    for t in TABLES
)
_APPEND_BY_TAG: tuple[LiteralString, ...] = tuple(
    f"UPDATE {t} SET items = items || ',' || %s WHERE tag = %s" for t in TABLES
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """Which lists are in use when.

    Args:
        keys: so many at a time.
        life_s: each for so long.
    """

    keys: int
    life_s: float

    @classmethod
    def of(cls, config: LoadConfig, keys: int) -> Shelf:
        """So that a list gets ``APPENDS_A_LIST`` appends from all sites together."""
        appends_per_s = (
            config.rate_per_s
            * max(1, len(config.sites))
            * (1 + OPS_MAX)
            / 2
            * APPENDS_SHARE
            * (1 - OLDER_SHARE)
        )
        return cls(keys=keys, life_s=APPENDS_A_LIST * keys / appends_per_s)

    def draw(self, rng: random.Random, at_s: float) -> int:
        """The key of a list in use ``at_s``, or of an older one."""
        place = rng.randrange(self.keys)
        if rng.random() < OLDER_SHARE:
            youngest_s = min(self.life_s, OLDER_S_MAX)
            at_s -= math.exp(rng.uniform(math.log(youngest_s), math.log(OLDER_S_MAX)))
        # The places change one after the other, not all at once.
        life = max(0, math.floor(at_s / self.life_s + place / self.keys))
        return life * self.keys + place


class Appends:
    """See the module."""

    tables: tuple[LiteralString, ...] = (
        *(
            f"CREATE TABLE IF NOT EXISTS {t}"
            " (key bigint PRIMARY KEY, tag bigint NOT NULL, items text NOT NULL)"
            for t in TABLES
        ),
        *(f"CREATE INDEX IF NOT EXISTS {t[8:]}_by_tag ON {t} (tag)" for t in TABLES),
        "CREATE TABLE IF NOT EXISTS bascule.append_entry ("
        " seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id text NOT NULL)",
    )
    grants: tuple[LiteralString, ...] = (
        *(f"GRANT SELECT, INSERT, UPDATE ON {t} TO {{role}}" for t in TABLES),
        "GRANT SELECT, INSERT ON bascule.append_entry TO {role}",
    )
    final_read: LiteralString = """
        SELECT kind, id, content FROM (
            SELECT 'row' AS kind, id, '' AS content, 0 AS part, seq AS place
            FROM bascule.append_entry
            UNION ALL
            SELECT 'state', key::text, items, 1, key FROM (
                SELECT key, items FROM bascule.list_a
                UNION ALL SELECT key, items FROM bascule.list_b
                UNION ALL SELECT key, items FROM bascule.list_c
            ) AS lists
        ) AS everything
        ORDER BY part, place
    """

    def __init__(self, options: AppendOptions) -> None:
        self._options = options

    def opening(self) -> Iterable[tuple[LiteralString, tuple[Any, ...]]]:
        """There is no list at first."""
        return ()

    async def run(self, load: SiteLoad) -> None:
        """Append and read, on the primary and on the nearest member."""
        config, options = load.config, self._options
        shelf = Shelf.of(config, options.keys)
        draws = [
            random.Random(f"{config.seed}/{config.site}/{worker}/append")
            for worker in range(config.workers + 1)
        ]
        first, step = numbers_of(config)

        def next_work(worker: int, n: int) -> Work:
            number = (first + worker + n * step) * VALUES_A_UNIT
            micro_ops = draw_micro_ops(draws[worker], shelf, time.monotonic(), number)
            return unit_of(f"{config.site}-{worker}-{n}", micro_ops, options.isolation)

        def next_read(n: int) -> ReadWork:
            del n
            micro_ops = draw_micro_ops(draws[-1], shelf, time.monotonic(), None)
            return ReadWork(
                apply=lambda transaction: carry_out(transaction, micro_ops),
                isolation=ON_REPLICAS[options.isolation],
                about={"op": "txn", "txn": written(micro_ops)},
            )

        async with anyio.create_task_group() as group:
            group.start_soon(run_paced, load, next_work)
            await run_reads(load, next_read, rate_per_s=config.rate_per_s * options.replica_reads)


def unit_of(id_: str, micro_ops: tuple[MicroOp, ...], isolation: IsolationName) -> Work:
    """The unit of work that carries out ``micro_ops``; one that only reads leaves no entry."""
    appends = any(one.value is not None for one in micro_ops)

    async def apply(transaction: Transaction) -> WorkResult:
        found = await carry_out(transaction, micro_ops)
        if appends:
            await transaction.execute(ADD_ENTRY, (id_,))
        return found

    return Work(
        id=id_,
        apply=apply,
        leaves_entry=appends,
        isolation=LEVELS[isolation],
        about={"op": "txn", "txn": written(micro_ops)},
    )


async def carry_out(transaction: Transaction, micro_ops: tuple[MicroOp, ...]) -> WorkResult:
    """Append and read in the order of ``micro_ops``; what was seen, for the history."""
    seen: list[str] = []
    for one in micro_ops:
        table = one.key % len(TABLES)
        if one.value is None:
            read = _READ_BY_TAG[table] if one.by_tag else _READ[table]
            rows = (await transaction.execute(read, (one.key,))).rows
            seen.append(",".join(str(items) for (items,) in rows))
            continue
        if one.by_tag:
            changed = await transaction.execute(_APPEND_BY_TAG[table], (str(one.value), one.key))
            if changed.rowcount:
                continue
        await transaction.execute(_APPEND[table], (one.key, one.key, str(one.value)))
    return {"read": lists_written(seen)} if seen else {}


def draw_micro_ops(
    rng: random.Random, shelf: Shelf, at_s: float, number: int | None
) -> tuple[MicroOp, ...]:
    """The next transaction, in the order of its keys.

    Args:
        rng: draws it.
        shelf: the lists in use.
        at_s: when it is begun, on the clock that all load processes share.
        number: the first of the ``VALUES_A_UNIT`` numbers that it may append, which no other
            transaction has; None: it only reads.
    """
    count = rng.randint(1, OPS_MAX)
    keys = sorted(shelf.draw(rng, at_s) for _ in range(count))
    return tuple(
        MicroOp(
            key=key,
            value=number + place if number is not None and rng.random() < APPENDS_SHARE else None,
            by_tag=rng.random() < BY_TAG_SHARE,
        )
        for place, key in enumerate(keys)
    )
