"""The ledger workload: every operation adds one entry with an id of its own, and no more.

Because entries are never changed, what must be in the ledger at the end follows from the answers
alone: what was acknowledged is there once, what failed is not there, what is in doubt is there
once or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, LiteralString

from chaos.scenarios.model import WorkloadKind, WorkloadSpec
from chaos.workloads.base import Result, SiteLoad, Work
from chaos.workloads.paced import run_paced
from replication import Transaction

INSERT_ENTRY = "INSERT INTO bascule.ledger (id, site, worker, n) VALUES (%s, %s, %s, %s)"


class Ledger:
    """See the module."""

    kind: WorkloadKind = "ledger"
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

    def opening(self, spec: WorkloadSpec) -> Iterable[tuple[LiteralString, tuple[Any, ...]]]:
        """The ledger begins empty."""
        return ()

    async def run(self, load: SiteLoad) -> None:
        """Add entries, at the rate that was asked for."""
        site = load.config.site

        def next_work(worker: int, n: int) -> Work:
            id_ = f"{site}-{worker}-{n}"

            async def add_entry(transaction: Transaction) -> Result:
                await transaction.execute(INSERT_ENTRY, (id_, site, worker, n))
                return {}

            return Work(id=id_, apply=add_entry)

        await run_paced(load, next_work)
