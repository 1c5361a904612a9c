"""Deletes the id rows of units of work that nobody may ask about any more.

**What makes it safe.** A row may go when no call with its id can come any more and none is under
way. Two promises of the caller see to that: a unit id is not used again, nor asked about, after
the retention; and the retention is longer than any ``deadline_s``. Then:

- The rows of one unit go together, in one statement, and only when the newest of them is past the
  retention. Were a void row deleted while a younger attempt of its unit is there, a call with that
  id would begin at the free number again and apply the unit twice.
- An attempt in flight, whose row nobody sees yet, belongs to a call that is no older than its
  deadline, and what a dead client left open the server ends within seconds (``wire.connect``). The
  void row before it was written by the same call, or later, so it is within the retention.

**No index.** ``created_at`` has none, since every unit of work would pay for it. The table is read
in stretches of pages instead (a TID range scan, PostgreSQL 14), each in a transaction of its own:
one pass reads what the VACUUM that must follow reads anyway.

Chunks of bulk loads that were finished before the retention go too. Their loads stay, a row each,
so that a name is never loaded twice.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

import anyio
import psycopg

from replication.errors import DeadlineExceeded, Facts, NotApplied, StorageError
from replication.outcomes import Action, Failure, Phase, decide
from replication.storage import Storage
from replication.wire import Params, Query, failure_of

_log = logging.getLogger("replication")

RETENTION_S_MIN = 3600.0
"""Below an hour a slow call, or clocks of primaries that differ, could matter."""

RETENTION_S = 7 * 86400.0

BATCH_PAGES = 256
"""2 MiB of the table, some 25,000 rows: a fraction of a second, no replica falls behind by it."""

CHUNKS_LIMIT = 10_000
"""Rows of ``bulk_chunk`` a transaction."""

INTERVAL_S = 3600.0
AGAIN_PAUSE_S = 0.5

_PAGES = "SELECT pg_relation_size('bascule.unit_of_work') / current_setting('block_size')::int"
_PRUNE_PAGES = """
    WITH gone AS (
        DELETE FROM bascule.unit_of_work WHERE ctid = ANY (ARRAY (
            SELECT r.ctid
            FROM (
                SELECT DISTINCT id FROM bascule.unit_of_work
                WHERE ctid >= %(first)s::tid AND ctid < %(end)s::tid
                  AND created_at < now() - make_interval(secs => %(older_than_s)s)
            ) AS old
            CROSS JOIN LATERAL (
                SELECT ctid FROM bascule.unit_of_work WHERE id = old.id OFFSET 0
            ) AS r
            WHERE now() - make_interval(secs => %(older_than_s)s) > (
                SELECT max(created_at) FROM bascule.unit_of_work WHERE id = old.id
            )
        ))
        RETURNING 1
    )
    SELECT count(*) FROM gone
"""
"""The rows of a unit are looked up by the primary key, unit by unit: LATERAL with OFFSET 0, and a
correlated subquery, are not turned into joins, which would read the whole table for every batch."""

_PRUNE_CHUNKS = """
    WITH gone AS (
    DELETE FROM bascule.bulk_chunk AS c USING (
        SELECT load, chunk FROM bascule.bulk_chunk JOIN bascule.bulk_load USING (load)
        WHERE finished_at < now() - make_interval(secs => %(older_than_s)s)
        LIMIT %(limit)s
    ) AS old
    WHERE (c.load, c.chunk) = (old.load, old.chunk)
    RETURNING 1
    )
    SELECT count(*) FROM gone
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What one pass deleted: id rows, and rows of the ledger of bulk loads."""

    id_rows: int
    chunk_rows: int
    elapsed_s: float


async def prune(
    storage: Storage,
    *,
    older_than_s: float = RETENTION_S,
    deadline_s: float = 3600.0,
    batch_pages: int = BATCH_PAGES,
    clock: Callable[[], float] = time.monotonic,
) -> Pruned:
    """One pass over the table. May be run by anybody, also by several at once.

    Args:
        storage: as a role with the rights of ``grant_statements(role, prune=True)``.
        older_than_s: the retention; longer than any ``deadline_s`` of a unit of work, and than
            anybody may want to ask what became of one. At least ``RETENTION_S_MIN``.
        deadline_s: for the pass, failovers included.
        batch_pages: pages of the table a transaction.

    Raises:
        ValueError: the retention is too short.
        DeadlineExceeded: the pass did not come to its end. What it deleted is gone.
        NotApplied: PostgreSQL refused.
    """
    if older_than_s < RETENTION_S_MIN:
        raise ValueError(f"the retention is at least {RETENTION_S_MIN:.0f} s, not {older_than_s}")
    if batch_pages < 1:
        raise ValueError("a batch has at least one page")
    run = _Pass(storage, clock)
    with anyio.move_on_after(deadline_s):
        pages = await run.count(_PAGES, {})
        id_rows = 0
        for first in range(0, pages, batch_pages):
            bounds = {"first": f"({first},0)", "end": f"({first + batch_pages},0)"}
            id_rows += await run.count(_PRUNE_PAGES, bounds | {"older_than_s": older_than_s})
        chunk_rows, limit = 0, {"older_than_s": older_than_s, "limit": CHUNKS_LIMIT}
        while deleted := await run.count(_PRUNE_CHUNKS, limit):
            chunk_rows += deleted
        return Pruned(id_rows=id_rows, chunk_rows=chunk_rows, elapsed_s=run.elapsed_s)
    raise DeadlineExceeded(f"the pass did not end within {deadline_s} s", **run.facts())


async def keep_pruned(
    storage: Storage, *, older_than_s: float | None = None, interval_s: float = INTERVAL_S
) -> NoReturn:
    """``prune`` for ever, every ``interval_s`` (half to one and a half times, by chance).

    For a task group of the application; failures are logged and the next pass comes.

    Args:
        storage: its role needs the right to prune (``grants_text(role, prune=True)``).
        older_than_s: the ``id_row_retention_s`` of its settings if None.
        interval_s: between two passes.

    Raises:
        ValueError: as ``prune``.
    """
    retention_s = storage.settings.id_row_retention_s if older_than_s is None else older_than_s
    while True:
        try:
            pruned = await prune(storage, older_than_s=retention_s)
        except StorageError as error:
            _log.warning("id rows were not pruned: %s", error)
        else:
            _log.info("%d id rows pruned in %.1f s", pruned.id_rows, pruned.elapsed_s)
        await anyio.sleep(interval_s * random.uniform(0.5, 1.5))


class _Pass:
    """Runs statements that may be run twice, until each was answered."""

    def __init__(self, storage: Storage, clock: Callable[[], float]) -> None:
        self._storage = storage
        self._clock = clock
        self._begun_s = clock()
        self._attempts = 0
        self._node: str | None = None
        self._failure: Failure | None = None

    @property
    def elapsed_s(self) -> float:
        """Since the beginning."""
        return self._clock() - self._begun_s

    async def count(self, query: Query, params: Params) -> int:
        """The number that one statement returns, which is a transaction of its own.

        Raises:
            NotApplied: another try would not help.
        """
        while True:
            self._attempts += 1
            try:
                async with self._storage.session() as session:
                    self._node = session.node
                    return int((await session.fetch(query, params))[0][0])
            except psycopg.Error as error:
                failure = self._failure = failure_of(error)
                # A warning is a commit that may be taken back: what was not deleted for good is
                # found again.
                if failure.kind != "warning" and decide(failure, Phase.BODY) is Action.GIVE_UP:
                    raise NotApplied(
                        f"id rows were not pruned: {failure.message}", **self.facts()
                    ) from error
            await anyio.sleep(AGAIN_PAUSE_S * random.uniform(0.5, 1.5))

    def facts(self) -> Facts:
        """For an error."""
        return Facts(
            unit_id="prune",
            node=self._node,
            sqlstate=None if self._failure is None else self._failure.sqlstate,
            elapsed_s=self.elapsed_s,
            attempts=self._attempts,
        )
