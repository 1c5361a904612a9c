"""COPY's binary values as Arrow's: whatever psycopg writes comes out as it went in, NULLs between
them; what has no place is refused and never becomes another value."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, cast

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.types.json import Jsonb
from psycopg.types.numeric import Float4, Int2, Int4, Int8, Oid
from support.postgres.binary_rows import binary_rows, encoded

from replication.reads.streams.columns import (
    CannotBeArrow,
    asked_of,
    numeric_digits,
    reading_of,
    record_batch,
)
from replication.reads.streams.ranges import PageColumns
from replication.wire import Column


def column(type_oid: int, modifier: int = -1, name: str = "c") -> Column:
    return Column(name=name, type_oid=type_oid, modifier=modifier)


def numeric(precision: int, scale: int) -> Column:
    return column(1700, ((precision << 16) | (scale & 0x7FF)) + 4)


def batch_of(one: Column, values: Sequence[bytes | None]) -> pa.RecordBatch:
    batch = record_batch((one,), PageColumns(names=(one.name,)), binary_rows([[v] for v in values]))
    batch.validate(full=True)
    return batch


def read(one: Column, values: Sequence[bytes | None]) -> list[Any]:
    return cast(list[Any], batch_of(one, values).column(0).to_pylist())


WHOLE = {"int16": Int2, "int32": Int4, "int64": Int8}
MOMENTS = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999_999))
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)


def values_of(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.none() | strategy, min_size=1, max_size=30)


def wholes(bits: int) -> st.SearchStrategy[int]:
    ends = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return st.sampled_from(ends) | st.integers(*ends)


CASES: dict[str, tuple[Column, st.SearchStrategy[list[Any]], Any]] = {
    "bool": (column(16), values_of(st.booleans()), None),
    "int2": (column(21), values_of(wholes(16)), Int2),
    "int4": (column(23), values_of(wholes(32)), Int4),
    "int8": (column(20), values_of(wholes(64)), Int8),
    "oid": (column(26), values_of(st.integers(0, 2**32 - 1)), Oid),
    "float4": (column(700), values_of(st.floats(width=32, allow_nan=False)), Float4),
    "float8": (column(701), values_of(st.floats(allow_nan=False)), None),
    "date": (column(1082), values_of(st.dates()), None),
    "time": (column(1083), values_of(st.times()), None),
    "timestamp": (column(1114), values_of(MOMENTS), None),
    "timestamptz": (column(1184), values_of(MOMENTS.map(lambda m: m.replace(tzinfo=UTC))), None),
    "text": (column(25), values_of(TEXTS), None),
    "varchar": (column(1043), values_of(TEXTS), None),
    "bytea": (column(17), values_of(st.binary(max_size=12)), None),
}


@pytest.mark.parametrize("name", CASES)
@given(data=st.data())
def test_values_come_out_as_they_went_in(name: str, data: st.DataObject) -> None:
    one, values, wrap = CASES[name]
    drawn = data.draw(values)
    sent = [None if v is None else encoded(v if wrap is None else wrap(v)) for v in drawn]
    assert read(one, sent) == drawn


@given(
    digits=st.tuples(st.integers(1, 18), st.integers(0, 18)).filter(lambda d: d[1] <= d[0]),
    data=st.data(),
)
def test_decimals_are_exact(digits: tuple[int, int], data: st.DataObject) -> None:
    precision, scale = digits
    limit = 10**precision - 1
    drawn = data.draw(values_of(st.sampled_from([limit, -limit, 0]) | st.integers(-limit, limit)))
    values = [None if v is None else Decimal(v).scaleb(-scale) for v in drawn]
    batch = batch_of(numeric(precision, scale), [None if v is None else encoded(v) for v in values])
    assert batch.schema.field(0).type == pa.decimal128(precision, scale)
    assert batch.column(0).to_pylist() == values


@given(value=st.decimals(allow_nan=False, allow_infinity=False, places=4).filter(lambda v: v != 0))
def test_a_number_that_its_type_does_not_have_is_never_another_one(value: Decimal) -> None:
    """The server keeps declared digits; should it ever not, that is an error."""
    try:
        (found,) = read(numeric(6, 2), [encoded(value)])
    except CannotBeArrow:
        assert abs(value) >= 10_000 or value != round(value, 2)
    else:
        assert found == value


def test_digits_beyond_64_bits_come_as_text_and_become_decimals() -> None:
    one = numeric(38, 10)
    assert reading_of(one).as_text
    values = ["9" * 28 + "." + "9" * 10, "-0.0000000001", None]
    sent = [None if v is None else v.encode() for v in values]
    assert read(one, sent) == [None if v is None else Decimal(v) for v in values]
    with pytest.raises(CannotBeArrow, match=r"c: .*NaN"):
        read(one, [b"NaN"])


@given(drawn=values_of(st.none() | st.integers() | TEXTS | st.lists(st.integers(), max_size=3)))
def test_jsonb_is_its_text(drawn: list[Any]) -> None:
    sent = [None if v is None else encoded(Jsonb(v)) for v in drawn]
    assert read(column(3802), sent) == [None if v is None else v[1:].decode() for v in sent]


def test_nan_stays_nan() -> None:
    for one, value in ((column(701), float("nan")), (column(700), Float4(float("nan")))):
        found, nothing = read(one, [encoded(value), None])
        assert math.isnan(found)
        assert nothing is None


@pytest.mark.parametrize("name", ["uuid", "interval", "inet", "integer[]", "numeric", "an enum"])
def test_other_types_are_asked_for_as_text(name: str) -> None:
    oids = {"uuid": 2950, "interval": 1186, "inet": 869, "integer[]": 1007, "numeric": 1700}
    one = column(oids.get(name, 99_999))
    assert reading_of(one).as_text
    assert read(one, [b"", 'é\n"'.encode(), None]) == ["", 'é\n"', None]


def test_numerics_without_a_place_are_text() -> None:
    assert reading_of(numeric(39, 2)).type == pa.string()
    assert reading_of(numeric(3, -2)).type == pa.string()
    assert reading_of(numeric(2, 4)).type == pa.string()


INT4, INT8_ = struct.Struct(">i"), struct.Struct(">q")
SPECIAL = struct.Struct(">hhHh")


@pytest.mark.parametrize(
    ("one", "value", "words"),
    [
        (column(1082), INT4.pack(2**31 - 1), "infinity"),
        (column(1082), INT4.pack(-(2**31)), "-infinity"),
        (column(1114), INT8_.pack(2**63 - 1), "infinity"),
        (column(1184), INT8_.pack(-(2**63)), "-infinity"),
        (column(1184), INT8_.pack(9_223_371_331_199_999_999), "year 294246"),
        (column(1083), INT8_.pack(86_400 * 10**6), "24:00:00"),
        (numeric(10, 2), SPECIAL.pack(0, 0, 0xC000, 0), "NaN"),
        (numeric(10, 2), SPECIAL.pack(0, 0, 0xD000, 0), "infinity"),
        (numeric(10, 2), SPECIAL.pack(0, 0, 0xF000, 0), "infinity"),
        (column(23), INT8_.pack(1), "4 bytes"),
        (column(3802), b"\2{}", "version 1"),
    ],
)
def test_a_value_without_a_place_is_refused(one: Column, value: bytes, words: str) -> None:
    with pytest.raises(CannotBeArrow, match=f"column c: .*{words}"):
        read(one, [None, value])


def test_dates_and_moments_before_christ_have_their_place() -> None:
    first = -2_451_545 + 1  # 4714-11-25 BC, near the first day that PostgreSQL has
    (found,) = batch_of(column(1082), [INT4.pack(first)]).column(0).cast(pa.int32()).to_pylist()
    assert date(2000, 1, 1) - date(1970, 1, 1) == timedelta(days=found - first)
    (moment,) = (
        batch_of(column(1114), [INT8_.pack(first * 86_400 * 10**6)])
        .column(0)
        .cast(pa.int64())
        .to_pylist()
    )
    assert moment == found * 86_400 * 10**6


def test_several_columns_with_nulls_and_one_name_twice_and_a_key_behind_them() -> None:
    columns = (column(25, name="n"), numeric(5, 1), column(1082, name="n"), column(23, name="d"))
    asked = asked_of(columns, ("d", "c"))
    assert asked.added == (1,)
    rows = [
        [b"x", encoded(Decimal("1.5")), None, encoded(Int4(7)), b"1.5"],
        [None, None, encoded(date(2026, 11, 27)), encoded(Int4(-1)), b""],
        [b"", encoded(Decimal("-9999.9")), encoded(date(1, 1, 1)), None, None],
    ]
    found = binary_rows(rows, begin=19)
    assert found.last() == rows[-1]
    batch = record_batch(columns, asked, found)
    assert [array.to_pylist() for array in batch.columns] == [
        ["x", None, ""],
        [Decimal("1.5"), None, Decimal("-9999.9")],
        [None, date(2026, 11, 27), date(1, 1, 1)],
        [7, -1, None],
    ]


def test_time_of_day_ends_before_midnight() -> None:
    last = time(23, 59, 59, 999_999)
    assert read(column(1083), [encoded(last)]) == [last]


def test_digits_of_a_numeric() -> None:
    assert numeric_digits(((10 << 16) | 2) + 4) == (10, 2)
    assert numeric_digits(((3 << 16) | (-2 & 0x7FF)) + 4) == (3, -2)
