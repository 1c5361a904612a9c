"""What a program does wrong in threads, on engines and in migrations costs nobody the primary."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from support.postgres.ledger_units import adding, entries, prepare_ledger, storage_on, wait_true
from support.postgres.local_postgres import LocalPostgres
from support.postgres.mistakes import (
    a_timeout_that_it_swallowed,
    its_own_close,
    too_many_parameters,
)
from support.postgres.synchronous import CREDENTIALS as ADMIN
from support.postgres.synchronous import create_tables, end_sleepers, rest_apis

from replication import (
    NotApplied,
    Storage,
    StorageSettings,
    SyncStorage,
    SyncTransaction,
    Transaction,
)
from replication.observability.events import Event, PrimaryLost, SessionOpened
from replication.schema import Migration, MigrationFailed, migrate
from replication.sqlalchemy.engines import create_engine

pytestmark = pytest.mark.anyio

LOCAL = StorageSettings(durability="local", deadline_s=30, circuit_after=2, circuit_open_s=600)


@pytest.fixture
async def server(postgres_server: LocalPostgres) -> LocalPostgres:
    end_sleepers(postgres_server)
    await prepare_ledger(postgres_server)
    return postgres_server


def test_in_threads_and_on_an_engine(postgres_server: LocalPostgres) -> None:
    create_tables(postgres_server)
    events: list[Event] = []
    calls: list[str] = []

    def closes(tx: SyncTransaction) -> None:
        calls.append("closes")
        with tx.connection() as conn:
            conn.close()

    def closed_cursor(tx: SyncTransaction) -> None:
        calls.append("cursor")
        with tx.connection() as conn:
            cursor = conn.cursor()
            cursor.close()
            cursor.execute("SELECT 1")

    def too_slow(tx: SyncTransaction) -> None:
        with tx.connection() as conn:
            conn.execute("SELECT pg_sleep(600)")

    with (
        rest_apis(True) as (answers,),
        SyncStorage([answers.member(postgres_server)], ADMIN, observers=[events.append]) as storage,
    ):
        for mistake in (closes, closed_cursor):
            with pytest.raises(NotApplied):
                storage.run(mistake, deadline_s=30)
        assert calls == ["closes", "cursor"]
        with pytest.raises(NotApplied):
            storage.run(too_slow, deadline_s=0.5)
        engine = create_engine(storage, pool_size=2)
        with engine.connect() as kept, engine.connect() as other:
            pid = other.scalar(text("SELECT pg_backend_pid()"))
            kept.execute(text("SET TRANSACTION READ ONLY"))
            with pytest.raises(DBAPIError) as refused:
                kept.execute(text("CREATE TABLE never (n int)"))
            assert not refused.value.connection_invalidated
            kept.rollback()
            kept.connection.driver_connection.close()  # type: ignore[union-attr]
            with pytest.raises(DBAPIError) as closed:
                kept.execute(text("SELECT 1"))
            assert closed.value.connection_invalidated
        with engine.connect() as again, engine.connect() as fresh:
            pids = {conn.scalar(text("SELECT pg_backend_pid()")) for conn in (again, fresh)}
        assert pid in pids  # one connection went, not the pool
        engine.dispose()
    assert not any(isinstance(event, PrimaryLost) for event in events)


async def test_in_a_migration(server: LocalPostgres) -> None:
    events: list[Event] = []
    calls: list[str] = []

    def migration(id_: str, mistake: Callable[[Transaction], Awaitable[None]]) -> Migration:
        async def change(tx: Transaction) -> None:
            calls.append(id_)
            await mistake(tx)

        return Migration(id=id_, function=change, version="1")

    with rest_apis(True) as (answers,):
        async with Storage([answers.member(server)], ADMIN, observers=[events.append]) as storage:
            for mistake in (too_many_parameters, its_own_close, a_timeout_that_it_swallowed):
                name = mistake.__name__
                with pytest.raises(MigrationFailed):
                    await migrate(
                        storage,
                        [migration(name, mistake)],
                        series=f"mistakes-{name}",
                        deadline_s=30,
                    )
            with pytest.raises(MigrationFailed) as refused:
                await migrate(
                    storage,
                    [
                        Migration(
                            id="deferred",
                            statements=(
                                "CREATE TEMP TABLE d (n int)",
                                "CREATE FUNCTION pg_temp.no() RETURNS trigger LANGUAGE plpgsql AS"
                                " $$ BEGIN RAISE 'no' USING ERRCODE = 'PT409'; END $$",
                                "CREATE CONSTRAINT TRIGGER no AFTER INSERT ON d DEFERRABLE"
                                " INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION pg_temp.no()",
                                "INSERT INTO d VALUES (1)",
                            ),
                        )
                    ],
                    series="mistakes-deferred",
                    deadline_s=30,
                )
    assert refused.value.sqlstate == "PT409"
    assert len(calls) == 3
    assert not any(isinstance(event, PrimaryLost) for event in events)


async def test_a_session_that_is_lost_is_a_lost_primary_still(server: LocalPostgres) -> None:
    events: list[Event] = []
    async with storage_on(server, settings=LOCAL, events=events) as (storage, _):
        await storage.run(adding("a"), unit_id="a")
        server.query(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE application_name = 'bascule'"
        )
        await storage.run(adding("b"), unit_id="b")
        await wait_true(lambda: any(isinstance(event, PrimaryLost) for event in events))
        assert sum(isinstance(event, SessionOpened) for event in events) == 2
    assert (entries(server, "a"), entries(server, "b")) == (1, 1)
