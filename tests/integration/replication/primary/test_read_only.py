"""A primary that is set read-only, as for maintenance: told by name, at once, without a storm; and
writes go on by themselves when it is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import LiteralString

import anyio
import psycopg
import pytest
from sqlalchemy import text
from support.postgres.ledger_units import (
    ADMIN,
    adding,
    entries,
    prepare_ledger,
    running,
    storage_on,
    wait_backend,
    wait_true,
)
from support.postgres.local_postgres import PASSWORD, LocalPostgres, local_postgres
from support.postgres.synchronous import CREDENTIALS as SUPERUSER
from support.postgres.synchronous import create_tables, rest_apis
from support.postgres.wal_receiver import STANDBYS, wal_receiver

from replication import (
    Applied,
    NotApplied,
    ReadOnly,
    Storage,
    StorageSettings,
    SyncStorage,
    Transaction,
    Unknown,
)
from replication.observability.events import CircuitOpened, Event, PrimaryLost, SessionOpened
from replication.primary.read_only import LOOK_AGAIN_S
from replication.schema import Migration, migrate
from replication.schema.pruning import prune
from replication.sqlalchemy.engines import create_async_engine, create_engine

pytestmark = pytest.mark.anyio

LOCAL = StorageSettings(durability="local", deadline_s=30, sessions_max=4)

LEVELS: dict[str, tuple[LiteralString, LiteralString]] = {
    "database": (
        "ALTER DATABASE postgres SET default_transaction_read_only = on",
        "ALTER DATABASE postgres RESET default_transaction_read_only",
    ),
    "role": (
        "ALTER ROLE bascule_app SET default_transaction_read_only = on",
        "ALTER ROLE bascule_app RESET default_transaction_read_only",
    ),
    "role-in-database": (
        "ALTER ROLE bascule_app IN DATABASE postgres SET default_transaction_read_only = true",
        "ALTER ROLE bascule_app IN DATABASE postgres RESET default_transaction_read_only",
    ),
    "system": (
        "ALTER SYSTEM SET default_transaction_read_only = on",
        "ALTER SYSTEM RESET default_transaction_read_only",
    ),
}


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPostgres]:
    folder = tmp_path_factory.mktemp("read-only")
    with local_postgres(folder) as server, wal_receiver(server, folder):
        yield server


@pytest.fixture
async def server(own_server: LocalPostgres) -> AsyncIterator[LocalPostgres]:
    await prepare_ledger(own_server)
    yield own_server
    for _, end in LEVELS.values():
        administer(own_server, end)


def administer(server: LocalPostgres, statement: LiteralString) -> None:
    with psycopg.connect(server.conninfo(password=PASSWORD), autocommit=True) as admin:
        admin.execute("SET default_transaction_read_only = off")
        admin.execute("SET synchronous_commit = local")
        admin.execute(statement)
        admin.execute("SELECT pg_reload_conf()")


def end_sessions(server: LocalPostgres) -> None:
    with psycopg.connect(server.conninfo(password=PASSWORD), autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE application_name = 'bascule'"
        )


@contextmanager
def maintenance(server: LocalPostgres, level: str = "database") -> Iterator[None]:
    begin, end = LEVELS[level]
    administer(server, begin)
    end_sessions(server)
    try:
        yield
    finally:
        administer(server, end)


def logins(events: list[Event]) -> int:
    return sum(isinstance(event, SessionOpened) for event in events)


async def reads(transaction: Transaction) -> object:
    return (await transaction.execute("SELECT count(*) FROM bascule.ledger")).rows


async def write_until_taken(storage: Storage, unit_id: str) -> None:
    with anyio.fail_after(30):
        while True:
            try:
                await storage.run(adding(unit_id), unit_id=unit_id)
            except ReadOnly:
                continue
            return


@pytest.mark.parametrize("level", LEVELS)
async def test_units_of_work(server: LocalPostgres, level: str) -> None:
    events: list[Event] = []
    async with storage_on(server, settings=LOCAL, events=events) as (storage, _):
        await asyncio.gather(*(storage.run(adding(f"{n}")) for n in range(4)))
        with maintenance(server, level):
            events.clear()
            ends = await asyncio.gather(
                *(storage.run(adding(f"x{n}")) for n in range(8)), return_exceptions=True
            )
            assert {type(end) for end in ends} == {ReadOnly}
            assert {(e.sqlstate, e.node) for e in ends if isinstance(e, ReadOnly)} == {
                ("25006", "db-a")
            }
            for _ in range(4):  # one after the other: no login more than what may serve them
                with pytest.raises(ReadOnly):
                    await storage.run(adding("y"))
            # All sessions were ended, which is one loss; after that nothing is given up.
            assert sum(isinstance(event, PrimaryLost) for event in events) <= 1
            assert not any(isinstance(event, CircuitOpened) for event in events)
            assert logins(events) <= 1 + 1 / LOOK_AGAIN_S
            assert (await storage.read(reads)).source == "primary"
        events.clear()
        await write_until_taken(storage, "after")
        assert logins(events) <= 2
        assert not any(isinstance(event, PrimaryLost) for event in events)
        events.clear()
        await asyncio.gather(*(storage.run(adding(f"z{n}")) for n in range(8)))
        assert logins(events) <= 4
    assert [entries(server, unit) for unit in ("x0", "y", "after", "z7")] == [0, 0, 1, 1]


async def test_a_unit_with_a_short_deadline_is_told_too(server: LocalPostgres) -> None:
    async with storage_on(server, settings=LOCAL) as (storage, _):
        with maintenance(server):
            with pytest.raises(ReadOnly):
                await storage.run(adding("a"))
            with pytest.raises(ReadOnly):
                await storage.run(adding("a"), deadline_s=LOOK_AGAIN_S / 2)
            with pytest.raises(ReadOnly):
                await storage.run(adding("a"), repeatable=False)


async def test_a_live_session_follows_the_system(server: LocalPostgres) -> None:
    """ALTER SYSTEM reaches sessions that are there already, and lets go of them again."""
    events: list[Event] = []
    async with storage_on(server, settings=LOCAL, events=events) as (storage, _):
        await storage.run(adding("a"))
        events.clear()
        administer(server, LEVELS["system"][0])

        async def is_told() -> bool:
            try:
                await storage.run(adding("b"))
            except ReadOnly:
                return True
            return False

        with anyio.fail_after(30):
            while not await is_told():
                pass
        administer(server, LEVELS["system"][1])
        await write_until_taken(storage, "c")
    assert logins(events) == 0
    assert not any(isinstance(event, PrimaryLost) for event in events)


async def test_a_session_that_a_function_spoilt_is_replaced(server: LocalPostgres) -> None:
    events: list[Event] = []

    async def spoils(transaction: Transaction) -> None:
        await transaction.execute("SET default_transaction_read_only = on")

    async with storage_on(server, settings=LOCAL, events=events) as (storage, _):
        await storage.run(spoils)
        await write_until_taken(storage, "a")
    assert entries(server, "a") == 1
    assert logins(events) == 2
    assert not any(isinstance(event, PrimaryLost) for event in events)


async def test_what_is_in_doubt_is_not_called_not_applied(server: LocalPostgres) -> None:
    """Its commit has lost its connection, and nobody can be asked before writes go on."""
    settings = StorageSettings(durability="quorum", sessions_max=4)
    server.set("synchronous_standby_names", "ANY 1 (nobody)")
    try:
        async with storage_on(server, settings=settings) as (storage, _):
            async with running(storage, adding("a"), deadline_s=6) as ends:
                await wait_backend(server, "wait_event = 'SyncRep'")
                with maintenance(server):
                    await wait_true(lambda: bool(ends))
            assert isinstance(ends[0], Unknown)
            server.set("synchronous_standby_names", STANDBYS)
            with maintenance(server), pytest.raises(Unknown):
                await storage.outcome("a", deadline_s=1)
            with anyio.fail_after(30):
                assert (await storage.outcome("a", deadline_s=30)).applied
    finally:
        server.set("synchronous_standby_names", "")


async def test_lent_connections_and_engines(server: LocalPostgres) -> None:
    events: list[Event] = []
    async with storage_on(server, settings=LOCAL, events=events) as (storage, _):
        engine = create_async_engine(storage, pool_size=4)
        async with storage.connection() as conn:
            await conn.execute("SELECT 1")
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
        with maintenance(server):
            before = sessions_made(server)
            for _ in range(3):
                with pytest.raises(ReadOnly, match="takes no writes"):
                    async with storage.connection():
                        pass
                with pytest.raises(ReadOnly, match="takes no writes"):
                    async with engine.connect():
                        pass
            assert sessions_made(server) - before <= 4
            assert sum(isinstance(event, PrimaryLost) for event in events) <= 1
        with anyio.fail_after(30):
            while True:
                try:
                    async with storage.connection() as conn:
                        await conn.execute("SELECT 1")
                    async with engine.begin() as connection:
                        await connection.execute(text("CREATE TEMP TABLE mine (n int)"))
                except ReadOnly:
                    continue
                break
        assert sum(isinstance(event, PrimaryLost) for event in events) <= 1
        await engine.dispose()


def sessions_made(server: LocalPostgres) -> int:
    return int(
        server.query("SELECT sessions FROM pg_stat_database WHERE datname = 'postgres'")[0][0]
    )


async def test_migrations_and_pruning(server: LocalPostgres) -> None:
    events: list[Event] = []
    create = Migration(id="one", statements=("CREATE TABLE IF NOT EXISTS made (n int)",))
    async with storage_on(server, credentials=ADMIN, settings=LOCAL, events=events) as (storage, _):
        await migrate(storage, [create], series="read-only", deadline_s=30)
        with maintenance(server):
            more = Migration(id="two", statements=("DROP TABLE made",))
            with pytest.raises(ReadOnly):
                await migrate(storage, [create, more], series="read-only", deadline_s=30)
            with pytest.raises(ReadOnly):
                await prune(storage, deadline_s=30)
        with anyio.fail_after(30):
            while True:
                try:
                    await migrate(storage, [create, more], series="read-only", deadline_s=30)
                except ReadOnly:
                    continue
                break
    assert sum(isinstance(event, PrimaryLost) for event in events) <= 1


def test_in_threads(own_server: LocalPostgres) -> None:
    create_tables(own_server)
    with (
        rest_apis(True) as (answers,),
        SyncStorage([answers.member(own_server)], SUPERUSER, settings=LOCAL) as storage,
    ):
        engine = create_engine(storage)
        with maintenance(own_server):
            with pytest.raises(ReadOnly):
                storage.run(lambda tx: tx.execute("INSERT INTO entry VALUES ('a', 1)"))
            with pytest.raises(ReadOnly), storage.connection():
                pass
            with pytest.raises(ReadOnly), engine.connect():
                pass
            count = storage.read(lambda tx: tx.execute("SELECT count(*) FROM entry").rows).value
            assert count == [(0,)]
        engine.dispose()


async def test_a_transaction_that_is_read_only_by_itself_is_no_maintenance(
    server: LocalPostgres,
) -> None:
    async def forbids_itself(transaction: Transaction) -> None:
        await transaction.execute("SET TRANSACTION READ ONLY")
        await adding("a")(transaction)

    async with storage_on(server, settings=LOCAL) as (storage, _):
        with pytest.raises(NotApplied) as caught:
            await storage.run(forbids_itself)
        assert not isinstance(caught.value, ReadOnly)
        assert (caught.value.sqlstate, caught.value.attempts) == ("25006", 1)
        assert isinstance(await storage.run(adding("b")), Applied)
