"""Reads, writes, and compare-and-sets of registers, all as units of work on the primary.

A read is a unit of work too, so its id row commits under the synchronous rule: a primary that was
deposed cannot acknowledge an old value. A compare-and-set locks its row, looks, and writes only
where it found what it expects: the value that its worker saw there last. No value is written twice.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any, LiteralString

from chaos.workloads.base import SiteLoad, Work, WorkResult
from chaos.workloads.numbers import numbers_of
from chaos.workloads.pacing import run_paced
from chaos.workloads.register import RegisterOptions
from replication import Transaction

READS_SHARE = 0.4
CAS_SHARE = 0.3

OPEN: LiteralString = (
    "INSERT INTO bascule.register (key, version)"
    " SELECT n, 0 FROM generate_series(0, %s - 1) AS n ON CONFLICT (key) DO NOTHING"
)
READ: LiteralString = "SELECT value, version FROM bascule.register WHERE key = %s"
WRITE: LiteralString = (
    "UPDATE bascule.register SET value = %s, version = version + 1 WHERE key = %s RETURNING version"
)
ADD_ENTRY: LiteralString = "INSERT INTO bascule.register_entry (id) VALUES (%s)"


class Registers:
    """See the module."""

    tables: tuple[LiteralString, ...] = (
        "CREATE TABLE IF NOT EXISTS bascule.register"
        " (key integer PRIMARY KEY, value bigint, version bigint NOT NULL)",
        "CREATE TABLE IF NOT EXISTS bascule.register_entry ("
        " seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id text NOT NULL)",
    )
    grants: tuple[LiteralString, ...] = (
        "GRANT SELECT, UPDATE ON bascule.register TO {role}",
        "GRANT SELECT, INSERT ON bascule.register_entry TO {role}",
    )
    final_read: LiteralString = """
        SELECT kind, id, content FROM (
            SELECT 'row' AS kind, id, '' AS content, 0 AS part, seq AS place
            FROM bascule.register_entry
            UNION ALL
            SELECT 'state', key::text, json_build_object('value', value, 'version', version)::text,
                1, key
            FROM bascule.register
        ) AS everything
        ORDER BY part, place
    """

    def __init__(self, options: RegisterOptions) -> None:
        self._options = options
        self._seen: dict[tuple[int, int], int | None] = {}
        """By worker and register, the value that the worker saw there last."""

    def opening(self) -> Iterable[tuple[LiteralString, tuple[Any, ...]]]:
        """Every register is empty, at version 0."""
        return ((OPEN, (self._options.registers,)),)

    async def run(self, load: SiteLoad) -> None:
        """Read and write, at the rate that was asked for."""
        config = load.config
        draws = [
            random.Random(f"{config.seed}/{config.site}/{worker}/register")
            for worker in range(config.workers)
        ]
        first, step = numbers_of(config)

        def next_work(worker: int, n: int) -> Work:
            id_ = f"{config.site}-{worker}-{n}"
            return self.draw_work(draws[worker], id_, worker, first + worker + n * step)

        await run_paced(load, next_work)

    def draw_work(self, rng: random.Random, id_: str, worker: int, value: int) -> Work:
        """The next operation of a worker; ``value`` is one that nobody else writes."""
        key = rng.randrange(self._options.registers)
        share = rng.random()
        if share < READS_SHARE:
            return self._read(id_, worker, key)
        if share < READS_SHARE + CAS_SHARE:
            return self._cas(id_, worker, key, self._seen.get((worker, key)), value)
        return self._write(id_, worker, key, value)

    def _read(self, id_: str, worker: int, key: int) -> Work:
        async def read(transaction: Transaction) -> WorkResult:
            value, version = await _look(transaction, key)
            self._seen[worker, key] = value
            return {"value": value, **self._version(version)}

        return Work(id=id_, apply=read, leaves_entry=False, about={"op": "read", "key": key})

    def _write(self, id_: str, worker: int, key: int, value: int) -> Work:
        async def write(transaction: Transaction) -> WorkResult:
            version = await _set(transaction, key, value)
            await transaction.execute(ADD_ENTRY, (id_,))
            self._seen[worker, key] = value
            return self._version(version)

        return Work(id=id_, apply=write, about={"op": "write", "key": key, "value": value})

    def _cas(self, id_: str, worker: int, key: int, expected: int | None, value: int) -> Work:
        async def compare_and_set(transaction: Transaction) -> WorkResult:
            found, version = await _look(transaction, key, locked=True)
            if found == expected:
                version = await _set(transaction, key, value)
            await transaction.execute(ADD_ENTRY, (id_,))
            self._seen[worker, key] = value if found == expected else found
            return {"found": found, **self._version(version)}

        about: WorkResult = {"op": "cas", "key": key, "expected": expected, "value": value}
        return Work(id=id_, apply=compare_and_set, about=about)

    def _version(self, version: int) -> WorkResult:
        return {"version": version} if self._options.versions else {}


async def _look(
    transaction: Transaction, key: int, *, locked: bool = False
) -> tuple[int | None, int]:
    query = f"{READ} FOR UPDATE" if locked else READ
    [(value, version)] = (await transaction.execute(query, (key,))).rows
    return (None if value is None else int(value)), int(version)


async def _set(transaction: Transaction, key: int, value: int) -> int:
    [(version,)] = (await transaction.execute(WRITE, (value, key))).rows
    return int(version)
