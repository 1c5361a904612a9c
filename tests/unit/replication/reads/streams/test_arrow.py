"""COPY's CSV as record batches: every type, NULL beside the empty text, and what has no place."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, time
from decimal import Decimal

import pytest

from replication.reads.streams.arrow import CannotBeArrow, numeric_digits, record_batch
from replication.wire import Column, CsvRows


def column(name: str, type_oid: int, modifier: int = -1) -> Column:
    return Column(name=name, type_oid=type_oid, modifier=modifier)


def rows(text: str) -> CsvRows:
    return CsvRows(bytearray(text.encode()), text.count("\n"), 0)


ALL = (
    (column("yes", 16), "bool", "t", True),
    (column("big", 20), "int64", "-9223372036854775808", -(2**63)),
    (column("small", 21), "int16", "-3", -3),
    (column("whole", 23), "int32", "7", 7),
    (column("real", 700), "float", "1.5", 1.5),
    (column("double", 701), "double", "-Infinity", float("-inf")),
    (column("day", 1082), "date32[day]", "0001-01-01", date(1, 1, 1)),
    (column("hour", 1083), "time64[us]", "23:59:59.5", time(23, 59, 59, 500_000)),
    (column("at", 1114), "timestamp[us]", "1969-12-31 00:00:00.000001", None),
    (column("when", 1184), "timestamp[us, tz=UTC]", "2026-11-27 11:08:33.12+00", None),
    (column("cost", 1700, ((10 << 16) | 2) + 4), "decimal128(10, 2)", "-0.05", Decimal("-0.05")),
    (column("any", 1700), "string", "1e400", "1e400"),
    (column("wide", 1700, ((60 << 16) | 2) + 4), "string", "1.00", "1.00"),
    (column("blob", 17), "binary", "\\x00ff", b"\x00\xff"),
    (column("text", 25), "string", '"a\n""b"', 'a\n"b'),
    (column("json", 3802), "string", '"{""a"": 1}"', '{"a": 1}'),
)


def test_every_type_comes_as_it_should() -> None:
    batch = record_batch(
        tuple(one for one, *_ in ALL),
        CsvRows(bytearray(b",".join(x.encode() for *_, x, _ in ALL) + b"\n"), 1, 0),
    )
    assert [str(field.type) for field in batch.schema] == [name for _, name, *_ in ALL]
    (row,) = batch.to_pylist()
    assert row.pop("at") == datetime(1969, 12, 31, 0, 0, 0, 1)
    assert row.pop("when") == datetime(2026, 11, 27, 11, 8, 33, 120_000, tzinfo=UTC)
    assert row == {one.name: value for one, _, _, value in ALL if one.name not in {"at", "when"}}


def test_null_is_not_the_empty_text() -> None:
    assert record_batch((column("a", 25),), rows('\n""\nx\n')).column(0).to_pylist() == [
        None,
        "",
        "x",
    ]
    nulls = record_batch(tuple(one for one, *_ in ALL), rows("," * (len(ALL) - 1) + "\n"))
    assert set(nulls.to_pylist()[0].values()) == {None}


def test_a_name_may_come_twice() -> None:
    batch = record_batch((column("n", 23), column("n", 25)), rows("1,x\n"))
    assert [array.to_pylist() for array in batch.columns] == [[1], ["x"]]


@pytest.mark.parametrize(
    ("type_oid", "text"), [(1082, "infinity"), (1082, "0044-03-15 BC"), (1083, "24:00:00")]
)
def test_a_value_without_a_place_is_refused(type_oid: int, text: str) -> None:
    with pytest.raises(CannotBeArrow, match="invalid value"):
        record_batch((column("a", type_oid),), rows(f"{text}\n"))


def test_digits_of_a_numeric() -> None:
    assert numeric_digits(((10 << 16) | 2) + 4) == (10, 2)
    assert numeric_digits(((3 << 16) | (-2 & 0x7FF)) + 4) == (3, -2)


def test_the_package_does_without_pyarrow_until_a_stream_asks_for_it() -> None:
    program = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "import replication\n"
        "from replication.reads.streams.arrow import RecordBatches\n"
        "try: RecordBatches()\n"
        "except ModuleNotFoundError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.decode().strip() == (
        "Arrow record batches need pyarrow: install bascule[arrow]"
    )
