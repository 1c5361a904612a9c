"""Entries of the ledger, as the tests of the storage layer write them. The id is not unique: an
entry that was applied twice must be seen, not refused."""

from __future__ import annotations

from dataclasses import dataclass

from chaos.load.prepare import prepare
from chaos.workloads.ledger.load import INSERT_ENTRY
from replication import Transaction

__all__ = ["Entry", "add_entry", "prepare"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of the ledger; ``n`` counts the operations of its worker."""

    id: str
    site: str
    worker: int
    n: int


async def add_entry(transaction: Transaction, entry: Entry) -> None:
    """A unit of work."""
    await transaction.execute(INSERT_ENTRY, (entry.id, entry.site, entry.worker, entry.n))
