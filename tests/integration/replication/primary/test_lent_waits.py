"""Lent connections that nobody wants to wait on any more: what has to be closed, and what not."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest
from support.postgres.ledger_units import adding, prepare_ledger, storage_on
from support.postgres.local_postgres import LocalPostgres
from support.postgres.synchronous import CREDENTIALS as ADMIN
from support.postgres.synchronous import create_tables, end_sleepers, rest_apis

from replication import Storage, StorageSettings, SyncStorage
from replication.observability.events import Event, PrimaryLost

pytestmark = pytest.mark.anyio

AsyncConn = psycopg.AsyncConnection[Any]

LOCAL = StorageSettings(durability="local", deadline_s=30)


@pytest.fixture
async def server(postgres_server: LocalPostgres) -> LocalPostgres:
    end_sleepers(postgres_server)
    await prepare_ledger(postgres_server)
    return postgres_server


async def test_a_cancelled_wait_for_notifications_closes_nothing(server: LocalPostgres) -> None:
    """What a queue's listener does after some seconds of silence."""
    events: list[Event] = []
    async with storage_on(server, settings=LOCAL, events=events) as (storage, _):
        async with storage.connection() as conn:
            await conn.set_autocommit(True)
            pid = conn.info.backend_pid
            await conn.execute("LISTEN work")
            for _ in range(3):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(anext(conn.notifies()), 0.05)
            async for _ in conn.notifies(timeout=0.05):
                pass
            server.query("NOTIFY work, 'now'")
            notify = await asyncio.wait_for(anext(conn.notifies()), 30)
            assert (notify.payload, conn.info.backend_pid) == ("now", pid)
            # In a transaction too, and then it goes on.
            await conn.set_autocommit(False)
            await conn.execute("SELECT 1")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(conn.notifies()), 0.05)
            await conn.execute("SELECT 1")
        await a_cancelled_statement(storage)
    assert not any(isinstance(event, PrimaryLost) for event in events)


async def a_cancelled_statement(storage: Storage) -> None:
    """Its transaction was open: the end of the block does not pass over that."""

    async def use() -> None:
        async with storage.connection() as conn:
            query = "COPY (SELECT generate_series(1, 9)) TO STDOUT"
            async with conn.cursor().copy(query) as copy:
                assert len([row async for row in copy.rows()]) == 9
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(copy_without_end(conn), 0.05)
            assert conn.closed

    with pytest.raises(psycopg.OperationalError):
        await use()


async def copy_without_end(conn: AsyncConn) -> None:
    async with conn.cursor().copy("COPY (SELECT pg_sleep(600)) TO STDOUT") as copy:
        await copy.read()


def test_an_interrupted_wait_for_notifications_closes_nothing(
    postgres_server: LocalPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_tables(postgres_server)
    waits: list[str] = []

    with (
        rest_apis(True) as (answers,),
        SyncStorage([answers.member(postgres_server)], ADMIN) as storage,
        storage.connection() as conn,
    ):
        conn.autocommit = True
        conn.execute("LISTEN work")
        real = psycopg.waiting.wait

        def interrupted(*args: Any, **options: Any) -> Any:  # noqa: ANN401
            waits.append("interrupted")
            raise KeyboardInterrupt

        monkeypatch.setattr(psycopg.waiting, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            next(conn.notifies())
        monkeypatch.setattr(psycopg.waiting, "wait", real)
        assert list(conn.notifies(timeout=0.01)) == []
        assert conn.execute("SELECT 1").fetchone() == (1,)
    assert waits == ["interrupted"]


async def test_warnings_do_not_pile_up(server: LocalPostgres) -> None:
    async with storage_on(server, settings=LOCAL) as (storage, _):
        async with storage.connection() as conn:
            await conn.set_autocommit(True)
            session = conn.session  # type: ignore[attr-defined]
            before = sum(len(getattr(session, name)) for name in sized(session))
            for _ in range(100):
                await conn.execute("DO $$ BEGIN RAISE WARNING 'again'; END $$")
            assert sum(len(getattr(session, name)) for name in sized(session)) <= before + 2
        # Nor are they taken for one of the next commit's.
        applied = await storage.run(adding("a"), unit_id="a")
    assert not applied.resolved


def sized(session: object) -> list[str]:
    return [name for name, value in vars(session).items() if isinstance(value, list | dict)]
