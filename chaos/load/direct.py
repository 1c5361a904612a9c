"""Writes straight to the members, beside a load that goes through a proxy: what the proxy costs.

The storage layer commits an empty unit of work a few times a second: its id row is the write. How
each ended goes into ``direct-<site>.jsonl``, in the format of a history.
"""

from __future__ import annotations

import time

from chaos.evidence.history import DIRECT_PER_S, HistoryFile
from chaos.workloads.base import SiteLoad
from chaos.workloads.journal import Journal
from chaos.workloads.pacing import pacers, wait_turn
from replication import Storage, StorageError, Transaction


class DirectWriter:
    """Commits until the load is stopped.

    Args:
        load: the site's load: its pace ends with it.
        storage: goes straight to the members.
        out: takes how each write ended.
    """

    def __init__(self, load: SiteLoad, storage: Storage, out: HistoryFile) -> None:
        self._load = load
        self._storage = storage
        self._journal = Journal(out)

    async def run(self) -> None:
        """Write until the load is stopped, and end what is open."""
        config = self._load.config
        [pacer] = pacers(
            start_s=time.monotonic(),
            rate_per_s=DIRECT_PER_S,
            workers=1,
            seed=config.seed,
            site=f"{config.site}/direct",
        )
        n = 0
        while await wait_turn(self._load, pacer):
            n += 1
            await self._write(f"{config.site}-direct-{n}")

    async def _write(self, id_: str) -> None:
        config = self._load.config
        self._journal.begin(id_, worker=0, leaves_entry=False)
        try:
            applied = await self._storage.run(
                _nothing, unit_id=id_, deadline_s=config.deadline_s, durability=config.promise
            )
        except StorageError as error:
            self._journal.failed(id_, error)
        else:
            self._journal.applied(id_, applied)

    def close(self) -> None:
        """Write down what is open, and that nothing follows."""
        self._journal.close()


async def _nothing(transaction: Transaction) -> None:
    """The id row is all that is written."""
