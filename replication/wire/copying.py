"""``COPY ... FROM STDIN``: rows become COPY's text format, and blocks of it go to the server."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from psycopg import sql
from psycopg._copy_base import format_row_text
from psycopg.adapt import Transformer

from replication.wire.connection import Connection

BLOCK_BYTES = 128 * 1024
"""What psycopg hands to libpq in one piece; anything larger it would cut, and copy, first
(``psycopg/_copy_base.py``, ``MAX_BUFFER_SIZE``)."""

Row = Sequence[Any]


def row_encoder() -> Callable[[Row, bytearray], None]:
    """A function that appends a row, as a line of COPY's text format in UTF-8, to a buffer.

    It needs no connection, so that a chunk can be encoded while another one is being committed.
    psycopg offers this only through a COPY that is under way; what is used here is the function
    behind its ``write_row`` (psycopg 3.3), with the types that psycopg knows by itself.

    Raises (the function):
        psycopg.Error: a value of a type that cannot be adapted.
    """
    transformer = Transformer()

    def encode(row: Row, buffer: bytearray) -> None:
        format_row_text(row, transformer, buffer)

    return encode


async def send_blocks(
    connection: Connection, statement: sql.SQL | sql.Composed, blocks: Iterable[bytes]
) -> int:
    """Run a ``COPY ... FROM STDIN`` and feed it.

    A wait that is cancelled has closed the connection (``Connection.wait``); psycopg then logs
    that it could not end the COPY, and lets the cancellation pass.

    Args:
        connection: not in pipeline mode, where libpq has no COPY.
        blocks: at most ``BLOCK_BYTES`` each, or psycopg copies them.

    Returns:
        The number of rows that the server counted.
    """
    async with connection.cursor() as cursor:
        async with cursor.copy(statement) as copy:
            for block in blocks:
                await copy.write(block)
        return cursor.rowcount
