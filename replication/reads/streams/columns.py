"""Which type of Arrow a column becomes, and how: from what COPY wrote of it in binary. Pure.

Types that are not here are asked for as text, as PostgreSQL writes it: no value is ever converted
by a rule that is not the server's. Oids are fixed for types that are built in
(``src/include/catalog/pg_type.dat``); what each writes is its ``send`` function.

Needs pyarrow, so it is imported when the first stream of this form is made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from replication.reads.streams.cells import Cells, NotBinary, Places, cut, gather
from replication.reads.streams.forms import INT_OIDS
from replication.reads.streams.ranges import PageColumns
from replication.wire import BinaryRows, Column

NUMERIC_OID = 1700
DIGITS_MAX = 18
"""Of a ``numeric`` that is converted here: what fits into 64 bits. More digits come as text and are
converted by pyarrow, up to ``DECIMAL_DIGITS_MAX``, those of ``decimal128``."""
DECIMAL_DIGITS_MAX = 38

_EPOCH_DAYS = 10_957
"""From 1970-01-01, where Arrow counts from, to 2000-01-01, where PostgreSQL does."""
_EPOCH_US = _EPOCH_DAYS * 86_400 * 10**6
_DAY_US = 86_400 * 10**6
_INT32, _INT64 = np.iinfo(np.int32), np.iinfo(np.int64)

_SIGN_MINUS, _SIGN_SPECIAL = 0x4000, 0xC000
"""``numeric.c``: NUMERIC_NEG; NaN and the infinities have both of these bits."""
_DIGIT_POWER = 4
"""A digit of a ``numeric`` is one of base 10,000."""
_NUMERIC_HEAD = np.dtype([("count", ">i2"), ("weight", ">i2"), ("sign", ">u2"), ("scale", ">u2")])

Values = npt.NDArray[Any]


class CannotBeArrow(ValueError):
    """A value has no place in the type that its column has in Arrow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnReading:
    """How a column is read: ``type`` in Arrow; ``as_text``: the server is asked for the text of it;
    ``is_text``: what comes is text, as PostgreSQL writes the value."""

    type: pa.DataType
    read: Callable[[Cells], pa.Array]
    as_text: bool = False
    is_text: bool = False


def reading_of(column: Column) -> ColumnReading:
    """How ``column`` is read.

    A ``numeric`` is a decimal where its digits are declared, else text: nothing is rounded.
    """
    if column.type_oid != NUMERIC_OID:
        return _READINGS.get(column.type_oid, _AS_TEXT)
    if column.modifier < 0:
        return _AS_TEXT
    precision, scale = numeric_digits(column.modifier)
    if precision > DECIMAL_DIGITS_MAX or not 0 <= scale <= precision:
        return _AS_TEXT
    kind = pa.decimal128(precision, scale)
    if precision > DIGITS_MAX:
        return ColumnReading(type=kind, read=partial(_cast, kind), as_text=True, is_text=True)
    return ColumnReading(type=kind, read=partial(_decimals, kind))


def numeric_digits(modifier: int) -> tuple[int, int]:
    """Precision and scale of a ``numeric`` with a modifier (``numeric.c``,
    ``numeric_typmod_precision`` and ``_scale``; a scale may be negative)."""
    packed = modifier - 4
    return (packed >> 16) & 0xFFFF, ((packed & 0x7FF) ^ 1024) - 1024


def asked_of(columns: tuple[Column, ...], key: tuple[str, ...]) -> PageColumns:
    """How these columns are asked for, and those of the key so that its last value is known as
    PostgreSQL writes it."""
    readings = [reading_of(column) for column in columns]
    names = [column.name for column in columns]
    keys = [names.index(name) for name in key if name in names]  # else the server says it
    return PageColumns(
        names=tuple(names),
        as_text=frozenset(at for at, one in enumerate(readings) if one.as_text),
        added=tuple(
            at for at in keys if not readings[at].is_text and columns[at].type_oid not in INT_OIDS
        ),
    )


def record_batch(
    columns: tuple[Column, ...], asked: PageColumns, found: BinaryRows
) -> pa.RecordBatch:
    """The rows as one batch.

    Args:
        columns: of the batch.
        asked: how they were asked for.
        found: the rows; one at least.

    Raises:
        CannotBeArrow: a value that its type does not have (``infinity``).
    """
    readings = [reading_of(column) for column in columns]
    arrays = []
    for at, cells in enumerate(cut(found, len(columns) + len(asked.added))):
        if at < len(columns):
            try:
                arrays.append(readings[at].read(cells))
            except (CannotBeArrow, NotBinary) as error:
                raise CannotBeArrow(f"column {columns[at].name}: {error}") from error
    fields = [(column.name, one.type) for column, one in zip(columns, readings, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))


def _array(kind: pa.DataType, cells: Cells, values: Values) -> pa.Array:
    """Values that lie in memory as Arrow has them."""
    valid = None
    if cells.nulls is not None:
        valid = pa.py_buffer(np.packbits(~cells.nulls, bitorder="little"))
    return pa.Array.from_buffers(kind, len(cells.at), [valid, pa.py_buffer(values)])


def _numbers(kind: pa.DataType, word: str, cells: Cells) -> pa.Array:
    return _array(kind, cells, cells.fixed(word))


def _oids(cells: Cells) -> pa.Array:
    return _array(pa.int64(), cells, cells.fixed(">u4").astype(np.int64))


def _booleans(cells: Cells) -> pa.Array:
    return _array(pa.bool_(), cells, np.packbits(cells.fixed("u1"), bitorder="little"))


def _dates(cells: Cells) -> pa.Array:
    days = cells.fixed(">i4")
    _refuse_infinity(days, _INT32)
    return _array(pa.date32(), cells, days + np.int32(_EPOCH_DAYS))


def _timestamps(kind: pa.DataType, cells: Cells) -> pa.Array:
    moments = cells.fixed(">i8")
    _refuse_infinity(moments, _INT64)
    if (moments > _INT64.max - _EPOCH_US).any():
        raise CannotBeArrow(f"a moment behind the last one that {kind} has (the year 294246)")
    return _array(kind, cells, moments + np.int64(_EPOCH_US))


def _times(cells: Cells) -> pa.Array:
    moments = cells.fixed(">i8")
    if (moments >= _DAY_US).any():
        raise CannotBeArrow("24:00:00 has no place in time64")
    return _array(pa.time64("us"), cells, moments)


def _refuse_infinity(values: Values, limits: np.iinfo[Any]) -> None:
    """``infinity`` and ``-infinity`` are the ends of the range (``datatype/timestamp.h``)."""
    for value, name in ((limits.max, "infinity"), (limits.min, "-infinity")):
        if (values == value).any():
            raise CannotBeArrow(f"{name} has no place in Arrow")


def _texts(kind: pa.DataType, cells: Cells, skipped: int = 0) -> pa.Array:
    """Values of any length, without the first ``skipped`` bytes of each.

    All of the data is taken for a column of values and of what lies between them, in turns; the
    values are then one taking of every second one, without a step in Python.
    """
    if len(cells.data) > _INT32.max:
        raise CannotBeArrow("a batch has more than 2 GiB; ask for fewer rows (batch_rows)")
    count = len(cells.at)
    offsets = np.empty(2 * count, dtype=np.int32)
    offsets[0::2] = cells.at + skipped
    offsets[1::2] = offsets[0::2] + np.maximum(cells.lengths - skipped, 0)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(cells.data)]
    spread = pa.Array.from_buffers(kind, 2 * count - 1, buffers)
    return spread.take(pa.array(np.arange(0, 2 * count, 2, dtype=np.int32), mask=cells.nulls))


def _jsonb(cells: Cells) -> pa.Array:
    """A version, 1, and the text (``jsonb_send``)."""
    versions = cells.gathered("u1")
    if ((versions != 1) & (cells.lengths >= 0)).any():
        raise NotBinary("expected jsonb of version 1")
    return _texts(pa.string(), cells, skipped=1)


def _cast(kind: pa.DataType, cells: Cells) -> pa.Array:
    try:
        return _texts(pa.string(), cells).cast(kind)
    except pa.ArrowInvalid as error:
        raise CannotBeArrow(" ".join(str(error).split())) from error


def _decimals(kind: pa.DataType, cells: Cells) -> pa.Array:
    """``numeric_send``: how many digits, the power of the first one, the sign, how many decimals
    are shown (2 bytes each); then the digits, of 2 bytes and base 10,000, most significant first.
    """
    at = cells.at if cells.nulls is None else cells.at[~cells.nulls]
    heads = gather(cells.data, at, _NUMERIC_HEAD)
    if ((heads["sign"] & _SIGN_SPECIAL) == _SIGN_SPECIAL).any():
        raise CannotBeArrow(f"NaN or infinity has no place in {kind}")
    counts = heads["count"]
    digits = []
    for place in range(int(counts.max(initial=0))):
        found = gather(cells.data, at + (8 + 2 * place), ">i2").astype(np.int64)
        digits.append(np.where(counts > place, found, 0))
    wholes = np.zeros(len(at), dtype=np.int64)
    for weight in np.unique(heads["weight"]):
        rows = np.flatnonzero(heads["weight"] == weight)
        for place, found in enumerate(digits):
            power = _DIGIT_POWER * (int(weight) - place) + kind.scale
            wholes[rows] += _scaled(kind, found[rows], power)
    if (wholes >= 10**kind.precision).any():
        raise CannotBeArrow(f"a number with more digits than {kind} has")
    wholes = np.where(heads["sign"] == _SIGN_MINUS, -wholes, wholes)
    pairs = np.zeros((len(cells.at), 2), dtype=np.int64)
    places = slice(None) if cells.nulls is None else ~cells.nulls
    pairs[places, 0] = wholes
    pairs[places, 1] = wholes >> 63  # the sign, in the upper half
    return _array(kind, cells, pairs)


def _scaled(kind: pa.DataType, digits: Places, power: int) -> Places:
    """``digits * 10**power``, exact or not at all; ``kind`` has no place for 10**18 and more."""
    largest = 10 ** (DIGITS_MAX - power) - 1 if 0 <= power <= DIGITS_MAX else 0
    divisor = 10**-power if -_DIGIT_POWER < power < 0 else 1
    fits = power < 0 or digits.max(initial=0) <= largest
    if not fits or (digits % divisor).any() or (power <= -_DIGIT_POWER and digits.any()):
        raise CannotBeArrow(f"a number with other digits than {kind} has")
    scaled: Places = digits // divisor if power < 0 else digits * 10 ** min(power, DIGITS_MAX)
    return scaled


def _numbers_as(kind: pa.DataType, word: str) -> ColumnReading:
    return ColumnReading(type=kind, read=partial(_numbers, kind, word))


def _timestamps_as(kind: pa.DataType) -> ColumnReading:
    return ColumnReading(type=kind, read=partial(_timestamps, kind))


_TEXT = ColumnReading(type=pa.string(), read=partial(_texts, pa.string()), is_text=True)
_AS_TEXT = ColumnReading(type=pa.string(), read=_TEXT.read, as_text=True, is_text=True)
_READINGS: dict[int, ColumnReading] = {
    16: ColumnReading(type=pa.bool_(), read=_booleans),
    17: ColumnReading(type=pa.binary(), read=partial(_texts, pa.binary())),  # bytea
    20: _numbers_as(pa.int64(), ">i8"),
    21: _numbers_as(pa.int16(), ">i2"),
    23: _numbers_as(pa.int32(), ">i4"),
    25: _TEXT,
    26: ColumnReading(type=pa.int64(), read=_oids),
    114: _TEXT,  # json
    700: _numbers_as(pa.float32(), ">f4"),
    701: _numbers_as(pa.float64(), ">f8"),
    1042: _TEXT,  # char(n)
    1043: _TEXT,  # varchar
    1082: ColumnReading(type=pa.date32(), read=_dates),
    1083: ColumnReading(type=pa.time64("us"), read=_times),
    1114: _timestamps_as(pa.timestamp("us")),
    1184: _timestamps_as(pa.timestamp("us", tz="UTC")),
    3802: ColumnReading(type=pa.string(), read=_jsonb),
}
