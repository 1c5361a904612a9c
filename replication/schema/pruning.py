"""Deletes the id rows of units of work that are past their retention.

**What makes it safe.** A row may be deleted when no call with its id can come any more and none is
in progress. The caller promises two things for that: a unit id is not used again, nor asked about,
after the retention; and the retention is longer than any ``deadline_s``. Then:

- The rows of one unit go together, in one statement, and only when the newest of them is past the
  retention. If a void row were deleted while a younger attempt of its unit is there, a call with
  that id would begin at the free number again and apply the unit twice.
- **Old is what is old by two clocks**: the server's and that of the process that prunes. A primary
  whose clock is a week ahead (a virtual machine that was resumed, a battery that is empty) would
  else take every row for old, and a call that comes again would be applied twice. A row that was
  written while the server's clock was behind by more than the retention is not told from an old
  one: let NTP keep the clocks.
- An attempt in progress, whose row is not visible yet, belongs to a call that is no older than its
  deadline; and the server ends what a dead client left open within seconds (``wire.connect``). The
  void row before it was written by the same call, or later, so it is within the retention.

**No index.** ``created_at`` has none, since it would slow every unit of work down. The table is
read in ranges of pages instead (a TID range scan, PostgreSQL 14), one transaction each: one pass
reads what the VACUUM that follows reads anyway.

Chunks of bulk loads that were finished before the retention are deleted too, except the last one of
each load: the source of a later run is compared with it. The loads stay, a row each, so that a name
is never loaded twice.
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
from replication.failures import Action, AttemptPhase, Failure, decide
from replication.primary.router import not_admitted
from replication.storage import Storage
from replication.wire import Params, Query, Session, failure_of, final_refusal

_log = logging.getLogger("replication")

RETENTION_S_MIN = 3600.0
"""Below an hour a slow call, or clocks of primaries that differ, could matter."""

RETENTION_S = 7 * 86400.0

BATCH_PAGES = 256
"""2 MiB of the table, some 25,000 rows: a fraction of a second, so no replica falls behind because
of it."""

CHUNKS_LIMIT = 10_000
"""Rows of ``bulk_chunk`` a transaction."""

INTERVAL_S = 3600.0
AGAIN_PAUSE_S = 0.5

_PAGES = "SELECT pg_relation_size('bascule.unit_of_work') / current_setting('block_size')::int"
_OLD = "LEAST(now(), to_timestamp(%(wall_s)s)) - make_interval(secs => %(older_than_s)s)"
_PRUNE_PAGES = f"""
    WITH gone AS (
        DELETE FROM bascule.unit_of_work WHERE ctid = ANY (ARRAY (
            SELECT r.ctid
            FROM (
                SELECT DISTINCT id FROM bascule.unit_of_work
                WHERE ctid >= %(first)s::tid AND ctid < %(end)s::tid
                  AND created_at < {_OLD}
            ) AS old
            CROSS JOIN LATERAL (
                SELECT ctid FROM bascule.unit_of_work WHERE id = old.id OFFSET 0
            ) AS r
            WHERE {_OLD} > (
                SELECT max(created_at) FROM bascule.unit_of_work WHERE id = old.id
            )
        ))
        RETURNING 1
    )
    SELECT count(*) FROM gone
"""
"""The rows of a unit are looked up by the primary key, unit by unit: LATERAL with OFFSET 0, and a
correlated subquery, are not turned into joins, which would read the whole table for every batch."""

_PRUNE_CHUNKS = f"""
    WITH gone AS (
    DELETE FROM bascule.bulk_chunk AS c USING (
        SELECT load, chunk FROM bascule.bulk_chunk JOIN bascule.bulk_load USING (load)
        WHERE finished_at < {_OLD} AND chunk < chunks
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


async def prune(  # noqa: PLR0913 (two of them are clocks)
    storage: Storage,
    *,
    older_than_s: float = RETENTION_S,
    deadline_s: float = 3600.0,
    batch_pages: int = BATCH_PAGES,
    clock: Callable[[], float] = time.monotonic,
    wall: Callable[[], float] = time.time,
) -> Pruned:
    """Make one pass over the table. Several processes may do so at once.

    Args:
        storage: connects as a role with the rights of ``grant_statements(role, prune=True)``.
        older_than_s: the retention; longer than any ``deadline_s`` of a unit of work, and than the
            time in which its outcome may be asked for. At least ``RETENTION_S_MIN``.
        deadline_s: for the pass, failovers included.
        batch_pages: pages of the table a transaction.
        clock: monotonic seconds.
        wall: the second clock by which a row must be old, in seconds since the epoch.

    Raises:
        ValueError: the retention is too short.
        DeadlineExceeded: the pass did not finish. What it deleted stays deleted.
        NotApplied: PostgreSQL refused; ``ReadOnly`` if it does not accept writes.
    """
    if older_than_s < RETENTION_S_MIN:
        raise ValueError(f"the retention is at least {RETENTION_S_MIN:.0f} s, not {older_than_s}")
    if batch_pages < 1:
        raise ValueError("a batch has at least one page")
    run = _Pass(storage, clock)
    age = {"older_than_s": older_than_s, "wall_s": wall()}
    with anyio.move_on_after(deadline_s):
        pages = await run.count(_PAGES, {})
        id_rows = 0
        for first in range(0, pages, batch_pages):
            bounds = {"first": f"({first},0)", "end": f"({first + batch_pages},0)"}
            id_rows += await run.count(_PRUNE_PAGES, bounds | age)
        chunk_rows, limit = 0, {"limit": CHUNKS_LIMIT, **age}
        while deleted := await run.count(_PRUNE_CHUNKS, limit):
            chunk_rows += deleted
        return Pruned(id_rows=id_rows, chunk_rows=chunk_rows, elapsed_s=run.elapsed_s)
    raise DeadlineExceeded(f"the pass did not end within {deadline_s} s", **run.facts())


async def keep_pruned(
    storage: Storage, *, older_than_s: float | None = None, interval_s: float = INTERVAL_S
) -> NoReturn:
    """Run ``prune`` for ever, every ``interval_s`` (randomly half to one and a half times that).

    Start it in a task group of the application. A failure is logged, and the next pass follows.

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
            self._failure = None
            try:
                async with self._storage.session() as session:
                    self._node = session.node
                    return await self._count_on(session, query, params)
            except psycopg.Error as error:
                failure = self._failure = self._failure or failure_of(error)
                refused = final_refusal(error)
                if refused is not None:
                    words = "id rows were not pruned"
                    raise not_admitted(refused, words, self.facts()) from error
                # A warning is a commit that a failover may lose: the next pass then finds those
                # rows again.
                if (
                    failure.kind != "warning"
                    and decide(failure, AttemptPhase.BODY) is Action.GIVE_UP
                ):
                    raise NotApplied(
                        f"id rows were not pruned: {failure.message}", **self.facts()
                    ) from error
            await anyio.sleep(AGAIN_PAUSE_S * random.uniform(0.5, 1.5))

    async def _count_on(self, session: Session, query: Query, params: Params) -> int:
        try:
            return int((await session.fetch(query, params))[0][0])
        except psycopg.Error as error:
            self._failure = failure_of(error, session)
            raise

    def facts(self) -> Facts:
        """What an error says of the call."""
        return Facts(
            unit_id="prune",
            node=self._node,
            sqlstate=None if self._failure is None else self._failure.sqlstate,
            elapsed_s=self.elapsed_s,
            attempts=self._attempts,
        )
