"""What a program does wrong is told to it, once, and costs nobody the primary."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import psycopg
import pytest
from psycopg import sql
from support.postgres.ledger_units import adding, entries, prepare_ledger, storage_on
from support.postgres.local_postgres import PASSWORD, LocalPostgres
from support.postgres.mistakes import (
    TOO_MANY,
    a_timeout_that_it_swallowed,
    its_own_close,
    too_many_parameters,
)
from support.postgres.synchronous import CREDENTIALS as ADMIN
from support.postgres.synchronous import end_sleepers

from replication import (
    Applied,
    NotApplied,
    ReadFailed,
    StorageSettings,
    Transaction,
)
from replication.observability.events import CircuitOpened, Event, PrimaryLost

pytestmark = pytest.mark.anyio

AsyncConn = psycopg.AsyncConnection[Any]

left_open: list[object] = []
"""Keeps what a program has left open from being closed by Python."""

LOCAL = StorageSettings(durability="local", deadline_s=30, circuit_after=2, circuit_open_s=600)


async def lent_copy_left_open(conn: AsyncConn) -> None:
    copy = conn.cursor().copy("COPY (SELECT generate_series(1, 100000)) TO STDOUT")
    left_open.append(copy)
    await (await copy.__aenter__()).read()


async def lent_stream_left_half_read(conn: AsyncConn) -> None:
    stream = conn.cursor().stream("SELECT generate_series(1, 1000)")
    left_open.append(stream)
    await anext(stream)


async def lent_pipeline_left_open(conn: AsyncConn) -> None:
    pipeline = conn.pipeline()
    left_open.append(pipeline)
    await pipeline.__aenter__()
    await conn.execute("SELECT 1")


@pytest.fixture
async def server(postgres_server: LocalPostgres) -> LocalPostgres:
    end_sleepers(postgres_server)
    await prepare_ledger(postgres_server)
    return postgres_server


# In units of work and reads. ---------------------------------------------------------------------


async def a_closed_cursor(tx: Transaction) -> None:
    async with tx.connection() as conn:
        cursor = conn.cursor()
        await cursor.close()
        await cursor.execute("SELECT 1")


async def too_many_parameters_lent(tx: Transaction) -> None:
    async with tx.connection() as conn:
        slots = sql.SQL(",").join([sql.Placeholder()] * TOO_MANY)
        await conn.execute(sql.SQL("SELECT {}").format(slots), list(range(TOO_MANY)))


async def its_own_close_and_on(tx: Transaction) -> None:
    async with tx.connection() as conn:
        await conn.close()
        await conn.execute("SELECT 1")


async def a_timeout_that_it_caught(tx: Transaction) -> None:
    try:
        await asyncio.wait_for(tx.execute("SELECT pg_sleep(600)"), 0.05)
    except TimeoutError:
        await tx.execute("SELECT 1")


async def a_lent_timeout_that_it_swallowed(tx: Transaction) -> None:
    async with tx.connection() as conn:
        with anyio.move_on_after(0.05):
            await conn.execute("SELECT pg_sleep(600)")


async def a_read_only_transaction(tx: Transaction) -> None:
    await tx.execute("SET TRANSACTION READ ONLY")
    await tx.execute("CREATE TABLE never (n int)")


async def wrong_placeholders(tx: Transaction) -> None:
    await tx.execute("SELECT %s", (1, 2))


async def a_copy_where_there_is_none(tx: Transaction) -> None:
    await tx.execute("COPY (SELECT 1) TO STDOUT")


async def the_result_of_nothing(tx: Transaction) -> None:
    async with tx.connection() as conn:
        await (await conn.execute("SET LOCAL work_mem = '4MB'")).fetchall()


async def raised_by_itself(tx: Transaction) -> None:
    raise psycopg.errors.AdminShutdown("of another database, say")


async def another_connection_failed(tx: Transaction) -> None:
    conninfo = "host=127.0.0.1 port=1 connect_timeout=5 dbname=postgres"
    await (await psycopg.AsyncConnection.connect(conninfo)).close()


async def another_server_ended_its_session(tx: Transaction) -> None:
    async with tx.connection() as conn:
        there = conn.info.port
    conninfo = f"host=127.0.0.1 port={there} dbname=postgres user={ADMIN.user}"
    async with await psycopg.AsyncConnection.connect(conninfo, password=PASSWORD) as other:
        await other.execute("SELECT pg_terminate_backend(pg_backend_pid())")


async def raised_as_if_the_server_were_full(tx: Transaction) -> None:
    await tx.execute("DO $$ BEGIN RAISE 'no bed' USING ERRCODE = '53300'; END $$")


async def a_copy_left_open(tx: Transaction) -> None:
    async with tx.connection() as conn:
        await lent_copy_left_open(conn)


async def a_stream_left_half_read(tx: Transaction) -> None:
    async with tx.connection() as conn:
        await lent_stream_left_half_read(conn)


async def a_pipeline_left_open(tx: Transaction) -> None:
    async with tx.connection() as conn:
        await lent_pipeline_left_open(conn)


async def its_own_rollback(tx: Transaction) -> None:
    async with tx.connection() as conn:
        await conn.execute("ROLLBACK")


async def its_own_close_below_psycopg(tx: Transaction) -> None:
    async with tx.connection() as conn:
        conn.pgconn.finish()


async def a_division_by_zero(tx: Transaction) -> None:
    await tx.execute("SELECT 1 / 0")


MISTAKES = [
    a_closed_cursor,
    too_many_parameters,
    too_many_parameters_lent,
    its_own_close,
    its_own_close_and_on,
    a_timeout_that_it_caught,
    a_timeout_that_it_swallowed,
    a_lent_timeout_that_it_swallowed,
    a_read_only_transaction,
    wrong_placeholders,
    a_copy_where_there_is_none,
    the_result_of_nothing,
    raised_by_itself,
    another_connection_failed,
    another_server_ended_its_session,
    raised_as_if_the_server_were_full,
    a_copy_left_open,
    a_stream_left_half_read,
    a_pipeline_left_open,
    its_own_rollback,
    its_own_close_below_psycopg,
    a_division_by_zero,
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__)
async def test_in_a_unit_of_work(
    server: LocalPostgres, mistake: Callable[[Transaction], Awaitable[None]]
) -> None:
    events: list[Event] = []
    calls = 0

    async def unit(tx: Transaction) -> None:
        nonlocal calls
        calls += 1
        await adding("a")(tx)
        await mistake(tx)

    async with storage_on(server, settings=LOCAL, events=events) as (storage, _):
        for _ in range(3):  # more than open the circuit
            begun_s = time.monotonic()
            with pytest.raises(NotApplied) as caught:
                await storage.run(unit, unit_id="a")
            assert type(caught.value) is NotApplied
            assert caught.value.attempts == 1
            assert time.monotonic() - begun_s < 15
        assert calls == 3
        assert isinstance(await storage.run(adding("b"), unit_id="b"), Applied)
    assert (entries(server, "a"), entries(server, "b")) == (0, 1)
    assert not any(isinstance(event, PrimaryLost | CircuitOpened) for event in events)


@pytest.mark.parametrize(
    "mistake",
    [mistake for mistake in MISTAKES if mistake is not a_read_only_transaction],
    ids=lambda mistake: mistake.__name__,
)
async def test_in_a_read(
    server: LocalPostgres, mistake: Callable[[Transaction], Awaitable[None]]
) -> None:
    events: list[Event] = []
    calls = 0

    async def read(tx: Transaction) -> None:
        nonlocal calls
        calls += 1
        await mistake(tx)

    async with storage_on(server, settings=LOCAL, events=events) as (storage, _):
        with pytest.raises(ReadFailed):
            await storage.read(read)
        assert calls == 1
    assert not any(isinstance(event, PrimaryLost) for event in events)


async def test_a_rollback_that_is_noticed_only_at_the_commit(server: LocalPostgres) -> None:
    calls = 0

    async def unit(tx: Transaction) -> None:
        nonlocal calls
        calls += 1
        async with tx.connection() as conn:
            await conn.execute("SELECT 1; ROLLBACK")

    async with storage_on(server, settings=LOCAL) as (storage, _):
        with pytest.raises(NotApplied, match="rolled back the transaction"):
            await storage.run(unit)
    assert calls == 1


async def test_neighbours_keep_their_sessions(server: LocalPostgres) -> None:
    """All mistakes, one after the other, beside a writer: what it has stays."""
    events: list[Event] = []
    release = anyio.Event()
    async with storage_on(server, settings=LOCAL, events=events) as (storage, _):

        async def neighbour(tx: Transaction) -> None:
            await adding("neighbour")(tx)
            await release.wait()

        ends: list[Applied[None]] = []

        async def run() -> None:
            ends.append(await storage.run(neighbour, unit_id="neighbour", deadline_s=60))

        async with anyio.create_task_group() as group:
            group.start_soon(run)
            for mistake in MISTAKES:
                with pytest.raises(NotApplied):
                    await storage.run(mistake)
            release.set()
    assert ends[0].attempts == 1
    assert not any(isinstance(event, PrimaryLost) for event in events)


# On lent connections. ----------------------------------------------------------------------------


async def lent_closed_cursor(conn: AsyncConn) -> None:
    cursor = conn.cursor()
    await cursor.close()
    await cursor.execute("SELECT 1")


async def lent_too_many(conn: AsyncConn) -> None:
    slots = sql.SQL(",").join([sql.Placeholder()] * TOO_MANY)
    await conn.execute(sql.SQL("SELECT {}").format(slots), list(range(TOO_MANY)))


async def lent_close_in_transaction(conn: AsyncConn) -> None:
    await conn.execute("SELECT 1")
    await conn.close()


async def lent_timeout(conn: AsyncConn) -> None:
    with anyio.move_on_after(0.05):
        await conn.execute("SELECT pg_sleep(600)")
    await conn.execute("SELECT 1")


async def lent_read_only(conn: AsyncConn) -> None:
    await conn.set_read_only(True)
    await conn.execute("CREATE TABLE never (n int)")


async def lent_raised(conn: AsyncConn) -> None:
    await conn.execute("DO $$ BEGIN RAISE 'no' USING ERRCODE = '57P01'; END $$")


@pytest.mark.parametrize(
    "mistake",
    [
        lent_closed_cursor,
        lent_too_many,
        lent_close_in_transaction,
        lent_timeout,
        lent_read_only,
        lent_raised,
        lent_copy_left_open,
        lent_stream_left_half_read,
        lent_pipeline_left_open,
    ],
    ids=lambda mistake: mistake.__name__,
)
async def test_on_a_lent_connection(
    server: LocalPostgres, mistake: Callable[[AsyncConn], Awaitable[None]]
) -> None:
    events: list[Event] = []

    async def use() -> None:
        async with storage.connection() as conn:
            await mistake(conn)

    async with storage_on(server, settings=LOCAL, events=events) as (storage, _):
        with pytest.raises(psycopg.Error):
            await use()
        async with storage.connection() as conn:
            await conn.execute("SELECT 1")
    assert not any(isinstance(event, PrimaryLost) for event in events)


async def test_a_connection_that_is_closed_when_nothing_is_open_is_only_closed(
    server: LocalPostgres,
) -> None:
    events: list[Event] = []
    async with storage_on(server, settings=LOCAL, events=events) as (storage, _):
        async with storage.connection() as conn:
            await conn.execute("SELECT 1")
            await conn.commit()
            await conn.close()
        async with storage.connection() as conn:
            await conn.execute("SELECT 1")
    assert not any(isinstance(event, PrimaryLost) for event in events)
