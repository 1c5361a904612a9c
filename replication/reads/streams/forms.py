"""In which form a stream hands out its rows, and what it fetches for one page of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Generic, LiteralString, Protocol, TypeVar

import anyio.lowlevel
from psycopg.rows import TupleRow

from replication.reads.streams.ranges import LastKey, Ranges
from replication.units.unit import Transaction
from replication.wire import Column, Params, Query, SelectedRows

B = TypeVar("B")

INT_OIDS = frozenset({20, 21, 23})
"""int8, int2, int4: of their binary form their text is made here, as PostgreSQL would write it."""

SLICE_ROWS = 1000
"""Rows that are converted at a stretch: some 2 ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedPage(Generic[B]):
    """A page as it came from the server.

    ``last``: the last row's key, None in it where that is NULL. ``make``: turns it into what is
    handed out, without holding up the event loop. ``settled``: what ``PageAsked.settle`` said.
    """

    columns: tuple[Column, ...]
    rows: int
    size_bytes: int
    last: tuple[str | None, ...]
    make: Callable[[], Awaitable[B]]
    settled: str | None


class BatchForm(Protocol[B]):
    """Fetches pages, one at a time."""

    settings: LiteralString
    """More settings of the transaction (``set_config``), behind a comma each."""

    async def fetch(
        self, transaction: Transaction, ranges: Ranges, params: Params | None, page: PageAsked
    ) -> FetchedPage[B]:
        """One page.

        Raises:
            psycopg.Error: the transaction is lost, or the query is wrong.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PageAsked:
    """Which page: the rows behind ``after``, ``limit`` of them. ``settle``: a statement that goes
    before, in the same packet."""

    after: LastKey | None
    limit: int
    settle: LiteralString | None


async def select_settled(
    transaction: Transaction, page: PageAsked, query: Query, params: Params | None
) -> tuple[str | None, SelectedRows]:
    """The first value of ``page.settle``, and what ``query`` returned."""
    if page.settle is None:
        (found,) = await transaction.session.select((query, params))
        return None, found
    said, found = await transaction.session.select((page.settle, None), (query, params))
    return str(said.load(0, 1)[0][0]), found


def key_fields(columns: tuple[Column, ...], key: tuple[str, ...]) -> list[int]:
    """Where the columns of the key are."""
    names = [column.name for column in columns]
    return [names.index(name) for name in key]


class Rows:
    """Lists of tuples, with psycopg's conversion of the values."""

    settings: LiteralString = ""

    async def fetch(
        self, transaction: Transaction, ranges: Ranges, params: Params | None, page: PageAsked
    ) -> FetchedPage[list[TupleRow]]:
        """As ``BatchForm``."""
        query = ranges.page(page.after, page.limit)
        settled, found = await select_settled(transaction, page, query, params)
        fields = key_fields(found.columns, ranges.key) if found.rows else []
        return FetchedPage(
            columns=found.columns,
            rows=found.rows,
            size_bytes=found.size_bytes,
            last=tuple(found.last[field] for field in fields),
            make=partial(_load, found),
            settled=settled,
        )


async def _load(found: SelectedRows) -> list[TupleRow]:
    """All rows, slice by slice: between two of them the next page is asked for, and other tasks get
    their turn."""
    rows: list[TupleRow] = []
    for begin in range(0, found.rows, SLICE_ROWS):
        await anyio.lowlevel.checkpoint()
        rows += found.load(begin, min(begin + SLICE_ROWS, found.rows))
    return rows
