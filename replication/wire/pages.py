"""Rows with what a page by page reading needs beside them: columns, size, the last row as text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import psycopg
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.pq.abc import PGconn, PGresult
from psycopg.rows import TupleRow

from replication.wire.connection import Connection
from replication.wire.statement import loader_of

SAMPLED_MAX = 32
"""Rows of which the size is taken for that of all: to look at each would cost as much as to read
them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a result. ``modifier``: of the type, -1 if it has none (``pg_attribute``)."""

    name: str
    type_oid: int
    modifier: int


class SelectedRows(NamedTuple):
    """The rows of a SELECT, not converted yet. ``last``: the last one as the server wrote it; empty
    if there is none. ``size_bytes``: of all, estimated from some. ``load``: converts those from an
    index up to another, whatever has become of the connection."""

    columns: tuple[Column, ...]
    rows: int
    last: tuple[str | None, ...]
    size_bytes: int
    load: Callable[[int, int], list[TupleRow]]


class CsvRows(NamedTuple):
    """The lines of a COPY in CSV, in UTF-8. ``last``: where the last one begins."""

    data: bytearray
    rows: int
    last: int


def selected(result: PGresult, connection: psycopg.AsyncConnection[TupleRow]) -> SelectedRows:
    """What a SELECT, in text format, has returned."""
    encoding = connection.pgconn._encoding
    count, fields = result.ntuples, range(result.nfields)
    columns = tuple(
        Column(
            name=(result.fname(field) or b"").decode(encoding),
            type_oid=result.ftype(field),
            modifier=result.fmod(field),
        )
        for field in fields
    )
    load = loader_of(result, connection)
    if not count:
        return SelectedRows(columns, 0, (), 0, load)
    values = [result.get_value(count - 1, field) for field in fields]
    last = tuple(None if value is None else value.decode(encoding) for value in values)
    sampled = range(0, count, -(-count // SAMPLED_MAX))
    seen = sum(len(result.get_value(row, field) or b"") for row in sampled for field in fields)
    return SelectedRows(columns, count, last, seen * count // len(sampled), load)


async def copied(connection: Connection, statement: bytes) -> CsvRows:
    """Run a ``COPY ... TO STDOUT`` whose answer fits into memory.

    psycopg's own reader takes every row through a generator of its own, which costs more than
    PostgreSQL needs to write it.

    Raises:
        psycopg.Error: the server's; without a SQLSTATE the connection is lost.
    """
    async with connection.lock:
        try:
            rows, result = await _receive(connection, statement)
        except BaseException:
            connection.cut()
            raise
    if result.status != ExecStatus.COMMAND_OK:
        error = error_from_result(result, encoding=connection.pgconn._encoding)
        connection.note(error)
        raise error
    return rows


async def _receive(connection: Connection, statement: bytes) -> tuple[CsvRows, PGresult]:
    """The rows, and the result that ends them: whether they are all."""
    pgconn = connection.pgconn
    data, count, last = bytearray(), 0, 0
    pgconn.send_query(statement)
    await connection.flush()
    result = await _next_result(connection)
    if result is not None and result.status == ExecStatus.COPY_OUT:
        size, line = pgconn.get_copy_data(1)
        while size >= 0:
            if size:
                last = len(data)
                data += line
                count += 1
            else:
                await connection.receive()
            size, line = pgconn.get_copy_data(1)
        result = await _next_result(connection)
    if result is None:
        raise psycopg.OperationalError(_why(pgconn))
    while pgconn.status == ConnStatus.OK and await _next_result(connection) is not None:
        pass
    return CsvRows(data, count, last), result


async def _next_result(connection: Connection) -> PGresult | None:
    pgconn = connection.pgconn
    try:
        while pgconn.is_busy():
            await connection.receive()
    except psycopg.OperationalError:
        if pgconn.status != ConnStatus.BAD:
            raise  # else the server may have said why before it hung up
    return pgconn.get_result()


def _why(pgconn: PGconn) -> str:
    return pgconn.get_error_message() or "the connection was lost"
