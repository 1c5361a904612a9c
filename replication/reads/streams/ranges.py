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

    def page(self, after: LastKey | None, limit: int) -> sql.Composed:
        """The rows behind ``after`` (None: all), ``limit`` of them and what ties with the last."""
        key = sql.SQL(", ").join(self._names())
        parts: list[sql.Composable] = [sql.SQL("SELECT * FROM "), self._source()]
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

    def _source(self) -> sql.Composed:
        query = sql.SQL(self.query) if isinstance(self.query, str) else self.query
        # On a line of its own: the query may end in a comment.
        return sql.Composed([sql.SQL("("), query, sql.SQL("\n) AS stream")])

    def _names(self) -> list[sql.Identifier]:
        return [sql.Identifier("stream", self._escaped(name)) for name in self.key]

    def _escaped(self, text: str) -> str:
        return text.replace("%", "%%") if self.has_params else text


def read_fields(line: str) -> list[str | None]:
    """The fields of one line of COPY's CSV, with its line break; None is NULL."""
    fields: list[str | None] = []
    position = 0
    while position < len(line):
        if line[position] == '"':
            value, position = _quoted(line, position + 1)
            fields.append(value)
        else:
            end = position
            while line[end] not in ",\n":
                end += 1
            fields.append(line[position:end] or None)
            position = end
        position += 1  # the comma, or the line break
    return fields


def _quoted(line: str, begin: int) -> tuple[str, int]:
    """The value that begins behind a quote, and where what follows its end is."""
    end = line.index('"', begin)
    while line[end + 1] == '"':
        end = line.index('"', end + 2)
    return line[begin:end].replace('""', '"'), end + 1
