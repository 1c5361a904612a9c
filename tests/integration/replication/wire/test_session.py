"""What one unit of work must never leave behind for the next, nor hide from its own caller."""

from __future__ import annotations

import anyio
import psycopg
import pytest
from support.postgres.ledger_units import (
    adding,
    entries,
    id_rows,
    prepare_ledger,
    setting,
    storage_on,
    wait_backend,
)
from support.postgres.local_postgres import LocalPostgres
from support.postgres.wal_receiver import no_standby

from replication import (
    AlreadyApplied,
    DeadlineExceeded,
    NotSynchronous,
    StorageSettings,
    Transaction,
)

pytestmark = pytest.mark.anyio

ONE = StorageSettings(sessions_max=1)
"""So that the next unit of work gets the session of the last one, if it is kept."""


@pytest.fixture
async def server(postgres_server: LocalPostgres) -> LocalPostgres:
    """The server with an empty ledger."""
    await prepare_ledger(postgres_server)
    return postgres_server


async def test_a_unit_that_fails_before_its_first_statement_leaves_no_open_transaction(
    server: LocalPostgres,
) -> None:
    async def changes_its_mind(_: Transaction) -> None:
        raise LookupError

    async with storage_on(server, settings=ONE) as (storage, _):
        for repeatable in (True, False):
            with pytest.raises(LookupError):
                await storage.run(
                    changes_its_mind, unit_id="a", deadline_s=20, repeatable=repeatable
                )
            await storage.run(adding(f"b-{repeatable}"), deadline_s=20)
        assert id_rows(server, "a") == []
        await storage.run(adding("a"), unit_id="a", deadline_s=20)
    assert entries(server, "a") == 1


async def test_a_unit_that_is_cut_short_before_its_first_statement_is_not_committed_by_the_next(
    server: LocalPostgres,
) -> None:
    async def sleeps(_: Transaction) -> None:
        await anyio.sleep_forever()

    async with storage_on(server, settings=ONE) as (storage, _):
        with pytest.raises(DeadlineExceeded):
            await storage.run(sleeps, unit_id="a", deadline_s=1, repeatable=False)
        await storage.run(adding("b"), unit_id="b", deadline_s=20)
        assert id_rows(server, "a") == []
        await storage.run(adding("a"), unit_id="a", deadline_s=20)
    assert entries(server, "a") == 1


async def test_a_unit_without_statements_is_refused_without_a_standby_and_leaves_nothing(
    server: LocalPostgres,
) -> None:
    async def nothing(_: Transaction) -> None:
        return None

    async with storage_on(server, settings=ONE) as (storage, _):
        with setting(server, "synchronous_standby_names", ""), pytest.raises(NotSynchronous):
            await storage.run(nothing, unit_id="a", deadline_s=20)
        await storage.run(adding("b"), unit_id="b", deadline_s=20)
        assert id_rows(server, "a") == []


async def test_swallowing_a_duplicate_key_does_not_hide_that_the_id_was_used(
    server: LocalPostgres,
) -> None:
    async def upserts(transaction: Transaction) -> None:
        with pytest.raises(psycopg.errors.UniqueViolation):
            await adding("a")(transaction)

    async with storage_on(server) as (storage, _):
        await storage.run(adding("a"), unit_id="a", deadline_s=20)
        with pytest.raises(AlreadyApplied):
            await storage.run(upserts, unit_id="a", deadline_s=20)
    assert entries(server, "a") == 1


@pytest.mark.parametrize("how", ["SET LOCAL", "SET SESSION"])
@pytest.mark.parametrize("name", ["synchronous_commit = off", "client_min_messages = error"])
async def test_a_function_cannot_weaken_its_durability(
    server: LocalPostgres, how: str, name: str
) -> None:
    """A cancelled wait for the standby, or none at all, is not ok, whatever the function set."""

    async def careless(transaction: Transaction) -> None:
        await transaction.execute(psycopg.sql.SQL(f"{how} {name}"))
        await adding("a")(transaction)

    async with storage_on(server, settings=ONE) as (storage, _), anyio.create_task_group() as group:
        ended: list[bool] = []

        async def write() -> None:
            applied = await storage.run(careless, unit_id="a", deadline_s=30)
            ended.append(applied.resolved)

        with no_standby(server):
            group.start_soon(write)
            pid = await wait_backend(server, "wait_event = 'SyncRep'")
            ended_at = server.query("SELECT clock_timestamp()::text")[0][0]
            server.query("SELECT pg_cancel_backend(%s)", (pid,))
            await wait_backend(server, f"wait_event = 'SyncRep' AND xact_start > '{ended_at}'")
            assert not ended
    assert ended == [True]
    assert entries(server, "a") == 1
