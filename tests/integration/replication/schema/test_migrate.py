"""Migrations against a real PostgreSQL: applied once, whoever ends what in the middle."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import LiteralString

import anyio
import psycopg
import pytest
from support.postgres.bulk_ground import ADMIN, address_of
from support.postgres.local_postgres import PASSWORD, LocalPostgres
from support.postgres.patroni_answers import rest_api
from support.postgres.server_pair import promote, say_promoted, server_pair, wait_rows
from support.postgres.wal_receiver import no_standby

from replication import Storage, Transaction
from replication.schema import (
    Migrated,
    Migration,
    MigrationChanged,
    MigrationFailed,
    MigrationLate,
    MigrationUnknown,
    migrate,
)
from replication.schema import ledger as ledger_module
from replication.wire import session_to

pytestmark = pytest.mark.anyio

DEADLINE_S = 60.0

FIRST = Migration(
    id="1-ward",
    # Not idempotent on purpose: applied twice it would fail, or leave two rows.
    statements=("CREATE TABLE eds.ward (name text)", "INSERT INTO eds.ward VALUES ('a 100 %')"),
)
SECOND = Migration(id="2-beds", statements=("ALTER TABLE eds.ward ADD beds integer",))
BOTH = (FIRST, SECOND)


async def _third(transaction: Transaction) -> None:
    await transaction.execute("UPDATE eds.ward SET beds = 12 WHERE name = %s", ("a 100 %",))


THIRD = Migration(id="3-count", function=_third, version="1")


@pytest.fixture
def server(postgres_server: LocalPostgres) -> LocalPostgres:
    """The server without a schema of ours."""
    lay(postgres_server)
    return postgres_server


def lay(server: LocalPostgres) -> None:
    server.query("DROP SCHEMA IF EXISTS bascule CASCADE")
    server.query("DROP SCHEMA IF EXISTS eds CASCADE")
    server.query("CREATE SCHEMA eds")


@asynccontextmanager
async def storage_on(server: LocalPostgres) -> AsyncIterator[Storage]:
    async with (
        rest_api(primary=True) as answers,
        Storage([answers.member(server)], ADMIN) as storage,
    ):
        yield storage


def ledger(server: LocalPostgres) -> list[tuple[object, ...]]:
    return server.query("SELECT series, id, number FROM bascule.migration ORDER BY number")


async def wait_backend(server: LocalPostgres, condition: LiteralString) -> int:
    query = psycopg.sql.SQL(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'bascule' AND {} LIMIT 1"
    ).format(psycopg.sql.SQL(condition))
    with anyio.fail_after(30):
        while not (found := await anyio.to_thread.run_sync(server.query, query)):
            await anyio.sleep(0.02)
    pid: int = found[0][0]
    return pid


async def test_in_order_and_once(server: LocalPostgres) -> None:
    async with storage_on(server) as storage:
        first = await migrate(storage, BOTH, deadline_s=DEADLINE_S)
        again = await migrate(storage, BOTH, deadline_s=DEADLINE_S)
        third = await migrate(storage, (*BOTH, THIRD), deadline_s=DEADLINE_S)
        old = await migrate(storage, BOTH, deadline_s=DEADLINE_S)  # an older version of the app
    assert (first.applied, again.applied) == (("1-ward", "2-beds"), ())
    assert (third.applied, old.applied) == (("3-count",), ())
    assert server.query("SELECT name, beds FROM eds.ward") == [("a 100 %", 12)]
    assert ledger(server) == [("app", "1-ward", 1), ("app", "2-beds", 2), ("app", "3-count", 3)]


async def test_series_have_nothing_to_do_with_each_other(server: LocalPostgres) -> None:
    other = Migration(id="1-ward", statements=("CREATE TABLE eds.other ()",))
    async with storage_on(server) as storage:
        await migrate(storage, [FIRST], deadline_s=DEADLINE_S)
        await migrate(storage, [other], series="other", deadline_s=DEADLINE_S)
    assert ledger(server) == [("app", "1-ward", 1), ("other", "1-ward", 1)]


async def test_on_a_bare_session(server: LocalPostgres) -> None:
    async with session_to(address_of(server), ADMIN) as session:
        assert (await migrate(session, BOTH, deadline_s=DEADLINE_S)).applied == ("1-ward", "2-beds")
        assert (await migrate(session, BOTH, deadline_s=DEADLINE_S)).applied == ()


async def test_what_was_applied_must_not_change(server: LocalPostgres) -> None:
    changed = Migration(id="1-ward", statements=("CREATE TABLE eds.ward (name varchar)",))
    between = Migration(id="1b", statements=("SELECT 1",))
    async with storage_on(server) as storage:
        await migrate(storage, BOTH, deadline_s=DEADLINE_S)
        with pytest.raises(MigrationChanged, match="1-ward was applied with another content"):
            await migrate(storage, [changed, SECOND], deadline_s=DEADLINE_S)
        with pytest.raises(MigrationChanged, match="1b comes before 2-beds"):
            await migrate(storage, [FIRST, between, SECOND], deadline_s=DEADLINE_S)
    assert [row[1] for row in ledger(server)] == ["1-ward", "2-beds"]


async def test_a_mistake_is_said_and_leaves_nothing_of_its_migration(
    server: LocalPostgres,
) -> None:
    wrong = Migration(id="2-wrong", statements=("CREATE TABLE eds.x ()", "SELECT nonsense"))
    async with storage_on(server) as storage:
        with pytest.raises(MigrationFailed, match="statement 2 of app/2-wrong") as caught:
            await migrate(storage, [FIRST, wrong], deadline_s=DEADLINE_S)
        assert (caught.value.statement, caught.value.sqlstate) == (2, "42703")
        assert [row[1] for row in ledger(server)] == ["1-ward"]
        assert server.query("SELECT to_regclass('eds.x')") == [(None,)]
        assert (await migrate(storage, BOTH, deadline_s=DEADLINE_S)).applied == ("2-beds",)


@pytest.mark.parametrize(
    "statement",
    ["CREATE INDEX CONCURRENTLY ON eds.ward (name)", "VACUUM eds.ward"],
)
async def test_what_cannot_run_in_a_transaction_is_refused_with_the_remedy(
    server: LocalPostgres, statement: LiteralString
) -> None:
    index = Migration(id="2-index", statements=(statement,))
    async with storage_on(server) as storage:
        with pytest.raises(MigrationFailed, match="Run this statement by itself") as caught:
            await migrate(storage, [FIRST, index], deadline_s=DEADLINE_S)
    assert caught.value.sqlstate == "25001"


async def test_no_commit_hides_behind_a_semicolon(server: LocalPostgres) -> None:
    two = Migration(id="1-two", statements=("CREATE TABLE eds.x (); COMMIT",))
    async with storage_on(server) as storage:
        with pytest.raises(MigrationFailed, match="multiple commands"):
            await migrate(storage, [two], deadline_s=DEADLINE_S)
    assert server.query("SELECT to_regclass('eds.x')") == [(None,)]


async def test_an_error_of_a_function_comes_through(server: LocalPostgres) -> None:
    async def fails(transaction: Transaction) -> None:
        await transaction.execute("CREATE TABLE eds.x ()")
        raise LookupError("no such ward")

    async with storage_on(server) as storage:
        with pytest.raises(LookupError, match="no such ward"):
            await migrate(
                storage,
                [Migration(id="1-fails", function=fails, version="1")],
                deadline_s=DEADLINE_S,
            )
    assert server.query("SELECT to_regclass('eds.x')") == [(None,)]


async def test_several_at_once_wait_for_each_other(server: LocalPostgres) -> None:
    done: list[Migrated] = []

    async def run() -> None:
        async with storage_on(server) as storage:
            done.append(await migrate(storage, BOTH, deadline_s=DEADLINE_S))

    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(run)
    assert sorted(id_ for migrated in done for id_ in migrated.applied) == ["1-ward", "2-beds"]
    assert server.query("SELECT count(*) FROM eds.ward") == [(1,)]


async def test_nobody_queues_behind_a_migration_that_waits_for_a_lock(
    server: LocalPostgres,
) -> None:
    """A long transaction holds the table; the migration lets go of its place in the queue."""
    done: list[Migrated] = []
    async with storage_on(server) as storage, anyio.create_task_group() as group:
        await migrate(storage, [FIRST], deadline_s=DEADLINE_S)

        async def run() -> None:
            done.append(await migrate(storage, BOTH, deadline_s=DEADLINE_S, lock_timeout_s=0.2))

        with psycopg.connect(server.conninfo(password=PASSWORD)) as long:
            long.execute("SELECT * FROM eds.ward")
            group.start_soon(run)
            await wait_backend(server, "wait_event_type = 'Lock'")
            # Would wait behind the ALTER TABLE for ever, if that waited for ever.
            read = "SELECT count(*) FROM eds.ward"
            assert await anyio.to_thread.run_sync(server.query, read) == [(1,)]
            assert not done
    assert done[0].applied == ("2-beds",)


async def test_a_lock_that_is_never_free_ends_at_the_deadline(server: LocalPostgres) -> None:
    async with storage_on(server) as storage:
        await migrate(storage, [FIRST], deadline_s=DEADLINE_S)
        with psycopg.connect(server.conninfo(password=PASSWORD)) as long:
            long.execute("SELECT * FROM eds.ward")
            with pytest.raises(MigrationLate, match="app/2-beds was not applied") as caught:
                await migrate(storage, BOTH, deadline_s=1, lock_timeout_s=0.1)
    assert caught.value.sqlstate == "55P03"
    assert [row[1] for row in ledger(server)] == ["1-ward"]


@pytest.mark.parametrize("end", ["pg_cancel_backend", "pg_terminate_backend"])
async def test_a_commit_in_doubt_is_resolved(server: LocalPostgres, end: LiteralString) -> None:
    done: list[Migrated] = []
    async with storage_on(server) as storage, anyio.create_task_group() as group:
        await migrate(storage, [FIRST], deadline_s=DEADLINE_S)

        async def run() -> None:
            done.append(await migrate(storage, BOTH, deadline_s=DEADLINE_S))

        with no_standby(server):
            group.start_soon(run)
            pid = await wait_backend(server, "wait_event = 'SyncRep'")
            server.query(psycopg.sql.SQL("SELECT {}(%s)").format(psycopg.sql.SQL(end)), (pid,))
            # What asks is a commit too. It sees the row here, and does not believe it yet.
            await wait_backend(
                server,
                "wait_event = 'SyncRep' AND query = 'COMMIT' AND xact_start > (SELECT applied_at"
                " FROM bascule.migration WHERE id = '2-beds')",
            )
            assert not done
    assert done[0].applied == ("2-beds",)
    assert server.query("SELECT asked FROM bascule.migration WHERE id = '2-beds'") == [(1,)]


async def test_a_doubt_that_outlives_the_deadline_is_unknown(server: LocalPostgres) -> None:
    async with storage_on(server) as storage:
        await migrate(storage, [FIRST], deadline_s=DEADLINE_S)
        with no_standby(server):
            with pytest.raises(MigrationUnknown, match="app/2-beds"):
                await migrate(storage, BOTH, deadline_s=1)
            # Not even what is visible here is said to be applied.
            with pytest.raises((MigrationUnknown, MigrationLate)):
                await migrate(storage, BOTH, deadline_s=1)
        assert (await migrate(storage, BOTH, deadline_s=DEADLINE_S)).applied == ()


async def test_a_backend_that_ends_in_the_middle(server: LocalPostgres) -> None:
    pids: list[int] = []

    async def ended_once(transaction: Transaction) -> None:
        await transaction.execute("CREATE TABLE eds.x ()")
        pids.append((await transaction.execute("SELECT pg_backend_pid()")).rows[0][0])
        if len(pids) == 1:
            server.query("SELECT pg_terminate_backend(%s, 10000)", (pids[0],))
            await transaction.execute("SELECT 1")

    async with storage_on(server) as storage:
        migrated = await migrate(
            storage,
            [Migration(id="1-x", function=ended_once, version="1")],
            deadline_s=DEADLINE_S,
        )
    assert migrated.applied == ("1-x",)
    assert len(pids) == 2


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[LocalPostgres, LocalPostgres]]:
    """A primary and its replica, to be broken by one test."""
    with server_pair(tmp_path) as servers:
        yield servers


@pytest.mark.parametrize("replicated", [True, False])
async def test_through_a_failover_once(
    pair: tuple[LocalPostgres, LocalPostgres], replicated: bool
) -> None:
    """The primary dies while a migration's COMMIT waits for its standby."""
    primary, replica = pair
    lay(primary)
    done: list[Migrated] = []
    async with (
        rest_api(primary=True) as old,
        rest_api(primary=False) as new,
        Storage([old.member(primary), new.member(replica)], ADMIN) as storage,
        anyio.create_task_group() as group,
    ):
        await migrate(storage, [FIRST], deadline_s=DEADLINE_S)
        await wait_rows(replica, "SELECT 1 FROM pg_class WHERE relname = 'migration'", 1)
        await wait_rows(replica, "SELECT 1 FROM bascule.migration", 1)
        if not replicated:
            replica.set("primary_conninfo", "")
            await wait_rows(replica, "SELECT 1 FROM pg_stat_wal_receiver", 0)
        primary.set("synchronous_standby_names", "ANY 1 (nobody)")

        async def run() -> None:
            done.append(await migrate(storage, (*BOTH, THIRD), deadline_s=DEADLINE_S))

        group.start_soon(run)
        await wait_backend(primary, "wait_event = 'SyncRep'")
        if replicated:
            await wait_rows(replica, "SELECT 1 FROM bascule.migration", 2)
        primary.stop()
        await anyio.to_thread.run_sync(promote, replica, old, new)
    assert done[0].applied == ("2-beds", "3-count")
    assert replica.query("SELECT name, beds FROM eds.ward") == [("a 100 %", 12)]
    asked = replica.query("SELECT asked FROM bascule.migration WHERE id = '2-beds'")
    assert asked == [(1 if replicated else 0,)]


@pytest.mark.parametrize("is_same", [True, False])
async def test_a_migration_that_another_process_applied_after_ours_was_lost(
    pair: tuple[LocalPostgres, LocalPostgres], is_same: bool
) -> None:
    """Its row is there, and it is not ours: it is not among those that this call applied."""
    primary, replica = pair
    lay(primary)
    ends: list[Migrated | MigrationChanged] = []
    other = Migration(id="2-beds", statements=("ALTER TABLE eds.ward ADD beds bigint",))
    async with (
        rest_api(primary=True) as old,
        rest_api(primary=False) as new,
        Storage([old.member(primary), new.member(replica)], ADMIN) as storage,
        anyio.create_task_group() as group,
    ):
        await migrate(storage, [FIRST], deadline_s=DEADLINE_S)
        await wait_rows(replica, "SELECT 1 FROM pg_class WHERE relname = 'migration'", 1)
        await wait_rows(replica, "SELECT 1 FROM bascule.migration", 1)
        replica.set("primary_conninfo", "")
        await wait_rows(replica, "SELECT 1 FROM pg_stat_wal_receiver", 0)
        primary.set("synchronous_standby_names", "ANY 1 (nobody)")

        async def run() -> None:
            try:
                ends.append(await migrate(storage, BOTH, deadline_s=DEADLINE_S))
            except MigrationChanged as changed:
                ends.append(changed)

        group.start_soon(run)
        await wait_backend(primary, "wait_event = 'SyncRep'")
        await anyio.to_thread.run_sync(replica.query, "SELECT pg_promote(true, 30)")
        async with storage_on(replica) as another:
            theirs = await migrate(
                another, [FIRST, SECOND if is_same else other], deadline_s=DEADLINE_S
            )
        say_promoted(old, new)
    (end,) = ends
    assert theirs.applied == ("2-beds",)
    if is_same:
        assert isinstance(end, Migrated)
        assert end.applied == ()
    else:
        assert isinstance(end, MigrationChanged)
    assert [row[1] for row in ledger(replica)] == ["1-ward", "2-beds"]


async def test_a_ledger_of_an_earlier_version_gets_its_column_beside_others(
    server: LocalPostgres,
) -> None:
    """Those of this version who come at once, and one of the earlier version before and after."""
    server.query("CREATE SCHEMA bascule")
    for statement in ledger_module.LEDGER_STATEMENTS:
        server.query(psycopg.sql.SQL(statement))
    server.query("ALTER TABLE bascule.migration DROP COLUMN attempt_key")
    old_insert: LiteralString = (
        "INSERT INTO bascule.migration (series, id, number, digest) VALUES (%s, %s, %s, %s)"
    )
    server.query("CREATE TABLE eds.ward (name text)")
    server.query(old_insert, ("app", "1-ward", 1, FIRST.digest))
    done: list[Migrated] = []

    async def run() -> None:
        async with storage_on(server) as storage:
            done.append(await migrate(storage, BOTH, deadline_s=DEADLINE_S))

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(run)
    assert [migrated.applied for migrated in done if migrated.applied] == [("2-beds",)]
    server.query(old_insert, ("app", "3-later", 3, "of the earlier version"))
    assert server.query(
        "SELECT id, attempt_key IS NOT NULL FROM bascule.migration ORDER BY number"
    ) == [("1-ward", False), ("2-beds", True), ("3-later", False)]
    async with storage_on(server) as storage:
        assert (await migrate(storage, BOTH, deadline_s=DEADLINE_S)).applied == ()
