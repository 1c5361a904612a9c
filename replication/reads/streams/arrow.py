"""Record batches of Apache Arrow, made from COPY's binary format, column by column.

Measured beside the alternatives in ``benchmarks/read_stream.py`` (decision 0033). pyarrow is an
extra (``bascule[arrow]``); it and numpy are imported when the first stream of this form is made.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, LiteralString

import anyio.to_thread

from replication.reads.streams.forms import (
    INT_OIDS,
    FetchedPage,
    PageAsked,
    key_fields,
    select_settled,
)
from replication.reads.streams.ranges import PageColumns, Ranges
from replication.units.unit import Transaction
from replication.wire import Column, Params

if TYPE_CHECKING:
    import pyarrow as pa


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
            from replication.reads.streams import columns  # noqa: F401, PLC0415 (an extra)
        except ModuleNotFoundError as error:
            words = "Arrow record batches need pyarrow: install bascule[arrow]"
            raise ModuleNotFoundError(words, name=error.name) from error

    async def fetch(
        self, transaction: Transaction, ranges: Ranges, params: Params | None, page: PageAsked
    ) -> FetchedPage[pa.RecordBatch]:
        """As ``BatchForm``. The columns are asked for in the same transaction: its lock on the
        tables keeps them as they are."""
        from replication.reads.streams.columns import asked_of, record_batch  # noqa: PLC0415

        settled, described = await select_settled(transaction, page, ranges.columns(), params)
        asked = asked_of(described.columns, ranges.key)
        query = ranges.page(page.after, page.limit, asked)
        found = await transaction.session.copy_binary(query, params)
        return FetchedPage(
            columns=described.columns,
            rows=len(found.sizes),
            size_bytes=len(found.data),
            last=last_key(found.last(), asked, described.columns, ranges.key),
            make=partial(anyio.to_thread.run_sync, record_batch, described.columns, asked, found),
            settled=settled,
        )


def last_key(
    fields: list[bytes | None],
    asked: PageColumns,
    columns: tuple[Column, ...],
    key: tuple[str, ...],
) -> tuple[str | None, ...]:
    """The key of a row, as PostgreSQL writes it; empty if there is no row."""
    values: list[str | None] = []
    for at in key_fields(columns, key) if fields else ():
        if at in asked.added:
            value = fields[len(columns) + asked.added.index(at)]
        else:
            value = fields[at]
            if value is not None and columns[at].type_oid in INT_OIDS:
                value = b"%d" % int.from_bytes(value, "big", signed=True)
        values.append(None if value is None else value.decode())
    return tuple(values)
