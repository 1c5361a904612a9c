"""psycopg connections on loan: as ``psycopg_pool`` lends them, never to the wrong server, and
honest about commits in doubt."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import LiteralString

import anyio
import psycopg
import pytest
from psycopg.rows import dict_row
from support.postgres.local_postgres import LocalPostgres
from support.postgres.synchronous import (
    CREDENTIALS,
    create_tables,
    end_sleepers,
    rest_apis,
    sync_storage_on,
    two_servers,
    wait_rows,
    wait_until,
)
from support.postgres.wal_receiver import no_standby

from replication import (
    CommitInDoubt,
    NoPrimary,
    PoolExhausted,
    Storage,
    StorageSettings,
    SyncStorage,
)
from replication.wire import RolledBack

BLOCKED: LiteralString = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
BACKENDS: LiteralString = "SELECT pid FROM pg_stat_activity WHERE application_name = 'bascule'"


@pytest.fixture
def server(postgres_server: LocalPostgres) -> LocalPostgres:
    end_sleepers(postgres_server)
    create_tables(postgres_server)
    return postgres_server


@pytest.fixture
async def storage(server: LocalPostgres) -> AsyncIterator[Storage]:
    with rest_apis(True) as (answers,):
        async with Storage([answers.member(server)], CREDENTIALS) as storage:
            yield storage


@pytest.fixture
def sync_storage(server: LocalPostgres) -> Iterator[SyncStorage]:
    with sync_storage_on(server) as storage:
        yield storage


def entries(server: LocalPostgres) -> list[str]:
    return [row[0] for row in server.query("SELECT id FROM entry ORDER BY id")]


@pytest.mark.anyio
async def test_a_block_commits_or_rolls_back(storage: Storage, server: LocalPostgres) -> None:
    async with storage.connection() as connection:
        await connection.execute("INSERT INTO entry VALUES ('a', 1)")
        await connection.commit()
        await connection.execute("INSERT INTO entry VALUES ('b', 1)")

    async def fail() -> None:
        async with storage.connection() as connection:
            await connection.execute("INSERT INTO entry VALUES ('c', 1)")
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await fail()
    async with storage.connection() as connection, connection.transaction():
        await connection.execute("INSERT INTO entry VALUES ('d', 1)")
        async with connection.pipeline():
            await connection.execute("INSERT INTO entry VALUES ('e', 1)")
            await connection.execute("INSERT INTO entry VALUES ('f', 1)")
        async with connection.cursor().copy("COPY entry FROM STDIN") as copy:
            await copy.write_row(("g", 1))
    with pytest.raises(psycopg.OperationalError, match="closed"):
        await connection.execute("SELECT 1")
    assert entries(server) == ["a", "b", "d", "e", "f", "g"]
    assert len(server.query(BACKENDS)) == 1


@pytest.mark.anyio
async def test_what_a_borrower_does_to_it_stays_with_them(
    storage: Storage, server: LocalPostgres
) -> None:
    """Units of work rely on ``client_min_messages`` and ``synchronous_commit``."""
    async with storage.connection() as connection:
        await connection.set_autocommit(True)
        connection.row_factory = dict_row  # type: ignore[assignment]
        await connection.execute("SET client_min_messages = error")
        await connection.execute("SET synchronous_commit = off")
        await connection.execute("CREATE TEMPORARY TABLE mine (id text)")
        connection.prepare_threshold = 0
        await connection.execute("SELECT count(*) FROM entry")
        await connection.execute("DEALLOCATE ALL")
    for _ in range(7):  # enough for psycopg to prepare what it sends
        await storage.run(lambda tx: tx.execute("SELECT count(*) FROM entry"))
        async with storage.connection() as connection:
            await connection.execute("SELECT count(*) FROM entry")
    async with storage.connection() as connection:
        row = await connection.execute(
            "SELECT current_setting('client_min_messages'), current_setting('synchronous_commit'),"
            " to_regclass('mine')"
        )
        assert await row.fetchone() == ("warning", "on", None)
    await storage.run(lambda tx: tx.execute("INSERT INTO entry VALUES ('a', 1)"))
    assert entries(server) == ["a"]
    assert len(server.query(BACKENDS)) == 1


@pytest.mark.anyio
async def test_a_swallowed_error_is_not_a_commit(storage: Storage, server: LocalPostgres) -> None:
    async def swallow() -> None:
        async with storage.connection() as connection:
            await connection.execute("INSERT INTO entry VALUES ('a', 1)")
            with suppress(psycopg.errors.UndefinedTable):
                await connection.execute("SELECT * FROM nothing")

    with pytest.raises(RolledBack):
        await swallow()
    assert entries(server) == []


@pytest.mark.anyio
@pytest.mark.parametrize("way", ["block", "transaction", "autocommit"])
async def test_a_cancelled_synchronous_wait_is_in_doubt(
    storage: Storage, server: LocalPostgres, way: str
) -> None:
    async def cancel() -> None:
        await anyio.to_thread.run_sync(wait_rows, server, BLOCKED)
        server.query(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        )

    async def write() -> None:
        async with storage.connection() as connection:
            if way == "autocommit":
                await connection.set_autocommit(True)
            if way == "transaction":
                async with connection.transaction():
                    await connection.execute("INSERT INTO entry VALUES ('a', 1)")
            else:
                await connection.execute("INSERT INTO entry VALUES ('a', 1)")

    with no_standby(server):
        async with anyio.create_task_group() as group:
            group.start_soon(cancel)
            with pytest.raises(CommitInDoubt) as error:
                await write()
    assert (error.value.node, error.value.unit_id) == ("db-a", None)


@pytest.mark.anyio
async def test_a_commit_whose_connection_is_lost_is_in_doubt(
    storage: Storage, server: LocalPostgres
) -> None:
    async def end() -> None:
        await anyio.to_thread.run_sync(wait_rows, server, BLOCKED)
        server.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        )

    async def write() -> None:
        async with storage.connection() as connection:
            await connection.execute("INSERT INTO entry VALUES ('a', 1)")

    with no_standby(server):
        async with anyio.create_task_group() as group:
            group.start_soon(end)
            with pytest.raises(CommitInDoubt):
                await write()
    await storage.run(lambda tx: tx.execute("INSERT INTO entry VALUES ('b', 1)"))


def test_in_threads(sync_storage: SyncStorage, server: LocalPostgres) -> None:
    def write(n: int) -> None:
        with sync_storage.connection() as connection:
            connection.execute("INSERT INTO entry VALUES (%s, %s)", (str(n), n))

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(write, range(60)))

    def fail() -> None:
        with sync_storage.connection() as connection:
            connection.execute("INSERT INTO entry VALUES ('never', 1)")
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        fail()
    with sync_storage.connection() as connection, connection.transaction():
        connection.execute("INSERT INTO entry VALUES ('last', 1)")
    assert len(entries(server)) == 61
    assert "never" not in entries(server)


def test_all_lent(server: LocalPostgres) -> None:
    with (
        rest_apis(True) as (answers,),
        SyncStorage(
            [answers.member(server)], CREDENTIALS, settings=StorageSettings(sessions_max=1)
        ) as storage,
    ):
        with (
            storage.connection(),
            pytest.raises(PoolExhausted),
            storage.connection(deadline_s=0.2),
        ):
            pass
        with storage.connection(deadline_s=10) as connection:
            connection.execute("INSERT INTO entry VALUES ('a', 1)")
    assert entries(server) == ["a"]


def test_a_connection_is_cut_when_another_member_is_the_primary(tmp_path: Path) -> None:
    """The old primary lives, and would take writes; whoever is connected to it is cut at once, be
    it idle in a transaction or waiting for a statement."""
    with two_servers(tmp_path) as pair, SyncStorage(pair.members, CREDENTIALS) as storage:

        def wait_for_ever() -> None:
            with storage.connection() as connection:
                connection.execute("SELECT pg_sleep(60)")

        def idle_in_transaction() -> None:
            with storage.connection() as connection:
                connection.execute("INSERT INTO entry VALUES ('old', 1)")
                pair.promote()
                wait_until(lambda: storage.primary == "db-b")

        with ThreadPoolExecutor(1) as thread:
            waiting = thread.submit(wait_for_ever)
            wait_rows(pair.old, "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
            with pytest.raises(psycopg.OperationalError):
                idle_in_transaction()
            with pytest.raises(psycopg.OperationalError):
                waiting.result()
        with storage.connection() as connection:
            connection.execute("INSERT INTO entry VALUES ('new', 1)")
        assert pair.entries(pair.new) == ["new"]
        assert pair.entries(pair.old) == []


def test_a_stale_primary_is_never_handed_out(tmp_path: Path) -> None:
    """Its Patroni still calls it the primary, it takes writes, and an idle session to it is at
    hand: its timeline gives it away."""
    with two_servers(tmp_path) as pair, SyncStorage(pair.members, CREDENTIALS) as storage:
        with storage.connection() as connection:
            assert connection.info.port == pair.old.port
        pair.promote()
        pair.old_answers.status = 200
        wait_until(lambda: storage.primary == "db-b")
        with storage.connection() as connection:
            assert connection.info.port == pair.new.port
        pair.new_answers.silent = True
        pair.new.stop()
        with pytest.raises(NoPrimary), storage.connection(deadline_s=3):
            pass
