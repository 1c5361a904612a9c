"""Streams from a real primary and its replica: cancelled, ended, stopped, promoted on the way.

One pair of servers for all of it; the last test breaks it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from datetime import date
from decimal import Decimal
from typing import Any, LiteralString

import anyio
import anyio.to_thread
import psycopg
import pytest
from psycopg import sql
from psycopg.rows import TupleRow
from support.postgres.local_postgres import (
    PASSWORD,
    LocalPostgres,
    frozen,
    local_postgres,
    replica_of,
)
from support.postgres.read_pair import (
    CREDENTIALS,
    GENEROUS_S,
    SETTINGS,
    Pair,
    caught_up,
    replayed,
)

from replication import (
    KeyMissing,
    ReadFailed,
    ReadStream,
    SnapshotLost,
    StreamChanged,
    SyncStorage,
)

pytestmark = pytest.mark.anyio

Servers = tuple[LocalPostgres, LocalPostgres]
ROWS = 10_000
ALL: LiteralString = "SELECT * FROM patient"
SLOW: LiteralString = "SELECT id, slow(id) FROM patient"
"""A page of 500 rows takes a tenth of a second, so that something can happen to it."""

MAKE: tuple[LiteralString, ...] = (
    """
    CREATE TABLE patient (id bigint PRIMARY KEY, ward text NOT NULL, born date, weight float8,
        cost numeric(10, 2), consent boolean, seen timestamptz, note text)
    """,
    """
    INSERT INTO patient SELECT 3 * n, 'ward ' || n %% 7, date '1940-01-01' + n %% 30000,
        n / 7.0, n / 100.0, n %% 3 = 0, timestamptz '2026-01-01' + n * interval '1 second',
        CASE n %% 5 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE 'a "note", ' || n || E'\\n100%%' END
    FROM generate_series(1, 10000) AS n
    """,
    "CREATE INDEX ON patient (ward, id)",
    """
    CREATE FUNCTION slow(n bigint) RETURNS bigint STABLE LANGUAGE plpgsql AS $$
    BEGIN IF n %% 18 = 0 THEN PERFORM pg_sleep(0.001); END IF; RETURN n; END $$
    """,
    "CREATE TABLE churn AS SELECT n FROM generate_series(1, 500) AS n",
    "VACUUM ANALYZE",
)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """A primary, and a replica that cancels queries at once when its replay needs that."""
    folder = tmp_path_factory.mktemp("streams")
    with local_postgres(folder) as primary, replica_of(primary, folder) as replica:
        for statement in MAKE:
            primary.query(statement)
        replica.set("max_standby_streaming_delay", "0")
        yield primary, replica


async def rows_of(stream: ReadStream[list[TupleRow]]) -> list[TupleRow]:
    return [row async for batch in stream for row in batch]


def first_column(batch: Any) -> list[int]:  # noqa: ANN401 (rows, or a record batch)
    """Its values."""
    return [row[0] for row in batch] if isinstance(batch, list) else batch[0].to_pylist()


def conflicts(replica: LocalPostgres) -> int:
    return int(replica.query("SELECT sum(confl_snapshot) FROM pg_stat_database_conflicts")[0][0])


async def make_conflict(on: Pair) -> None:
    """Rows that a snapshot on the replica may still see are cleaned up, until one was cancelled."""
    before = conflicts(on.replica)
    async with await psycopg.AsyncConnection.connect(
        on.primary.conninfo(password=PASSWORD), autocommit=True
    ) as primary:
        with anyio.fail_after(GENEROUS_S):
            while await anyio.to_thread.run_sync(conflicts, on.replica) == before:
                await primary.execute("UPDATE churn SET n = n + 1")
                await anyio.sleep(0.02)
                await primary.execute("VACUUM churn")


async def end_sessions(on: Pair) -> None:
    """As an administrator does: 57P01."""
    ended: LiteralString = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE query LIKE '%%slow%%' AND state = 'active' AND pid <> pg_backend_pid()"
    )
    with anyio.fail_after(GENEROUS_S):
        while not (await anyio.to_thread.run_sync(on.replica.query, ended))[0][0]:
            await anyio.sleep(0.005)


async def test_all_rows_come_from_the_replica_in_order_as_rows_and_as_arrow(
    servers: Servers,
) -> None:
    async with caught_up(servers) as on:
        expected = on.primary.query("SELECT * FROM patient ORDER BY id")
        async with on.storage.read_stream(ALL, key="id", batch_rows=3000) as stream:
            rows = await rows_of(stream)
        assert (stream.node, stream.moves, stream.rows) == ("db-b", 0, ROWS)
        assert stream.last_key == (str(3 * ROWS),)
        batches: list[Any] = []
        async with on.storage.read_arrow_stream(ALL, key="id", batch_rows=3000) as arrow:
            async for batch in arrow:
                batches.append(batch)
        assert (arrow.node, arrow.rows) == ("db-b", ROWS)
    assert rows == expected
    assert [tuple(row.values()) for batch in batches for row in batch.to_pylist()] == expected
    assert isinstance(expected[0][2], date)
    assert isinstance(expected[0][4], Decimal)


async def test_a_key_of_several_columns_that_ties_and_a_query_with_parameters(
    servers: Servers,
) -> None:
    query: LiteralString = (
        "SELECT ward, born, note FROM patient WHERE id > %(least)s AND note LIKE '%%100%%'"
    )
    expected = 3000
    async with caught_up(servers) as on:
        for read in (on.storage.read_stream, on.storage.read_arrow_stream):
            async with read(query, {"least": 15000}, key="ward", batch_rows=100) as stream:
                found = [len(batch) async for batch in stream]
            assert (sum(found), len(found)) == (expected, 7)  # a ward is never divided
            async with read(query, {"least": 15000}, key=("ward", "born"), batch_rows=100) as both:
                counts = [len(batch) async for batch in both]
            assert (sum(counts), max(counts) <= 102) == (expected, True)


async def test_wide_rows_make_small_batches(servers: Servers) -> None:
    query: LiteralString = "SELECT id, repeat('x', 10000) AS note FROM patient WHERE id <= 9000"
    async with (
        caught_up(servers) as on,
        on.storage.read_arrow_stream(query, key="id", batch_bytes=1_000_000) as stream,
    ):
        sizes = [batch.nbytes async for batch in stream]
    assert stream.rows == 3000
    assert sizes[0] > 5_000_000  # of the first one nothing is known: it has 500 rows
    assert max(sizes[1:]) < 1_100_000


@pytest.mark.parametrize("strike", [make_conflict, end_sessions])
@pytest.mark.parametrize("form", ["rows", "arrow"])
async def test_a_page_that_the_replica_cancels_comes_from_the_next_member(
    servers: Servers, strike: Callable[[Pair], Awaitable[None]], form: str
) -> None:
    async def act(on: Pair) -> None:
        await strike(on)

    async with caught_up(servers) as on:
        read = on.storage.read_stream if form == "rows" else on.storage.read_arrow_stream
        ids: list[int] = []
        nodes: list[str | None] = []
        async with (
            anyio.create_task_group() as group,
            read(SLOW, key="id", batch_rows=500) as stream,
        ):
            group.start_soon(act, on)
            async for batch in stream:
                ids += first_column(batch)
                nodes.append(stream.node)
            group.cancel_scope.cancel()
        assert ids == [3 * n for n in range(1, ROWS + 1)]
        assert stream.moves > 0
        assert nodes[-1] == "db-b", "it goes back to where it is not in the way of the writes"


async def test_a_page_that_a_hung_replica_does_not_finish_comes_from_the_next_member(
    servers: Servers,
) -> None:
    """Its Patroni goes on answering, and nothing on the connection breaks."""
    async with caught_up(servers) as on:
        on.second.server = None
        on.second.more = {"replication_state": "streaming"}
        freezer = frozen(on.replica)
        ids: list[int] = []
        try:
            async with on.storage.read_arrow_stream(SLOW, key="id", batch_rows=500) as stream:
                async for batch in stream:
                    if not ids:
                        freezer.__enter__()
                    ids += first_column(batch)
                    if stream.moves:
                        assert stream.node == "db-a"
        finally:
            freezer.__exit__(None, None, None)
        assert ids == [3 * n for n in range(1, ROWS + 1)]
        assert stream.moves == 1


@pytest.mark.parametrize("snapshot", [False, True])
async def test_a_batch_is_of_its_own_moment_and_with_a_snapshot_all_are_of_one(
    servers: Servers, snapshot: bool
) -> None:
    async with caught_up(servers) as on:
        async with on.storage.read_stream(
            ALL, key="id", batch_rows=1000, snapshot=snapshot
        ) as stream:
            rows = await anext(stream)
            on.primary.query("INSERT INTO patient (id, ward) VALUES (60001, 'new')")
            await replayed(on)
            rows += await rows_of(stream)
        on.primary.query("DELETE FROM patient WHERE id = 60001")
    assert len(rows) == ROWS + (not snapshot)


async def test_a_snapshot_that_is_lost_says_how_far_it_came_and_the_rest_can_be_read(
    servers: Servers,
) -> None:
    async with caught_up(servers) as on:
        found: list[TupleRow] = []

        async def read_one_snapshot() -> None:
            async with on.storage.read_stream(
                ALL, key="id", batch_rows=1000, snapshot=True
            ) as stream:
                found.extend(await anext(stream))
                await make_conflict(on)
                async for batch in stream:  # what had been read by then
                    found.extend(batch)

        with pytest.raises(SnapshotLost) as caught:
            await read_one_snapshot()
        assert caught.value.sqlstate == "40001"
        assert (caught.value.rows, caught.value.last_key) == (len(found), (str(found[-1][0]),))
        async with on.storage.read_stream(
            ALL, key="id", start_after=caught.value.last_key or ()
        ) as rest:
            found += await rows_of(rest)
        assert [row[0] for row in found] == [3 * n for n in range(1, ROWS + 1)]


async def test_what_cannot_be_a_stream_is_said(servers: Servers) -> None:
    async def read(query: LiteralString, key: str = "id", *, arrow: bool = False) -> None:
        make = on.storage.read_arrow_stream if arrow else on.storage.read_stream
        async with make(query, key=key) as stream:
            async for _ in stream:
                pass

    async with caught_up(servers) as on:
        with pytest.raises(KeyMissing, match="note is NULL"):
            await read(ALL, "note")
        with pytest.raises(ReadFailed, match="no_such_table") as caught:
            await read("SELECT * FROM no_such_table")
        assert caught.value.sqlstate == "42P01"
        with pytest.raises(ReadFailed, match="no_such_column"):
            await read(ALL, "no_such_column")
        with pytest.raises(ReadFailed, match="infinity"):
            await read("SELECT 1 AS id, 'infinity'::date", arrow=True)
        with pytest.raises(ReadFailed, match="infinity"):
            await read("SELECT 1 AS id, 'infinity'::date")


async def test_columns_that_change_on_the_way_end_the_stream(servers: Servers) -> None:
    async with caught_up(servers) as on:
        on.primary.query("CREATE TABLE shifting AS SELECT id FROM patient")

        async def read() -> None:
            await replayed(on)
            async with on.storage.read_arrow_stream(
                "SELECT * FROM shifting", key="id", batch_rows=100
            ) as stream:
                await anext(stream)
                on.primary.query("ALTER TABLE shifting ADD COLUMN more text")
                await replayed(on)
                async for _ in stream:
                    pass

        with pytest.raises(StreamChanged, match="columns"):
            await read()


async def test_a_snapshot_cannot_be_taken_over_by_another_member(servers: Servers) -> None:
    """What ``SnapshotLost`` says: a snapshot that was exported exists on its own server only."""
    primary, replica = servers
    begin = "BEGIN ISOLATION LEVEL REPEATABLE READ"
    with psycopg.connect(replica.conninfo(password=PASSWORD), autocommit=True) as exporter:
        exporter.execute(begin)
        (name,) = exporter.execute("SELECT pg_export_snapshot()").fetchall()[0]
        take_over = sql.SQL("SET TRANSACTION SNAPSHOT {}").format(str(name))
        with psycopg.connect(replica.conninfo(password=PASSWORD), autocommit=True) as same:
            same.execute(begin)
            same.execute(take_over)
        with psycopg.connect(primary.conninfo(password=PASSWORD), autocommit=True) as other:
            other.execute(begin)
            with pytest.raises(psycopg.Error, match="does not exist"):
                other.execute(take_over)


async def test_threads_read_the_same(servers: Servers) -> None:
    async with caught_up(servers) as on:

        def read() -> tuple[int, int, tuple[str, ...] | None, int]:
            with SyncStorage(on.storage.members, CREDENTIALS, settings=SETTINGS) as storage:
                with storage.read_stream(ALL, key="id", batch_rows=4000) as stream:
                    rows = sum(len(batch) for batch in stream)
                with storage.read_arrow_stream(ALL, key="id", snapshot=True) as arrow:
                    in_arrow = sum(batch.num_rows for batch in arrow)
                with storage.read_stream(ALL, key="id", batch_rows=10) as left_early:
                    next(left_early)
                with (
                    pytest.raises(KeyMissing),
                    storage.read_stream(ALL, key="note") as wrong,
                ):
                    list(wrong)
                return rows, in_arrow, stream.last_key, left_early.rows

        rows, in_arrow, last, early = await anyio.to_thread.run_sync(read)
    assert (rows, in_arrow, last) == (ROWS, ROWS, (str(3 * ROWS),))
    assert 0 < early < ROWS


async def test_the_replica_dies_then_the_stream_goes_on_and_a_snapshot_does_not(
    servers: Servers,
) -> None:
    """The last of this module: its replica is promoted in the end, the primary gone."""
    async with caught_up(servers) as on:
        ids: list[int] = []
        async with on.storage.read_arrow_stream(SLOW, key="id", batch_rows=500) as stream:
            async for batch in stream:
                ids += first_column(batch)
                if stream.rows == 2500:
                    await anyio.to_thread.run_sync(on.replica.stop)
                if stream.rows == 5000:
                    assert stream.node == "db-a"
                    await anyio.to_thread.run_sync(on.replica.start)
                    with anyio.fail_after(GENEROUS_S):
                        while not on.replica.query("SELECT 1 FROM pg_stat_wal_receiver"):
                            await anyio.sleep(0.05)
                    on.first.status = 503
                    await anyio.to_thread.run_sync(on.primary.stop)
                    await on.promote()
        assert ids == [3 * n for n in range(1, ROWS + 1)]
        assert (stream.node, on.storage.primary) == ("db-b", "db-b")
