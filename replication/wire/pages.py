"""Rows with what a page by page reading needs beside them: columns, size, the last row as text."""

from __future__ import annotations

from array import array
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

PADDING = 16
"""Bytes behind the last row, so that whatever has a fixed width can be read at its end too."""

_SIGNATURE = b"PGCOPY\n\xff\r\n\0"
_HEADER_BYTES = len(_SIGNATURE) + 8
_TRAILER = b"\xff\xff"


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


class BinaryRows(NamedTuple):
    """The rows of a COPY in binary, one behind the other from ``begin`` on, and ``PADDING`` bytes
    of 0. ``sizes``: how many bytes each row has."""

    data: bytearray
    begin: int
    sizes: array[int]

    def last(self) -> list[bytes | None]:
        """The fields of the last row, None where they are NULL; empty if there is no row."""
        fields: list[bytes | None] = []
        if self.sizes:
            row = bytes(self.data[-PADDING - self.sizes[-1] : -PADDING])
            at = 2
            while at < len(row):
                size = int.from_bytes(row[at : at + 4], "big", signed=True)
                at += 4
                fields.append(None if size < 0 else row[at : at + size])
                at += max(size, 0)
        return fields


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


async def copied(connection: Connection, statement: bytes) -> BinaryRows:
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


async def _receive(connection: Connection, statement: bytes) -> tuple[BinaryRows, PGresult]:
    """The rows, and the result that ends them: whether they are all."""
    pgconn = connection.pgconn
    data = bytearray()
    sizes = array("q")
    pgconn.send_query(statement)
    await connection.flush()
    result = await _next_result(connection)
    if result is not None and result.status == ExecStatus.COPY_OUT:
        size, line = pgconn.get_copy_data(1)
        while size >= 0:
            if size:
                data += line
                sizes.append(size)
            else:
                await connection.receive()
            size, line = pgconn.get_copy_data(1)
        result = await _next_result(connection)
    if result is None:
        raise psycopg.OperationalError(_why(pgconn))
    while pgconn.status == ConnStatus.OK and await _next_result(connection) is not None:
        pass
    return rows_of_copy(data, sizes), result


def rows_of_copy(data: bytearray, sizes: array[int]) -> BinaryRows:
    """Without what stands before and behind the rows: a signature, flags and an extension of the
    header, in a message of its own or in the first row's; and the number of fields -1 (PostgreSQL
    manual, COPY, "Binary Format"). Both are missing where the COPY has failed."""
    begin = 0
    if data.startswith(_SIGNATURE):
        begin = _HEADER_BYTES + int.from_bytes(data[_HEADER_BYTES - 4 : _HEADER_BYTES], "big")
        sizes[0] -= begin
    if data.endswith(_TRAILER):
        del data[-len(_TRAILER) :]
        sizes[-1] -= len(_TRAILER)
    data += bytes(PADDING)
    for at in (-1, 0):  # its message had nothing else
        if sizes and not sizes[at]:
            del sizes[at]
    return BinaryRows(data, begin, sizes)


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
