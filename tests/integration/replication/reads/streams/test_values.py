"""Every value of a real server in Arrow, compared with what the server says it is."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, time
from decimal import Decimal
from typing import LiteralString

import psycopg
import pytest
from psycopg import sql
from support.postgres.local_postgres import PASSWORD, LocalPostgres, local_postgres, replica_of
from support.postgres.read_pair import CREDENTIALS, SETTINGS, caught_up, replayed

from replication import Storage

pytestmark = pytest.mark.anyio

Servers = tuple[LocalPostgres, LocalPostgres]

VALUES: dict[LiteralString, tuple[str, ...]] = {
    "boolean": ("true", "false"),
    "smallint": ("-32768", "32767"),
    "integer": ("-2147483648", "2147483647", "0"),
    "bigint": ("-9223372036854775808", "9223372036854775807"),
    "oid": ("0", "4294967295"),
    "float8": ("NaN", "-Infinity", "1e-307", "-0", "0.1", "1.7976931348623157e308"),
    "numeric(18, 4)": ("99999999999999.9999", "-0.0001", "10000", "9999.9999", "0", "1e13"),
    "numeric(38, 38)": ("0." + "9" * 38, "-0." + "0" * 37 + "1"),
    "numeric(9, 0)": ("999999999", "-10000", "1"),
    "numeric(60, 2)": ("1" * 58 + ".50",),
    "numeric": ("NaN", "Infinity", "1e400", "-1.50", "0.000"),
    "date": ("0001-01-01", "9999-12-31", "1999-12-31"),
    "time": ("00:00:00", "23:59:59.999999"),
    "timestamp": ("0001-01-01 00:00:00", "9999-12-31 23:59:59.999999", "1970-01-01"),
    "timestamptz": ("0001-01-02 00:00:00+02", "1999-12-31 23:59:59.999999-11:30"),
    "text": ("", "NULL", "\\N", "\\.", 'a "b"', "a\n,\r\tb", "é€😀", "x" * 3000),
    "varchar(3)": ("", "a,b"),
    "char(4)": ("", "ab", "é"),
    "bytea": ("", "\\x00ff5c", "\\xdeadbeef"),
    "uuid": ("00000000-0000-0000-0000-000000000000", "f47ac10b-58cc-4372-a567-0e02b2c3d479"),
    "json": ('{"a" :  1}', "null"),
    "jsonb": ('{"a": [1, "é"]}', "null", '""'),
    "interval": ("-1 year 2 mons -3 days 04:05:06.789", "0"),
    "inet": ("10.0.0.1", "10.0.0.0/8", "::1"),
    "integer[]": ("{}", "{1,NULL,-3}", "{{1,2},{3,4}}"),
    "text[]": ('{"a,b",NULL,"NULL",""}',),
    "int4range": ("empty", "[1,5)", "(,)"),
    "mood": ("well", "it's"),
    "timetz": ("12:00:00.5+02", "24:00:00-01"),
    "money": ("-1234.50",),
    '"char"': ("", "a", "\\200"),
    "bit(3)": ("101",),
    "point": ("(1,-2.5)",),
    "patient": ('(1,"a ""ward""",)',),
}
"""By type, as text that PostgreSQL reads."""

COMPARED: dict[LiteralString, LiteralString] = {
    "float8": "encode(float8send(v), 'hex')",
    "timestamp": "to_char(v, 'YYYY-MM-DD HH24:MI:SS.US')",
    "timestamptz": "to_char(v AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')",
    "time": "to_char(v, 'HH24:MI:SS.US')",
}
"""How the server is asked for a value, where its text has several forms."""

KEYS: dict[LiteralString, tuple[str, ...]] = {
    "smallint": ("-32768", "0", "32767"),
    "bigint": ("-9223372036854775808", "-1", "9223372036854775807"),
    "float8": ("-Infinity", "0.1", "0.30000000000000004", "NaN"),
    "float4": ("0.1", "16777217", "3e38"),
    "numeric": ("-1e400", "0.1", "0.10000000000000000001", "NaN"),
    "numeric(6, 2)": ("-0.01", "0", "9999.99"),
    "date": ("1999-12-31", "2000-01-01", "9999-12-31"),
    "timestamptz": ("1999-12-31 23:59:59.999999+00", "2000-01-01 00:00:00+00"),
    "time": ("00:00:00.000001", "23:59:59.999999"),
    "boolean": ("false", "true"),
    "bytea": ("", "\\x00", "\\x00ff"),
    "text": ("", "a'b\\", "a\nb", "é"),
    "char(3)": ("", "a", "ab"),
    "uuid": ("00000000-0000-0000-0000-000000000000", "f47ac10b-58cc-4372-a567-0e02b2c3d479"),
    "jsonb": ("1", '{"a": 1}'),
    "interval": ("-1 day", "1 mon"),
    "inet": ("10.0.0.0/8", "10.0.0.1"),
    "integer[]": ("{}", "{1,NULL}", "{2}"),
}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    folder = tmp_path_factory.mktemp("values")
    with local_postgres(folder) as primary, replica_of(primary, folder) as replica:
        primary.query("CREATE TYPE patient AS (id bigint, ward text, born date)")
        yield primary, replica


async def test_every_value_is_the_same_in_arrow_as_in_postgresql(servers: Servers) -> None:
    """Of every type, beside NULL, in rows of all kinds; the server is asked what it holds."""
    async with caught_up(servers) as on:
        on.primary.query(sql.SQL("CREATE TYPE mood AS ENUM ('well', {})").format("it's"))
        for number, (kind, values) in enumerate(VALUES.items()):
            name = sql.Identifier(f"of_{number}")
            on.primary.query(
                sql.SQL("CREATE TABLE {} (k text PRIMARY KEY, v {})").format(name, sql.SQL(kind))
            )
            rows = sql.SQL(", ").join(
                sql.SQL("({}, {})").format(f"{at:03}", value)
                for at, value in enumerate([*values, None, *values])
            )
            on.primary.query(sql.SQL("INSERT INTO {} VALUES {}").format(name, rows))
        await replayed(on)
        for number, kind in enumerate(VALUES):
            query = sql.SQL("SELECT * FROM {}").format(sql.Identifier(f"of_{number}"))
            async with on.storage.read_arrow_stream(query, key="k", batch_rows=3) as stream:
                found = [row async for batch in stream for row in batch.to_pylist()]
            texts = [
                (str(row["k"]), None if row["v"] is None else written(row["v"])) for row in found
            ]
            told = sql.SQL("SELECT k, {} FROM ({}) AS q ORDER BY k").format(
                sql.SQL(COMPARED.get(kind, "concat(v)")), query
            )
            same = [
                (k, None if at == len(VALUES[kind]) else v)
                for at, (k, v) in enumerate(on.primary.query(told))
            ]
            assert texts == same, kind


def written(value: object) -> str:
    """A value as PostgreSQL writes it, or as ``COMPARED`` asks for it."""
    match value:
        case bool():
            text = "t" if value else "f"
        case bytes():
            text = "\\x" + value.hex()
        case float():
            text = struct.pack(">d", value).hex()
        case Decimal():
            text = format(value, "f")
        case datetime():
            text = value.replace(tzinfo=None).isoformat(" ", "microseconds")
        case time():
            text = value.isoformat("microseconds")
        case _:
            text = str(value)
    return text


async def test_a_key_of_any_type_is_gone_on_from_exactly(servers: Servers) -> None:
    """Page by page, of two rows each: what stands between two pages went through a key."""
    async with caught_up(servers) as on:
        for number, (kind, values) in enumerate(KEYS.items()):
            name = sql.Identifier(f"key_{number}")
            on.primary.query(sql.SQL("CREATE TABLE {} (k {})").format(name, sql.SQL(kind)))
            rows = sql.SQL(", ").join(sql.SQL("({})").format(value) for value in values)
            on.primary.query(sql.SQL("INSERT INTO {} VALUES {}").format(name, rows))
        await replayed(on)
        for number, (kind, values) in enumerate(KEYS.items()):
            query = sql.SQL("SELECT k FROM {}").format(sql.Identifier(f"key_{number}"))
            async with on.storage.read_arrow_stream(query, key="k", batch_rows=1) as stream:
                found = [len(batch) async for batch in stream]
            assert found == [1] * len(values), kind


async def test_a_database_of_another_encoding_comes_as_utf_8(servers: Servers) -> None:
    query: LiteralString = "SELECT k, k || 'ñ' AS more FROM place WHERE k <> %s"
    async with caught_up(servers) as on:
        on.primary.query("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
        with psycopg.connect(
            on.primary.conninfo(password=PASSWORD), dbname="latin", autocommit=True
        ) as latin:
            latin.execute("CREATE TABLE place (k text PRIMARY KEY)")
            latin.execute("INSERT INTO place VALUES ('Orsay'), ('Évry'), ('Orlé'), ('Été')")
        await replayed(on)
        credentials = replace(CREDENTIALS, dbname="latin")
        async with Storage(on.storage.members, credentials, settings=SETTINGS) as storage:
            for snapshot in (False, True):
                async with storage.read_arrow_stream(
                    query, ("Été",), key="k", batch_rows=1, snapshot=snapshot
                ) as stream:
                    found = [row["more"] async for batch in stream for row in batch.to_pylist()]
                assert found == ["Orléñ", "Orsayñ", "Évryñ"]
