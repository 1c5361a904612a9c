"""Which rows the next page has, and how many: the statements of a stream. Pure.

A page is all rows behind the last key that was read, in key order, up to a number of rows (keyset
pagination). **WITH TIES**: rows of one key are never divided between pages, so the key need not be
unique, and what "equal" means is left to the server, as what "behind" means is. So a page that is
asked for again, on any member, begins where the last one ended: nothing twice, nothing missing.

The last key goes back to the server as the server wrote it, as a literal without a type: it is
exact for every type, and COPY takes no parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from replication.wire import Query

LastKey = tuple[str, ...]
"""The values of the key's columns, as PostgreSQL writes them."""

ROWS_FIRST = 500
"""Of the first page: nothing is known yet of how wide the rows are."""

_AS_TEXT = "CASE WHEN num_nulls({0}) = 0 THEN concat({0}) END"
"""What the type's output function writes, as COPY does; a cast may write something else (``inet``,
``char(n)``)."""

GROWTH = 8
"""A page has at most so many times the rows of the one before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageLimits:
    """How large a page may be: ``rows_max``, and ``bytes_max`` as PostgreSQL writes the rows."""

    rows_max: int
    bytes_max: int

    def first(self) -> int:
        """The number of rows to ask for at first."""
        return min(self.rows_max, ROWS_FIRST)

    def next(self, limit: int, *, rows: int, size_bytes: int) -> int:
        """The number to ask for after a page that was asked for ``limit`` rows.

        Args:
            limit: of that page.
            rows: that it had; one at least.
            size_bytes: of them all.
        """
        fitting = self.bytes_max * rows // max(size_bytes, 1)
        return max(1, min(self.rows_max, GROWTH * limit, fitting))


@dataclass(frozen=True, slots=True, kw_only=True)
class PageColumns:
    """What a page has of each column, where that is not the column itself.

    Args:
        names: of all columns of the query.
        as_text: the places of those that are asked for as text.
        added: the places of those whose text is added behind all columns.
    """

    names: tuple[str, ...]
    as_text: frozenset[int] = frozenset()
    added: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranges:
    """A query that is read in ranges of its key.

    Args:
        query: the caller's, without parameters or with placeholders.
        key: names of columns of its result.
        has_params: its placeholders are filled in, so every other ``%`` is doubled.
    """

    query: Query
    key: tuple[str, ...]
    has_params: bool

    def page(
        self, after: LastKey | None, limit: int, asked: PageColumns | None = None
    ) -> sql.Composed:
        """The rows behind ``after`` (None: all), ``limit`` of them and what ties with the last."""
        key = sql.SQL(", ").join(self._names())
        select = sql.SQL("SELECT * FROM ") if asked is None else self._select(asked)
        parts: list[sql.Composable] = [select, self._source()]
        if asked is not None:
            names = sql.SQL(", ").join(map(sql.Identifier, self._distinct(asked)))
            parts.append(sql.SQL(" ({})").format(names))
        if after is not None:
            values = sql.SQL(", ").join(sql.Literal(self._escaped(value)) for value in after)
            parts.append(sql.SQL(" WHERE ({}) > ({})").format(key, values))
        order = sql.SQL(" ORDER BY {} FETCH FIRST {} ROWS WITH TIES").format(key, limit)
        return sql.Composed([*parts, order])

    def columns(self) -> sql.Composed:
        """No row, and so only what the columns are."""
        return sql.Composed([sql.SQL("SELECT * FROM "), self._source(), sql.SQL(" LIMIT 0")])

    def without_key(self) -> sql.Composed:
        """Whether there is a row without a key: it is in no range."""
        is_null = sql.SQL(" OR ").join(sql.SQL("{} IS NULL").format(one) for one in self._names())
        words = sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {})")
        return words.format(self._source(), is_null)

    def _select(self, asked: PageColumns) -> sql.Composed:
        columns = [sql.Identifier("stream", name) for name in self._distinct(asked)]
        texts = [sql.SQL(_AS_TEXT).format(column) for column in columns]
        taken = [texts[at] if at in asked.as_text else columns[at] for at in range(len(columns))]
        taken += [texts[at] for at in asked.added]
        return sql.SQL("SELECT {} FROM ").format(sql.SQL(", ").join(taken))

    def _distinct(self, asked: PageColumns) -> list[str]:
        """The names of the columns, others for those that come twice: such a name says nothing."""
        names = asked.names
        return [
            self._escaped(name) if names.count(name) == 1 else f"column {at}"
            for at, name in enumerate(names)
        ]

    def _source(self) -> sql.Composed:
        query = sql.SQL(self.query) if isinstance(self.query, str) else self.query
        # On a line of its own: the query may end in a comment.
        return sql.Composed([sql.SQL("("), query, sql.SQL("\n) AS stream")])

    def _names(self) -> list[sql.Identifier]:
        return [sql.Identifier("stream", self._escaped(name)) for name in self.key]

    def _escaped(self, text: str) -> str:
        return text.replace("%", "%%") if self.has_params else text
