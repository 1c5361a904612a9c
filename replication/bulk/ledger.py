"""The ledger of bulk loads: what was loaded, and what it was cut from.

**It is read inside units of work.** A plain SELECT could see a chunk whose commit is visible on the
primary and not yet on any standby. A failover would lose that chunk, and a load that had gone on
after it would never load it. A unit of work commits its id row after it has read, and the WAL is a
sequence: once that commit is acknowledged, everything that it saw is as safe (``id_row``).

**A finished load gets no more chunks.** A transaction that enters a chunk locks the row of the load
(FOR SHARE) until its COMMIT, and enters it only if the load is not finished. The transaction that
finishes the load locks the row (FOR UPDATE) before it counts the chunks. So of two sources that
begin alike, a longer and a shorter one, one is loaded as a whole, and the process with the other
one gets an error.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from psycopg.rows import TupleRow

from replication.bulk.model import AppliedChunk, Chunk, CopySetting, Start
from replication.units.unit import Transaction

SCHEMA_STATEMENTS: tuple[str, ...] = (
    """
    CREATE TABLE bascule.bulk_load (
        load text PRIMARY KEY,
        plan text NOT NULL,
        chunks integer,
        rows bigint,
        bytes bigint,
        begun_at timestamptz NOT NULL DEFAULT now(),
        finished_at timestamptz
    )
    """,
    """
    CREATE TABLE bascule.bulk_chunk (
        load text NOT NULL,
        chunk integer NOT NULL CHECK (chunk > 0),
        position_start bigint NOT NULL,
        position_end bigint NOT NULL,
        line_start bigint NOT NULL,
        line_end bigint NOT NULL,
        rows bigint NOT NULL,
        bytes bigint NOT NULL,
        digest text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (load, chunk)
    )
    """,
)
"""Part of the package's own migrations (``schema.own``). No foreign key: no row of ``bulk_load`` is
ever deleted."""

_INSERT_LOAD = (
    "INSERT INTO bascule.bulk_load (load, plan) VALUES (%s, %s) ON CONFLICT (load) DO NOTHING"
)
_LOAD = (
    "SELECT plan, finished_at IS NOT NULL, chunks, rows, bytes FROM bascule.bulk_load"
    " WHERE load = %s"
)
_CHUNK_COLUMNS = (
    "SELECT chunk, position_start, line_start, position_end, line_end, rows, bytes, digest"
    " FROM bascule.bulk_chunk WHERE load = %s"
)
_HOLD_LOAD = (
    "SELECT finished_at IS NOT NULL, chunks, rows, bytes FROM bascule.bulk_load"
    " WHERE load = %s FOR UPDATE"
)
_SUMS = (
    "SELECT count(*), coalesce(sum(rows), 0)::bigint, coalesce(sum(bytes), 0)::bigint"
    " FROM bascule.bulk_chunk WHERE load = %s"
)
_INSERT_CHUNK = (
    "INSERT INTO bascule.bulk_chunk (load, chunk, position_start, line_start, position_end,"
    " line_end, rows, bytes, digest)"
    " SELECT %s, %s, %s, %s, %s, %s, %s, %s, %s FROM bascule.bulk_load"
    " WHERE load = %s AND finished_at IS NULL FOR SHARE"
)
_FINISH = (
    "UPDATE bascule.bulk_load SET finished_at = now(), chunks = %s, rows = %s, bytes = %s"
    " WHERE load = %s"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """How much of a load is there."""

    chunks: int
    rows: int
    bytes_total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadState:
    """What the ledger says of a load.

    ``chunks``: what a source is compared with, in order. The last one, or every one that was not
    pruned.
    """

    plan: Mapping[str, CopySetting]
    is_finished: bool
    totals: Totals
    chunks: tuple[AppliedChunk, ...]

    @property
    def last(self) -> AppliedChunk | None:
        """The last chunk."""
        return self.chunks[-1] if self.chunks else None


async def open_load(
    transaction: Transaction, load: str, plan: Mapping[str, CopySetting], *, every_chunk: bool
) -> LoadState:
    """Enter the load if it is new; what is there of it."""
    await transaction.execute(_INSERT_LOAD, (load, json.dumps(plan, sort_keys=True)))
    text, is_finished, *finished = (await transaction.execute(_LOAD, (load,))).rows[0]
    sums = finished if is_finished else (await transaction.execute(_SUMS, (load,))).rows[0]
    query = _CHUNK_COLUMNS + (" ORDER BY chunk" if every_chunk else " ORDER BY chunk DESC LIMIT 1")
    chunks = (await transaction.execute(query, (load,))).rows
    return LoadState(
        plan=json.loads(text),
        is_finished=is_finished,
        totals=Totals(chunks=sums[0], rows=sums[1], bytes_total=sums[2]),
        chunks=tuple(map(_done, chunks)),
    )


async def read_chunk(transaction: Transaction, load: str, chunk: int) -> AppliedChunk | None:
    """One chunk, if it is there."""
    found = await transaction.execute(_CHUNK_COLUMNS + " AND chunk = %s", (load, chunk))
    return _done(found.rows[0]) if found.rows else None


async def enter_chunk(
    transaction: Transaction, load: str, chunk: Chunk, rows: int
) -> AppliedChunk | None:
    """The row of ``chunk``, in the transaction that copied ``rows`` rows of it.

    Returns:
        The row; None, and nothing is entered, if the load is finished.
    """
    start = chunk.start
    entered = await transaction.execute(
        _INSERT_CHUNK,
        (
            *(load, start.number, start.position, start.line, chunk.position_end),
            *(chunk.line_end, rows, chunk.bytes_total, chunk.digest, load),
        ),
    )
    if not entered.rowcount:
        return None
    return AppliedChunk(
        start=start,
        position_end=chunk.position_end,
        line_end=chunk.line_end,
        rows=rows,
        bytes_total=chunk.bytes_total,
        digest=chunk.digest,
    )


async def finish_load(transaction: Transaction, load: str, last: AppliedChunk | None) -> Totals:
    """The load is complete, if ``last`` is the last chunk of it: its totals stay when it is pruned.

    Must run at READ COMMITTED: it counts what was committed before it locked the load.

    Returns:
        What is there. The load was marked as complete if and only if ``is_complete`` is true of it.
    """
    is_finished, *finished = (await transaction.execute(_HOLD_LOAD, (load,))).rows[0]
    sums = finished if is_finished else (await transaction.execute(_SUMS, (load,))).rows[0]
    totals = Totals(chunks=sums[0], rows=sums[1], bytes_total=sums[2])
    if not is_finished and is_complete(totals, last):
        await transaction.execute(_FINISH, (*sums, load))
    return totals


def is_complete(totals: Totals, last: AppliedChunk | None) -> bool:
    """Whether a source whose chunks are all there, up to ``last``, is all that is there."""
    return totals.chunks == (0 if last is None else last.start.number)


def _done(row: TupleRow) -> AppliedChunk:
    chunk, position_start, line_start, position_end, line_end, rows, bytes_total, digest = row
    return AppliedChunk(
        start=Start(number=chunk, position=position_start, line=line_start),
        position_end=position_end,
        line_end=line_end,
        rows=rows,
        bytes_total=bytes_total,
        digest=digest,
    )
