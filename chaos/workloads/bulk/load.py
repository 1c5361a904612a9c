"""Copies rows in chunks, each worker a load of its own.

An operation is a chunk, which the loader applies as one unit of work; the history gets the answer
of the storage layer for that unit (``ChunksHeard``). A chunk keeps its operation until it is
certainly there: where the loader gives up, because its time for a chunk is over or no node can be
asked, it is run again under the same name, as after any other interruption, and goes on where it
stopped.

The rows are made here, at the pace of the load, and end when the load is stopped, always with a
whole chunk. So the load comes to its end, which is an operation too: it states that there will be
no more chunks, and how many there are. What a row must hold follows from its place, so that the
final read can tell every row that is not what was sent; it groups by chunk on the server, because a
hundred thousand rows of every node would tell no more.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterable
from typing import Any, LiteralString, cast

import anyio

from chaos.workloads.base import SiteLoad
from chaos.workloads.bulk import BulkOptions
from chaos.workloads.chunks import ChunksHeard
from chaos.workloads.pacing import Pacer, site_pacers, wait_turn
from replication import Storage, StorageError
from replication.bulk import BulkLoad

TABLE = ("bascule", "bulk_row")
COLUMNS = ("site", "worker", "chunk", "n", "payload")

RESUME_PAUSE_S = 0.5
"""Before a load that gave up is run again."""


class Bulk:
    """See the module."""

    tables: tuple[LiteralString, ...] = (
        """
        CREATE TABLE IF NOT EXISTS bascule.bulk_row (
            site text NOT NULL,
            worker integer NOT NULL,
            chunk integer NOT NULL,
            n bigint NOT NULL,
            payload text NOT NULL
        )
        """,
    )
    grants: tuple[LiteralString, ...] = ("GRANT SELECT, INSERT ON bascule.bulk_row TO {role}",)
    final_read: LiteralString = """
        SELECT 'row', site || '-' || worker || '-' || chunk,
            json_build_object(
                'rows', count(*),
                'distinct', count(DISTINCT n),
                'first', min(n),
                'last', max(n),
                'foreign', count(*) FILTER (
                    WHERE payload <> md5(site || '-' || worker || '-' || n)
                )
            )::text
        FROM bascule.bulk_row
        GROUP BY site, worker, chunk
        ORDER BY site, worker, chunk
    """

    def __init__(self, options: BulkOptions) -> None:
        self._options = options

    def opening(self) -> Iterable[tuple[LiteralString, tuple[Any, ...]]]:
        """The table begins empty."""
        return ()

    async def run(self, load: SiteLoad) -> None:
        """One load a worker, each at its share of the rate."""
        async with anyio.create_task_group() as group:
            for worker, pacer in enumerate(site_pacers(load)):
                group.start_soon(_Worker(load, worker, pacer, self._options).run)


class _Worker:
    """One load, from its first chunk to its end."""

    def __init__(self, load: SiteLoad, worker: int, pacer: Pacer, options: BulkOptions) -> None:
        self._load = load
        self._worker = worker
        self._pacer = pacer
        self._chunk_rows = options.chunk_rows
        self._made = 0
        """Chunks whose rows were made; another run makes the same ones again, at once."""

    async def run(self) -> None:
        site = self._load.config.site
        chunk_rows = self._chunk_rows
        name = f"{site}-{self._worker}"
        heard = ChunksHeard(
            self._load,
            name,
            worker=self._worker,
            about=lambda chunk: {"op": "chunk", "rows": chunk_rows, "first": chunk * chunk_rows},
        )
        bulk = BulkLoad(
            cast(Storage, heard),
            name=name,
            table=TABLE,
            columns=COLUMNS,
            chunk_rows=chunk_rows,
            chunk_deadline_s=self._load.config.deadline_s,
        )
        while True:
            try:
                heard.finished(await bulk.run(self._rows(chunk_rows)))
            except StorageError:
                # Whether it could have gone on is judged by what is open at the end.
                await anyio.sleep(RESUME_PAUSE_S)
            else:
                return

    async def _rows(self, chunk_rows: int) -> AsyncIterator[tuple[str, int, int, int, str]]:
        site, worker = self._load.config.site, self._worker
        chunk = 0
        while chunk < self._made or await wait_turn(self._load, self._pacer):
            self._made = max(self._made, chunk + 1)
            for n in range(chunk * chunk_rows, (chunk + 1) * chunk_rows):
                yield site, worker, chunk, n, payload_of(site, worker, n)
            chunk += 1


def payload_of(site: str, worker: int, n: int) -> str:
    """What a row must hold; PostgreSQL's ``md5`` computes the same in the final read."""
    return hashlib.md5(f"{site}-{worker}-{n}".encode(), usedforsecurity=False).hexdigest()
