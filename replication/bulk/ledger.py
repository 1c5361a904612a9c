"""The ledger of bulk loads: what was loaded, and what it was cut from.

**It is read inside units of work.** A plain SELECT could see a chunk whose commit is visible on the
primary and not yet on any standby; a failover would take it back, and a load that had gone on
after it would lack it for ever. A unit of work commits its id row after it has read, and the WAL is
a sequence: once that commit is acknowledged, everything that it saw is as safe (``unit_rows``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from psycopg.rows import TupleRow

from replication.bulk.model import Chunk, Done, Setting, Start
from replication.units import Transaction

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
"""Part of the package's own migrations (``schema.own``). No foreign key: every chunk would lock
the row of its load for nothing, since no row of ``bulk_load`` is ever deleted."""

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
_SUMS = (
    "SELECT count(*), coalesce(sum(rows), 0)::bigint, coalesce(sum(bytes), 0)::bigint"
    " FROM bascule.bulk_chunk WHERE load = %s"
)
_INSERT_CHUNK = (
    "INSERT INTO bascule.bulk_chunk (load, chunk, position_start, line_start, position_end,"
    " line_end, rows, bytes, digest) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
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
class State:
    """What the ledger says of a load; ``last`` is its last chunk."""

    plan: Mapping[str, Setting]
    is_finished: bool
    totals: Totals
    last: Done | None


async def open_load(transaction: Transaction, load: str, plan: Mapping[str, Setting]) -> State:
    """Enter the load if it is new; what is there of it."""
    await transaction.execute(_INSERT_LOAD, (load, json.dumps(plan, sort_keys=True)))
    text, is_finished, *finished = (await transaction.execute(_LOAD, (load,))).rows[0]
    sums = finished if is_finished else (await transaction.execute(_SUMS, (load,))).rows[0]
    last = await transaction.execute(_CHUNK_COLUMNS + " ORDER BY chunk DESC LIMIT 1", (load,))
    return State(
        plan=json.loads(text),
        is_finished=is_finished,
        totals=Totals(chunks=sums[0], rows=sums[1], bytes_total=sums[2]),
        last=_done(last.rows[0]) if last.rows else None,
    )


async def read_chunk(transaction: Transaction, load: str, chunk: int) -> Done | None:
    """One chunk, if it is there."""
    found = await transaction.execute(_CHUNK_COLUMNS + " AND chunk = %s", (load, chunk))
    return _done(found.rows[0]) if found.rows else None


async def enter_chunk(transaction: Transaction, load: str, chunk: Chunk, rows: int) -> Done:
    """The row of ``chunk``, in the transaction that copied ``rows`` rows of it."""
    start = chunk.start
    await transaction.execute(
        _INSERT_CHUNK,
        (
            *(load, start.number, start.position, start.line, chunk.position_end),
            *(chunk.line_end, rows, chunk.bytes_total, chunk.digest),
        ),
    )
    return Done(
        start=start,
        position_end=chunk.position_end,
        line_end=chunk.line_end,
        rows=rows,
        bytes_total=chunk.bytes_total,
        digest=chunk.digest,
    )


async def finish_load(transaction: Transaction, load: str) -> Totals:
    """The load is complete: its totals stay when its chunks are pruned."""
    chunks, rows, bytes_total = (await transaction.execute(_SUMS, (load,))).rows[0]
    await transaction.execute(_FINISH, (chunks, rows, bytes_total, load))
    return Totals(chunks=chunks, rows=rows, bytes_total=bytes_total)


def _done(row: TupleRow) -> Done:
    chunk, position_start, line_start, position_end, line_end, rows, bytes_total, digest = row
    return Done(
        start=Start(number=chunk, position=position_start, line=line_start),
        position_end=position_end,
        line_end=line_end,
        rows=rows,
        bytes_total=bytes_total,
        digest=digest,
    )
