"""Statements as the protocol takes them, and results as an application takes them.

The conversion of Python's values is psycopg's own, so whatever psycopg can adapt can be passed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, LiteralString, NamedTuple

import psycopg
from psycopg import sql
from psycopg._queries import PostgresQuery
from psycopg.abc import Buffer
from psycopg.adapt import Transformer
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGresult
from psycopg.rows import TupleRow

Query = LiteralString | sql.SQL | sql.Composed
"""SQL comes from literals and from psycopg's ``sql``, never from strings put together."""

Params = Sequence[Any] | Mapping[str, Any]


class Statement(NamedTuple):
    """What is sent: the query with ``$1``, its parameters, their types (oids) and formats."""

    query: bytes
    params: Sequence[Buffer | None] | None = None
    types: tuple[int, ...] = ()
    formats: Sequence[Format] | None = None


def statement_of(
    query: Query, params: Params | None, connection: psycopg.AsyncConnection[TupleRow]
) -> Statement:
    """``query`` for ``connection``, which knows the adapters and the encoding.

    Raises:
        psycopg.Error: without a SQLSTATE: the parameters do not fit.
        TypeError: a parameter is neither a sequence nor a mapping.
    """
    if params is None and isinstance(query, str):
        # ASCII is the same in every encoding; to ask libpq which one it is costs more than this.
        return Statement(query.encode("ascii" if query.isascii() else connection.pgconn._encoding))
    converted = PostgresQuery(Transformer(connection))
    converted.convert(query, params)
    return Statement(converted.query, converted.params, converted.types, converted.formats)


_ENDS_TRANSACTION = re.compile(
    rb"(?:\s|--[^\n]*\n|/\*.*?\*/)*"
    rb"(?:COMMIT|END|ABORT|PREPARE\s+TRANSACTION"
    rb"|ROLLBACK(?!(?:\s+WORK|\s+TRANSACTION)?\s+TO\b)(?!\s+PREPARED\b))\b",
    re.IGNORECASE | re.DOTALL,
)


def require_inside(statement: Statement) -> None:
    """Refuse what would end the transaction that the storage layer has begun, and will end.

    After it the next statement would be a transaction of its own, and be applied once an attempt.

    Raises:
        psycopg.ProgrammingError: it is such a statement.
    """
    if _ENDS_TRANSACTION.match(statement.query):
        words = bytes(statement.query[:40]).decode(errors="replace").strip()
        raise psycopg.ProgrammingError(
            f"{words}: the transaction is not the function's to end; return from it to commit,"
            " raise to roll back, or use a savepoint"
        )


def rows_of(result: PGresult, connection: psycopg.AsyncConnection[TupleRow]) -> list[TupleRow]:
    """The rows of a result as Python's values; empty if it has none."""
    if result.status != ExecStatus.TUPLES_OK:
        return []
    return loader_of(result, connection)(0, result.ntuples)


def loader_of(
    result: PGresult, connection: psycopg.AsyncConnection[TupleRow]
) -> Callable[[int, int], list[TupleRow]]:
    """A function that converts the rows of ``result`` from an index up to another."""
    loader = Transformer(connection)
    loader.set_pgresult(result)
    return lambda begin, end: loader.load_rows(begin, end, tuple)


def rowcount_of(result: PGresult) -> int:
    """How many rows it returned or changed, -1 where that has no meaning."""
    if result.status == ExecStatus.TUPLES_OK:
        return result.ntuples
    count = result.command_tuples
    return -1 if count is None else count
