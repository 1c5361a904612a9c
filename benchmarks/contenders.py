"""The ways of doing one small write, or one small read, that ``writes.py`` sets side by side.

All of them speak to the same server as the same role with psycopg's default of synchronous commit,
so the server waits for the same standby. Each keeps as many connections as there are workers.

- ``storage``: ``Storage.run`` with durability ``quorum``, and ``Storage.read``;
- ``pool``: ``psycopg_pool.AsyncConnectionPool`` as its documentation shows it;
- ``pool+key``: the same, and an idempotency row beside the entry in the same transaction: what
  anybody needs who wants to find out later whether a commit in doubt took effect;
- ``sqlalchemy``: SQLAlchemy's async engine, on psycopg;
- ``asyncpg``: ``asyncpg.Pool`` as its documentation shows it, in a ``transaction()`` block, which
  is what the ways above have too. Its pool resets a connection that comes back, with a question of
  its own; it prepares statements by itself;
- ``asyncpg-1``: the same without the block: the statement is its own commit, a round trip instead
  of three, and nothing else can be part of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Literal

import asyncpg
import psycopg
from psycopg_pool import AsyncConnectionPool
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from support.postgres.local_postgres import PASSWORD, SUPERUSER, LocalPostgres
from support.postgres.patroni_answers import rest_api

from chaos.load.prepare import prepare
from replication import Credentials, Storage, StorageSettings, Transaction
from replication.wire import session_to

Kind = Literal["write", "read"]
Operation = Callable[[str], Awaitable[None]]
"""One write of, or one read for, an id that no other operation of the run has."""

Pool = AsyncConnectionPool[psycopg.AsyncConnection[Any]]

INSERT = "INSERT INTO bascule.ledger (id, site, worker, n) VALUES (%s, 'bench', 0, 0)"
INSERT_KEY = "INSERT INTO bascule.unit_of_work (id, attempt, state) VALUES (%s, 1, 'applied')"
SELECT = "SELECT site, n FROM bascule.ledger WHERE seq = %s"
SEQ = 1
"""The key that is read: the first entry, which every run writes before anything is measured."""


def through_storage(storage: Storage, kind: Kind) -> Operation:
    async def write(unit_id: str) -> None:
        async def unit_of_work(transaction: Transaction) -> None:
            await transaction.execute(INSERT, (unit_id,))

        await storage.run(unit_of_work, unit_id=unit_id)

    async def fn(transaction: Transaction) -> int:
        rows = (await transaction.execute(SELECT, (SEQ,))).rows
        return len(rows)

    async def read(_: str) -> None:
        assert (await storage.read(fn)).value == 1

    return write if kind == "write" else read


def through_pool(pool: Pool, kind: Kind, *, with_key: bool = False) -> Operation:
    async def write(unit_id: str) -> None:
        async with pool.connection() as connection:
            if with_key:
                await connection.execute(INSERT_KEY, (unit_id,))
            await connection.execute(INSERT, (unit_id,))

    async def read(_: str) -> None:
        async with pool.connection() as connection:
            cursor = await connection.execute(SELECT, (SEQ,))
            assert len(await cursor.fetchall()) == 1

    return write if kind == "write" else read


def through_asyncpg(pool: Any, kind: Kind, *, in_transaction: bool) -> Operation:  # noqa: ANN401
    insert, select = INSERT.replace("%s", "$1"), SELECT.replace("%s", "$1")

    async def run(connection: Any, unit_id: str) -> None:  # noqa: ANN401
        if kind == "write":
            await connection.execute(insert, unit_id)
        else:
            assert len(await connection.fetch(select, SEQ)) == 1

    async def operation(unit_id: str) -> None:
        async with pool.acquire() as connection:
            if not in_transaction:
                await run(connection, unit_id)
                return
            async with connection.transaction(readonly=kind == "read"):
                await run(connection, unit_id)

    return operation


def through_sqlalchemy(engine: AsyncEngine, kind: Kind) -> Operation:
    insert = text("INSERT INTO bascule.ledger (id, site, worker, n) VALUES (:id, 'bench', 0, 0)")
    select = text("SELECT site, n FROM bascule.ledger WHERE seq = :seq")

    async def write(unit_id: str) -> None:
        async with engine.begin() as connection:
            await connection.execute(insert, {"id": unit_id})

    async def read(_: str) -> None:
        async with engine.begin() as connection:
            assert len((await connection.execute(select, {"seq": SEQ})).fetchall()) == 1

    return write if kind == "write" else read


@asynccontextmanager
async def contenders(
    server: LocalPostgres, kind: Kind, workers: int
) -> AsyncIterator[dict[str, Operation]]:
    """Every way of doing ``kind``, by name, connected."""
    credentials = Credentials(user=SUPERUSER, password=PASSWORD, dbname="postgres")
    async with AsyncExitStack() as open_ones:
        answers = await open_ones.enter_async_context(rest_api(primary=True))
        member = answers.member(server)
        async with session_to(member.address, credentials) as admin:
            await prepare(admin, role="bascule_app", password=PASSWORD)
            await admin.fetch("TRUNCATE bascule.ledger, bascule.unit_of_work RESTART IDENTITY")
            await admin.fetch(INSERT, ("first",))
        settings = StorageSettings(sessions_max=workers)
        storage = Storage([member], credentials, settings=settings)
        await open_ones.enter_async_context(storage)
        pool = await open_ones.enter_async_context(_pool(server, kind, workers))
        ways = {
            "storage": through_storage(storage, kind),
            "pool": through_pool(pool, kind),
            "sqlalchemy": through_sqlalchemy(_engine(open_ones, server, kind, workers), kind),
        }
        theirs = await open_ones.enter_async_context(_asyncpg_pool(server, workers))
        ways["asyncpg"] = through_asyncpg(theirs, kind, in_transaction=True)
        ways["asyncpg-1"] = through_asyncpg(theirs, kind, in_transaction=False)
        if kind == "write":
            ways["pool+key"] = through_pool(pool, kind, with_key=True)
        yield ways


def _pool(server: LocalPostgres, kind: Kind, workers: int) -> Pool:
    async def configure(connection: psycopg.AsyncConnection[Any]) -> None:
        await connection.set_read_only(kind == "read")

    return AsyncConnectionPool(
        server.conninfo(password=PASSWORD),
        min_size=workers,
        max_size=workers,
        configure=configure,
        open=False,
    )


def _asyncpg_pool(server: LocalPostgres, workers: int) -> Any:  # noqa: ANN401 - it is not typed
    return asyncpg.create_pool(
        host="127.0.0.1",
        port=server.port,
        user=SUPERUSER,
        password=PASSWORD,
        database="postgres",
        min_size=workers,
        max_size=workers,
    )


def _engine(
    open_ones: AsyncExitStack, server: LocalPostgres, kind: Kind, workers: int
) -> AsyncEngine:
    engine = create_async_engine(
        f"postgresql+psycopg://{SUPERUSER}:{PASSWORD}@127.0.0.1:{server.port}/postgres",
        pool_size=workers,
        max_overflow=0,
    )
    open_ones.push_async_callback(engine.dispose)
    return engine.execution_options(postgresql_readonly=True) if kind == "read" else engine
