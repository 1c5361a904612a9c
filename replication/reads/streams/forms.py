"""In which form a stream hands out its rows, and what it fetches for one page of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, LiteralString, Protocol, TypeVar

from psycopg.rows import TupleRow

from replication.reads.streams.ranges import LastKey, Ranges
from replication.units.unit import Transaction
from replication.wire import Column, Params

B = TypeVar("B")


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedPage(Generic[B]):
    """A page as it came from the server.

    ``last``: the last row's key, None in it where that is NULL. ``make``: turns it into what is
    handed out, which takes a moment of its processor (``is_heavy``) or nothing.
    """

    columns: tuple[Column, ...]
    rows: int
    size_bytes: int
    last: tuple[str | None, ...]
    make: Callable[[], B]


class BatchForm(Protocol[B]):
    """Fetches pages, one at a time."""

    is_heavy: bool
    """What ``make`` does is better done in a thread."""
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
    """Which page: the rows behind ``after``, ``limit`` of them."""

    after: LastKey | None
    limit: int


def key_fields(columns: tuple[Column, ...], key: tuple[str, ...]) -> list[int]:
    """Where the columns of the key are."""
    names = [column.name for column in columns]
    return [names.index(name) for name in key]


class Rows:
    """Lists of tuples, with psycopg's conversion of the values."""

    is_heavy = False
    settings: LiteralString = ""

    async def fetch(
        self, transaction: Transaction, ranges: Ranges, params: Params | None, page: PageAsked
    ) -> FetchedPage[list[TupleRow]]:
        """As ``BatchForm``."""
        found = await transaction.session.select(ranges.page(page.after, page.limit), params)
        fields = key_fields(found.columns, ranges.key) if found.rows else []
        return FetchedPage(
            columns=found.columns,
            rows=len(found.rows),
            size_bytes=found.size_bytes,
            last=tuple(found.last[field] for field in fields),
            make=lambda: found.rows,
        )
