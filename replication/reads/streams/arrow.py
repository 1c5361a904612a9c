"""Record batches of Apache Arrow, made from COPY's CSV by the reader of CSV that pyarrow has.

Measured beside the alternatives in ``benchmarks/read_stream.py`` (decision 0026). pyarrow is an
extra (``bascule[arrow]``) and is imported when the first stream of this form is made.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, LiteralString

import anyio.to_thread

from replication.reads.streams.forms import FetchedPage, PageAsked, key_fields, select_settled
from replication.reads.streams.ranges import Ranges, read_fields
from replication.units.unit import Transaction
from replication.wire import Column, CsvRows, Params

if TYPE_CHECKING:
    import pyarrow as pa

BYTEA_OID = 17
NUMERIC_OID = 1700

DECIMAL_DIGITS_MAX = 38
"""Of ``decimal128``."""

_TYPES: dict[int, str] = {
    16: "bool",
    20: "int64",
    21: "int16",
    23: "int32",
    26: "int64",  # oid
    700: "float32",
    701: "float64",
    1082: "date32",
    1083: "time64[us]",
    1114: "timestamp[us]",
    1184: "timestamp[us, tz=UTC]",
}
"""By oids, which are fixed for types that are built in (``src/include/catalog/pg_type.dat``)."""


class CannotBeArrow(ValueError):
    """A value has no place in the type that its column has in Arrow."""


class RecordBatches:
    """``pyarrow.RecordBatch``, one for each page.

    Raises:
        ModuleNotFoundError: pyarrow is not there.
    """

    settings: LiteralString = (
        ", set_config('TimeZone', 'UTC', true), set_config('bytea_output', 'hex', true)"
    )

    def __init__(self) -> None:
        try:
            import pyarrow.csv  # noqa: F401, PLC0415 (an extra)
        except ModuleNotFoundError as error:
            words = "Arrow record batches need pyarrow: install bascule[arrow]"
            raise ModuleNotFoundError(words, name=error.name) from error

    async def fetch(
        self, transaction: Transaction, ranges: Ranges, params: Params | None, page: PageAsked
    ) -> FetchedPage[pa.RecordBatch]:
        """As ``BatchForm``. The columns are asked for in the same transaction: its lock on the
        tables keeps them as they are."""
        settled, described = await select_settled(transaction, page, ranges.columns(), params)
        found = await transaction.session.copy_csv(ranges.page(page.after, page.limit), params)
        fields = key_fields(described.columns, ranges.key) if found.rows else []
        line = read_fields(found.data[found.last :].decode()) if found.rows else []
        return FetchedPage(
            columns=described.columns,
            rows=found.rows,
            size_bytes=len(found.data),
            last=tuple(line[field] for field in fields),
            make=partial(anyio.to_thread.run_sync, record_batch, described.columns, found),
            settled=settled,
        )


def arrow_type(column: Column) -> pa.DataType:
    """The type of a column: text for every type that Arrow has none for, as PostgreSQL writes it.

    A ``numeric`` is a decimal where its digits are declared, else text: nothing is rounded.
    """
    import pyarrow as pa  # noqa: PLC0415 (an extra)

    if column.type_oid == NUMERIC_OID and column.modifier >= 0:
        precision, scale = numeric_digits(column.modifier)
        if precision <= DECIMAL_DIGITS_MAX and 0 <= scale <= precision:
            return pa.decimal128(precision, scale)
    word = _TYPES.get(column.type_oid, "string")
    found = re.fullmatch(r"timestamp\[us(?:, tz=(\w+))?\]", word)
    if found is not None:
        return pa.timestamp("us", tz=found[1])
    return pa.type_for_alias(word)


def numeric_digits(modifier: int) -> tuple[int, int]:
    """Precision and scale of a ``numeric`` with a modifier (``numeric.c``,
    ``numeric_typmod_precision`` and ``_scale``; a scale may be negative)."""
    packed = modifier - 4
    return (packed >> 16) & 0xFFFF, ((packed & 0x7FF) ^ 1024) - 1024


def record_batch(columns: tuple[Column, ...], found: CsvRows) -> pa.RecordBatch:
    """The rows as one batch.

    Raises:
        CannotBeArrow: a value that its type does not have (``infinity``, a date before Christ).
    """
    import pyarrow as pa  # noqa: PLC0415 (an extra)
    from pyarrow import csv  # noqa: PLC0415

    places = [str(place) for place in range(len(columns))]  # a name may come twice
    types = [arrow_type(column) for column in columns]
    schema = pa.schema(
        [
            (column.name, pa.binary() if column.type_oid == BYTEA_OID else type_)
            for column, type_ in zip(columns, types, strict=True)
        ]
    )
    if not found.rows:
        return pa.RecordBatch.from_pylist([], schema=schema)
    try:
        table = csv.read_csv(
            pa.BufferReader(pa.py_buffer(found.data)),
            read_options=csv.ReadOptions(
                column_names=places, block_size=len(found.data) + 1, use_threads=False
            ),
            parse_options=csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            convert_options=csv.ConvertOptions(
                column_types=dict(zip(places, types, strict=True)),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                true_values=["t"],
                false_values=["f"],
            ),
        )
    except pa.ArrowInvalid as error:
        raise CannotBeArrow(" ".join(str(error).split())) from error
    arrays: list[Any] = []
    for column, chunked in zip(columns, table.columns, strict=True):
        array = chunked.combine_chunks() if chunked.num_chunks != 1 else chunked.chunk(0)
        arrays.append(_bytes_of(array) if column.type_oid == BYTEA_OID else array)
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _bytes_of(array: pa.Array) -> pa.Array:
    r"""Values of ``bytea``, which COPY writes as ``\x`` and digits."""
    import pyarrow as pa  # noqa: PLC0415 (an extra)

    values = (None if text is None else bytes.fromhex(text[2:]) for text in array.to_pylist())
    return pa.array(values, type=pa.binary())
