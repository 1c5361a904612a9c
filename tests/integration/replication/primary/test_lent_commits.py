"""Every way in which a lent connection can commit, on a line that is cut in place of the answer:
the row is there, and the application is told that nobody knows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import psycopg
import pytest
from support.postgres.cut_line import CutLine, cut_line, through
from support.postgres.local_postgres import LocalPostgres, local_postgres
from support.postgres.synchronous import CREDENTIALS, create_tables, rest_apis

from replication import CommitInDoubt, Storage, StorageSettings, SyncStorage
from replication.observability.events import Event, PrimaryLost
from replication.wire import RolledBack

Conn = psycopg.Connection[Any]
AsyncConn = psycopg.AsyncConnection[Any]

INSERT = "INSERT INTO entry VALUES ('a', 1)"
ROWS = [("a", 1), ("b", 2)]
SETTINGS = StorageSettings(deadline_s=30)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPostgres]:
    """One that can prepare transactions."""
    folder = tmp_path_factory.mktemp("commits")
    with local_postgres(folder, settings={"max_prepared_transactions": "4"}) as server:
        yield server


@pytest.fixture
def line(server: LocalPostgres) -> Iterator[CutLine]:
    for (gid,) in server.query("SELECT gid FROM pg_prepared_xacts"):
        server.query(psycopg.sql.SQL("ROLLBACK PREPARED {}").format(psycopg.sql.Literal(gid)))
    create_tables(server)
    with cut_line(server.port) as line:
        yield line


def rows(server: LocalPostgres) -> int:
    return len(server.query("SELECT id FROM entry"))


# The ways. Each is given the connection; the marker says where the line is cut. -----------------


def commit(conn: Conn) -> None:
    conn.execute(INSERT)
    conn.commit()


def end_of_block(conn: Conn) -> None:
    conn.execute(INSERT)


def transaction(conn: Conn) -> None:
    with conn.transaction():
        conn.execute(INSERT)


def transaction_in_autocommit(conn: Conn) -> None:
    conn.autocommit = True
    with conn.transaction():
        conn.execute(INSERT)


def commit_in_pipeline(conn: Conn) -> None:
    with conn.pipeline():
        conn.execute(INSERT)
        conn.commit()


def transaction_in_pipeline(conn: Conn) -> None:
    with conn.pipeline(), conn.transaction():
        conn.execute(INSERT)


def transaction_around_pipeline(conn: Conn) -> None:
    with conn.transaction(), conn.pipeline():
        conn.execute(INSERT)


def pipeline_in_autocommit(conn: Conn) -> None:
    conn.autocommit = True
    with conn.pipeline():
        conn.execute(INSERT)


def synced_pipeline_in_autocommit(conn: Conn) -> None:
    conn.autocommit = True
    with conn.pipeline() as pipeline:
        conn.execute(INSERT)
        pipeline.sync()


def one_phase(conn: Conn) -> None:
    conn.tpc_begin("one")
    conn.execute(INSERT)
    conn.tpc_commit()


def two_phases(conn: Conn) -> None:
    conn.tpc_begin("two")
    conn.execute(INSERT)
    conn.tpc_prepare()
    conn.tpc_commit()


def statement_in_autocommit(conn: Conn) -> None:
    conn.autocommit = True
    conn.execute(INSERT)


def function_in_autocommit(conn: Conn) -> None:
    conn.autocommit = True
    conn.execute("WITH new AS (INSERT INTO entry VALUES ('a', 1) RETURNING id) SELECT * FROM new")


def many_in_autocommit(conn: Conn) -> None:
    conn.autocommit = True
    conn.cursor().executemany("INSERT INTO entry VALUES (%s, %s)", ROWS)


def copy_in_autocommit(conn: Conn) -> None:
    conn.autocommit = True
    with conn.cursor().copy("COPY entry FROM STDIN") as copy:
        for row in ROWS:
            copy.write_row(row)


def stream_in_autocommit(conn: Conn) -> None:
    conn.autocommit = True
    list(conn.cursor().stream(f"{INSERT} RETURNING id"))


def client_cursor_in_autocommit(conn: Conn) -> None:
    conn.autocommit = True
    psycopg.ClientCursor(conn).execute("INSERT INTO entry VALUES (%s, %s)", ("a", 1))


def text_of_a_commit(conn: Conn) -> None:
    conn.execute(INSERT)
    conn.execute("/* so */ commit")


def text_in_autocommit(conn: Conn) -> None:
    conn.autocommit = True
    conn.execute("BEGIN")
    conn.execute(INSERT)
    conn.execute("END")


def text_of_several(conn: Conn) -> None:
    conn.execute(f"{INSERT}; COMMIT")


WAYS: list[tuple[Callable[[Conn], None], bytes]] = [
    (commit, b"COMMIT"),
    (end_of_block, b"COMMIT"),
    (transaction, b"COMMIT"),
    (transaction_in_autocommit, b"COMMIT"),
    (commit_in_pipeline, b"COMMIT"),
    (transaction_in_pipeline, b"COMMIT"),
    (transaction_around_pipeline, b"COMMIT"),
    (pipeline_in_autocommit, b"INSERT"),
    (synced_pipeline_in_autocommit, b"INSERT"),
    (one_phase, b"COMMIT"),
    (two_phases, b"COMMIT PREPARED"),
    (statement_in_autocommit, b"INSERT"),
    (function_in_autocommit, b"INSERT"),
    (many_in_autocommit, b"INSERT"),
    (copy_in_autocommit, b"a\t1"),
    (stream_in_autocommit, b"INSERT"),
    (client_cursor_in_autocommit, b"INSERT"),
    (text_of_a_commit, b"commit"),
    (text_in_autocommit, b"END"),
    (text_of_several, b"COMMIT"),
]


@pytest.mark.parametrize(("way", "marker"), WAYS, ids=lambda value: getattr(value, "__name__", ""))
def test_in_threads(
    server: LocalPostgres, line: CutLine, way: Callable[[Conn], None], marker: bytes
) -> None:
    events: list[Event] = []

    def use() -> None:
        with storage.connection() as conn:
            line.cut_at(marker)
            way(conn)

    with (
        rest_apis(True) as (answers,),
        SyncStorage(
            [through(answers.member(server), line)],
            CREDENTIALS,
            settings=SETTINGS,
            observers=[events.append],
        ) as storage,
    ):
        with pytest.raises(CommitInDoubt) as caught:
            use()
        with storage.connection() as conn:  # it is found again
            conn.execute("SELECT 1")
    assert line.cuts == 1
    assert rows(server) >= 1
    assert caught.value.node == "db-a"
    assert isinstance(caught.value.__cause__, psycopg.Error)
    assert sum(isinstance(event, PrimaryLost) for event in events) == 1


# The same for the event loop. -------------------------------------------------------------------


async def commit_async(conn: AsyncConn) -> None:
    await conn.execute(INSERT)
    await conn.commit()


async def end_of_block_async(conn: AsyncConn) -> None:
    await conn.execute(INSERT)


async def transaction_async(conn: AsyncConn) -> None:
    async with conn.transaction():
        await conn.execute(INSERT)


async def commit_in_pipeline_async(conn: AsyncConn) -> None:
    async with conn.pipeline():
        await conn.execute(INSERT)
        await conn.commit()


async def transaction_in_pipeline_async(conn: AsyncConn) -> None:
    async with conn.pipeline(), conn.transaction():
        await conn.execute(INSERT)


async def pipeline_in_autocommit_async(conn: AsyncConn) -> None:
    await conn.set_autocommit(True)
    async with conn.pipeline():
        await conn.execute(INSERT)


async def one_phase_async(conn: AsyncConn) -> None:
    await conn.tpc_begin("one")
    await conn.execute(INSERT)
    await conn.tpc_commit()


async def statement_in_autocommit_async(conn: AsyncConn) -> None:
    await conn.set_autocommit(True)
    await conn.execute(INSERT)


async def many_in_autocommit_async(conn: AsyncConn) -> None:
    await conn.set_autocommit(True)
    await conn.cursor().executemany("INSERT INTO entry VALUES (%s, %s)", ROWS)


async def copy_in_autocommit_async(conn: AsyncConn) -> None:
    await conn.set_autocommit(True)
    async with conn.cursor().copy("COPY entry FROM STDIN") as copy:
        for row in ROWS:
            await copy.write_row(row)


async def text_of_a_commit_async(conn: AsyncConn) -> None:
    await conn.execute(INSERT)
    await conn.execute("COMMIT")


ASYNC_WAYS: list[tuple[Callable[[AsyncConn], Awaitable[None]], bytes]] = [
    (commit_async, b"COMMIT"),
    (end_of_block_async, b"COMMIT"),
    (transaction_async, b"COMMIT"),
    (commit_in_pipeline_async, b"COMMIT"),
    (transaction_in_pipeline_async, b"COMMIT"),
    (pipeline_in_autocommit_async, b"INSERT"),
    (one_phase_async, b"COMMIT"),
    (statement_in_autocommit_async, b"INSERT"),
    (many_in_autocommit_async, b"INSERT"),
    (copy_in_autocommit_async, b"a\t1"),
    (text_of_a_commit_async, b"COMMIT"),
]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("way", "marker"), ASYNC_WAYS, ids=lambda value: getattr(value, "__name__", "")
)
async def test_in_the_event_loop(
    server: LocalPostgres,
    line: CutLine,
    way: Callable[[AsyncConn], Awaitable[None]],
    marker: bytes,
) -> None:
    async def use() -> None:
        async with storage.connection() as conn:
            line.cut_at(marker)
            await way(conn)

    with rest_apis(True) as (answers,):
        members = [through(answers.member(server), line)]
        async with Storage(members, CREDENTIALS, settings=SETTINGS) as storage:
            with pytest.raises(CommitInDoubt):
                await use()
    assert line.cuts == 1
    assert rows(server) >= 1


# What is not in doubt. --------------------------------------------------------------------------


def lost_in_a_transaction(conn: Conn) -> None:
    conn.execute(INSERT)
    conn.execute("SELECT 'commit'; -- commit")


def lost_in_a_block_in_pipeline(conn: Conn) -> None:
    with conn.pipeline() as pipeline, conn.transaction():
        conn.execute(INSERT)
        pipeline.sync()


def lost_do_block(conn: Conn) -> None:
    conn.execute("DO $$ BEGIN NULL; END $$")


def lost_set_in_autocommit(conn: Conn) -> None:
    conn.autocommit = True
    conn.execute("SET work_mem = '4MB'")


def lost_prepare(conn: Conn) -> None:
    conn.tpc_begin("lost")
    conn.execute(INSERT)
    conn.tpc_prepare()


PLAIN: list[tuple[Callable[[Conn], None], bytes]] = [
    (lost_in_a_transaction, b"-- commit"),
    (lost_in_a_block_in_pipeline, b"INSERT"),
    (lost_do_block, b"DO $$"),
    (lost_set_in_autocommit, b"SET work_mem"),
    (lost_prepare, b"PREPARE TRANSACTION"),
]


@pytest.mark.parametrize(("way", "marker"), PLAIN, ids=lambda value: getattr(value, "__name__", ""))
def test_what_commits_nothing_is_not_in_doubt(
    server: LocalPostgres, line: CutLine, way: Callable[[Conn], None], marker: bytes
) -> None:
    def use() -> None:
        with storage.connection() as conn:
            line.cut_at(marker)
            way(conn)

    with (
        rest_apis(True) as (answers,),
        SyncStorage(
            [through(answers.member(server), line)], CREDENTIALS, settings=SETTINGS
        ) as storage,
        pytest.raises(psycopg.OperationalError),
    ):
        use()
    assert line.cuts == 1
    assert rows(server) == 0


DEFERRED = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE EXCEPTION 'the bed is taken' USING ERRCODE = 'PT409'; END $$;
    CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON entry
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse();
"""


AT_SYNC = (pipeline_in_autocommit, synced_pipeline_in_autocommit, many_in_autocommit)
"""psycopg does not read an error that comes for a Sync: all that it says is that it is busy."""

NOT_REFUSED = (two_phases, text_of_several, stream_in_autocommit)
"""The trigger fires at PREPARE, or in the middle; ``stream`` of psycopg drops an error that comes
after the last row."""


@pytest.mark.parametrize(
    "way", [way for way, _ in WAYS if way not in NOT_REFUSED], ids=lambda way: way.__name__
)
def test_a_commit_that_the_server_refuses_is_the_servers_error(
    server: LocalPostgres, line: CutLine, way: Callable[[Conn], None]
) -> None:
    events: list[Event] = []

    def use() -> None:
        with storage.connection() as conn:
            way(conn)

    server.query(DEFERRED)
    try:
        with (
            rest_apis(True) as (answers,),
            SyncStorage(
                [through(answers.member(server), line)],
                CREDENTIALS,
                settings=SETTINGS,
                observers=[events.append],
            ) as storage,
        ):
            with pytest.raises(psycopg.Error) as caught:
                use()
            with storage.connection() as conn:
                conn.execute("SELECT 1")
    finally:
        server.query("DROP FUNCTION refuse() CASCADE")
    assert caught.value.sqlstate == "PT409" or way in AT_SYNC
    assert rows(server) == 0
    assert not any(isinstance(event, PrimaryLost) for event in events)


def test_a_swallowed_error_is_no_commit_in_any_way(server: LocalPostgres, line: CutLine) -> None:
    def swallow(conn: Conn) -> None:
        conn.execute(INSERT)
        with pytest.raises(psycopg.errors.UndefinedTable):
            conn.execute("SELECT * FROM nothing")

    def committed(conn: Conn) -> None:
        swallow(conn)
        conn.commit()

    def in_block(conn: Conn) -> None:
        with conn.transaction():
            swallow(conn)

    def one_phase(conn: Conn) -> None:
        conn.tpc_begin("one")
        swallow(conn)
        conn.tpc_commit()

    def use(way: Callable[[Conn], None]) -> None:
        with storage.connection() as conn:
            way(conn)

    with (
        rest_apis(True) as (answers,),
        SyncStorage([through(answers.member(server), line)], CREDENTIALS) as storage,
    ):
        for way in (swallow, committed, in_block, one_phase):
            with pytest.raises(RolledBack):
                use(way)
    assert rows(server) == 0


def test_a_block_on_a_connection_that_broke_says_so(server: LocalPostgres, line: CutLine) -> None:
    """psycopg leaves a ``transaction()`` block without a word if its connection is lost."""

    def use() -> None:
        with storage.connection() as conn, conn.transaction():
            line.cut_at(b"INSERT")
            with pytest.raises(psycopg.OperationalError):
                conn.execute(INSERT)

    with (
        rest_apis(True) as (answers,),
        SyncStorage([through(answers.member(server), line)], CREDENTIALS) as storage,
        pytest.raises(psycopg.OperationalError),
    ):
        use()
    assert rows(server) == 0


@pytest.mark.anyio
async def test_a_cancelled_commit_says_that_it_is_in_doubt(
    server: LocalPostgres, line: CutLine
) -> None:
    """A cancellation stays one; what it means is a note."""

    async def use() -> None:
        async with storage.connection() as conn:
            await conn.execute(INSERT)
            await asyncio.wait_for(conn.commit(), 0.5)

    server.set("synchronous_standby_names", "ANY 1 (nobody)")
    try:
        with rest_apis(True) as (answers,):
            async with Storage([through(answers.member(server), line)], CREDENTIALS) as storage:
                with pytest.raises(TimeoutError) as caught:
                    await use()
    finally:
        server.set("synchronous_standby_names", "")
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)
    assert "committed" in " ".join(caught.value.__cause__.__notes__)
