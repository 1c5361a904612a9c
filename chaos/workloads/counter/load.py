"""Adds one to a counter, and an entry with an id of its own, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, LiteralString

from chaos.workloads.base import SiteLoad, Work, WorkResult
from chaos.workloads.counter import CounterOptions
from chaos.workloads.pacing import run_paced
from replication import Transaction

ADD: LiteralString = "UPDATE bascule.counter SET value = value + 1 RETURNING value"
ADD_ENTRY: LiteralString = "INSERT INTO bascule.counter_entry (id, value) VALUES (%s, %s)"
OPEN: LiteralString = (
    "INSERT INTO bascule.counter (value) SELECT 0 WHERE NOT EXISTS (TABLE bascule.counter)"
)


class OneCounter:
    """See the module."""

    tables: tuple[LiteralString, ...] = (
        "CREATE TABLE IF NOT EXISTS bascule.counter (value bigint NOT NULL)",
        "CREATE TABLE IF NOT EXISTS bascule.counter_entry ("
        " seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id text NOT NULL, value bigint)",
    )
    grants: tuple[LiteralString, ...] = (
        "GRANT SELECT, UPDATE ON bascule.counter TO {role}",
        "GRANT SELECT, INSERT ON bascule.counter_entry TO {role}",
    )
    final_read: LiteralString = """
        SELECT kind, id, content FROM (
            SELECT 'row' AS kind, id, value::text AS content, 0 AS part, seq AS place
            FROM bascule.counter_entry
            UNION ALL
            SELECT 'state', 'counter', value::text, 1, 0 FROM bascule.counter
        ) AS everything
        ORDER BY part, place
    """

    def __init__(self, options: CounterOptions) -> None: ...

    def opening(self) -> Iterable[tuple[LiteralString, tuple[Any, ...]]]:
        """The counter begins at zero."""
        return ((OPEN, ()),)

    async def run(self, load: SiteLoad) -> None:
        """Add, at the rate that was asked for."""
        site = load.config.site

        def next_work(worker: int, n: int) -> Work:
            id_ = f"{site}-{worker}-{n}"

            async def add(transaction: Transaction) -> WorkResult:
                [(value,)] = (await transaction.execute(ADD)).rows
                await transaction.execute(ADD_ENTRY, (id_, value))
                return {"value": int(value)}

            return Work(id=id_, apply=add, about={"op": "add"})

        await run_paced(load, next_work)
