"""Rows of COPY's binary format, as the server would send them; psycopg writes the values."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence

from psycopg.adapt import PyFormat, Transformer

from replication.wire import BinaryRows
from replication.wire.pages import PADDING


def encoded(value: object) -> bytes:
    """A value as psycopg sends it in binary."""
    found = Transformer().get_dumper(value, PyFormat.BINARY).dump(value)
    assert found is not None
    return bytes(found)


def binary_rows(rows: Sequence[Sequence[bytes | None]], begin: int = 0) -> BinaryRows:
    """The rows, behind a header of ``begin`` bytes."""
    data, sizes = bytearray(b"h" * begin), array("q")
    for row in rows:
        fields = (
            struct.pack(">i", -1) if field is None else struct.pack(">i", len(field)) + field
            for field in row
        )
        line = struct.pack(">h", len(row)) + b"".join(fields)
        data += line
        sizes.append(len(line))
    return BinaryRows(data + bytes(PADDING), begin, sizes)
