"""Rows of COPY's binary format, cut into columns by numpy: nothing is done row by row. Pure.

A row is the number of its fields (2 bytes), then for each field its length (4 bytes, -1 for NULL)
and its value; all numbers are big-endian (PostgreSQL manual, COPY, "Binary Format"). Where the rows
begin is known from the messages that they came in. So the lengths of the first field of all rows
are one gathering of numpy, they say where the second field of each begins, and so on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from replication.wire import BinaryRows

Places = npt.NDArray[np.int64]

_COUNT_BYTES = 2
_LENGTH_BYTES = 4


class NotBinary(ValueError):
    """These are not the rows that were asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """One column of many rows.

    Args:
        data: the rows, and at least 16 bytes behind them.
        at: where each value begins.
        lengths: how many bytes each has; -1 where it is NULL.
        nulls: where it is NULL; None if it is nowhere.
    """

    data: bytearray
    at: Places
    lengths: Places
    nulls: npt.NDArray[np.bool_] | None

    def fixed(self, word: str) -> npt.NDArray[Any]:
        """Values of one width, 0 where they are NULL.

        Args:
            word: their type in numpy, big-endian (``>i4``).

        Raises:
            NotBinary: one has another width.
        """
        width = np.dtype(word).itemsize
        is_other = self.lengths != width
        if self.nulls is not None:
            is_other &= ~self.nulls
        if is_other.any():
            raise NotBinary(f"expected values of {width} bytes")
        values = self.gathered(word)
        if self.nulls is not None:
            values[self.nulls] = 0
        return values

    def gathered(self, word: str, offset: int = 0) -> npt.NDArray[Any]:
        """What stands ``offset`` bytes behind the beginning of each value, NULL or not, in the byte
        order of this machine."""
        return gather(self.data, self.at + offset if offset else self.at, word)


def gather(data: bytearray, at: Places, word: str | np.dtype[Any]) -> npt.NDArray[Any]:
    """The numbers of type ``word`` that begin at these places.

    They are taken as plain bytes, four times as quick as numbers that are not aligned.
    """
    kind = np.dtype(word)
    size = kind.itemsize
    places = np.ndarray((len(data) - size + 1,), dtype=f"V{size}", buffer=data, strides=(1,))
    return places[at].view(kind).astype(kind.newbyteorder("="))


def cut(rows: BinaryRows, columns: int) -> Iterator[Cells]:
    """The columns of these rows, from the first to the last.

    Raises:
        NotBinary: the rows do not have so many fields.
    """
    data = rows.data
    sizes = np.asarray(rows.sizes, dtype=np.int64)
    ends = np.cumsum(sizes) + rows.begin
    at = ends - sizes
    if (gather(data, at, ">i2") != columns).any():
        raise NotBinary(f"expected rows of {columns} fields")
    at += _COUNT_BYTES
    for _ in range(columns):
        lengths = gather(data, at, ">i4").astype(np.int64)
        at = at + _LENGTH_BYTES
        is_null = lengths < 0
        nulls = is_null if is_null.any() else None
        yield Cells(data=data, at=at, lengths=lengths, nulls=nulls)
        at = at + (lengths if nulls is None else np.maximum(lengths, 0))
    if (at != ends).any():
        raise NotBinary("a row does not end where its fields do")
