"""Adds entries to the ledger, each with an id of its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, LiteralString

from chaos.workloads.base import SiteLoad, Work, WorkResult
from chaos.workloads.ledger import LedgerOptions
from chaos.workloads.pacing import run_paced
from replication import Transaction

INSERT_ENTRY = "INSERT INTO bascule.ledger (id, site, worker, n) VALUES (%s, %s, %s, %s)"


class Ledger:
    """See the module."""

    tables: tuple[LiteralString, ...] = (
        """
        CREATE TABLE IF NOT EXISTS bascule.ledger (
            seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            id text NOT NULL,
            site text NOT NULL,
            worker integer NOT NULL,
            n integer NOT NULL,
            written_at timestamptz NOT NULL DEFAULT clock_timestamp()
        )
        """,
    )
    grants: tuple[LiteralString, ...] = ("GRANT SELECT, INSERT ON bascule.ledger TO {role}",)
    final_read: LiteralString = "SELECT 'row', id, ledger::text FROM bascule.ledger ORDER BY seq"

    def __init__(self, options: LedgerOptions) -> None: ...

    def opening(self) -> Iterable[tuple[LiteralString, tuple[Any, ...]]]:
        """The ledger begins empty."""
        return ()

    async def run(self, load: SiteLoad) -> None:
        """Add entries, at the rate that was asked for."""
        site = load.config.site

        def next_work(worker: int, n: int) -> Work:
            id_ = f"{site}-{worker}-{n}"

            async def add_entry(transaction: Transaction) -> WorkResult:
                await transaction.execute(INSERT_ENTRY, (id_, site, worker, n))
                return {}

            return Work(id=id_, apply=add_entry)

        await run_paced(load, next_work)
