"""A commit in doubt while a replica is promoted: the new primary gives the answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from support.postgres.ledger_entries import Entry, add_entry, prepare
from support.postgres.local_postgres import PASSWORD, SUPERUSER, LocalPostgres
from support.postgres.patroni_answers import Answers, rest_api
from support.postgres.server_pair import promote, server_pair, wait_rows

from replication import Applied, Credentials, Storage, Transaction
from replication.observability.events import Event, PrimaryLost
from replication.wire import Address, session_to

pytestmark = pytest.mark.anyio

CREDENTIALS = Credentials(user=SUPERUSER, password=PASSWORD, dbname="postgres")


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[LocalPostgres, LocalPostgres]]:
    """A primary and its replica, to be broken by one test."""
    with server_pair(tmp_path) as servers:
        yield servers


@asynccontextmanager
async def storage_on(
    primary: LocalPostgres, replica: LocalPostgres
) -> AsyncIterator[tuple[Storage, Answers, Answers]]:
    address = Address(node=primary.name, host="127.0.0.1", port=primary.port)
    async with session_to(address, CREDENTIALS) as admin:
        await prepare(admin, role="bascule_app", password="app-password")
    async with rest_api(primary=True) as old, rest_api(primary=False) as new:
        members = [old.member(primary), new.member(replica)]
        async with Storage(members, CREDENTIALS) as storage:
            yield storage, old, new


def adding(unit_id: str) -> Callable[[Transaction], Awaitable[None]]:
    async def unit_of_work(transaction: Transaction) -> None:
        await add_entry(transaction, Entry(id=unit_id, site="paris", worker=0, n=0))

    return unit_of_work


async def write_through_a_failover(
    pair: tuple[LocalPostgres, LocalPostgres], *, replicated: bool
) -> Applied[None]:
    """A commit that waits for ever on the old primary, which lives on, and a promotion."""
    primary, replica = pair
    results: list[Applied[None]] = []
    async with (
        storage_on(primary, replica) as (storage, old, new),
        anyio.create_task_group() as group,
    ):
        await storage.run(adding("first"), unit_id="first", deadline_s=5)
        await wait_rows(replica, "SELECT 1 FROM pg_class WHERE relname = 'ledger'", 1)
        await wait_rows(replica, "SELECT 1 FROM bascule.ledger", 1)
        if not replicated:
            replica.set("primary_conninfo", "")
            await wait_rows(replica, "SELECT 1 FROM pg_stat_wal_receiver", 0)
        primary.set("synchronous_standby_names", "ANY 1 (nobody)")

        async def write() -> None:
            results.append(await storage.run(adding("a"), unit_id="a", deadline_s=20))

        group.start_soon(write)
        await wait_rows(primary, "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'", 1)
        if replicated:
            await wait_rows(replica, "SELECT 1 FROM bascule.ledger", 2)
        await anyio.to_thread.run_sync(promote, replica, old, new)
    assert replica.query("SELECT count(*) FROM bascule.ledger WHERE id = 'a'") == [(1,)]
    return results[0]


async def test_a_commit_that_was_replicated_is_applied(
    pair: tuple[LocalPostgres, LocalPostgres],
) -> None:
    applied = await write_through_a_failover(pair, replicated=True)
    assert applied.resolved
    assert (applied.node, applied.timeline, applied.attempts) == ("db-a", 1, 1)


async def test_a_commit_that_was_not_replicated_is_void_and_done_again(
    pair: tuple[LocalPostgres, LocalPostgres],
) -> None:
    applied = await write_through_a_failover(pair, replicated=False)
    assert not applied.resolved
    assert (applied.node, applied.timeline, applied.attempts) == ("db-b", 2, 2)
    rows = pair[1].query("SELECT attempt, state FROM bascule.unit_of_work WHERE id = 'a'")
    assert sorted(rows) == [(1, "void"), (2, "applied")]


async def test_a_promotion_that_has_the_leader_key_is_waited_for(
    pair: tuple[LocalPostgres, LocalPostgres],
) -> None:
    """Patroni calls a member the primary as soon as it has the key, before its server is one. The
    member is not given up for that: the host that was lost could not contradict it anyway."""
    primary, replica = pair
    events: list[Event] = []
    async with (
        storage_on(primary, replica) as (storage, old, new),
        anyio.create_task_group() as group,
    ):
        await storage.run(adding("first"), unit_id="first", deadline_s=5)
        await wait_rows(replica, "SELECT 1 FROM pg_class WHERE relname = 'ledger'", 1)
        await wait_rows(replica, "SELECT 1 FROM bascule.ledger", 1)
        storage.observe(events.append)
        old.silent, new.status = True, 200
        await anyio.to_thread.run_sync(primary.stop)

        async def write() -> None:
            await storage.run(adding("a"), unit_id="a", deadline_s=20)

        group.start_soon(write)
        ours = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'bascule'"
        await wait_rows(replica, ours, 1)
        await anyio.to_thread.run_sync(promote, replica, old, new)
    assert replica.query("SELECT count(*) FROM bascule.ledger WHERE id = 'a'") == [(1,)]
    assert [event.node for event in events if isinstance(event, PrimaryLost)] == ["db-a"]
