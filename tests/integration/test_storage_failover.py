"""A commit in doubt while a replica is promoted: the new primary gives the answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import LiteralString

import anyio
import pytest
from support.ledger_entries import Entry, add_entry, prepare
from support.local_postgres import (
    PASSWORD,
    SUPERUSER,
    LocalPostgres,
    local_postgres,
    replica_of,
)
from support.patroni_answers import Answers, rest_api
from support.wal_receiver import STANDBYS, wal_receiver

from replication import Applied, Credentials, Storage, Transaction
from replication.wire import Address, session_to

pytestmark = pytest.mark.anyio

CREDENTIALS = Credentials(user=SUPERUSER, password=PASSWORD, dbname="postgres")


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[LocalPostgres, LocalPostgres]]:
    """A primary and its replica, to be broken by one test."""
    with (
        local_postgres(tmp_path) as primary,
        replica_of(primary, tmp_path) as replica,
        wal_receiver(primary, tmp_path),
        wal_receiver(replica, tmp_path),
    ):
        yield primary, replica


@asynccontextmanager
async def storage_on(
    primary: LocalPostgres, replica: LocalPostgres
) -> AsyncIterator[tuple[Storage, Answers, Answers]]:
    address = Address(node=primary.name, host="127.0.0.1", port=primary.port)
    async with session_to(address, CREDENTIALS) as admin:
        await prepare(admin, role="bascule_app", password="app-password")
    async with rest_api(primary=True) as old, rest_api(primary=False) as new:
        members = [old.member(primary), new.member(replica)]
        for server in (primary, replica):
            server.set("synchronous_standby_names", STANDBYS)
        async with Storage(members, CREDENTIALS) as storage:
            yield storage, old, new


def adding(unit_id: str) -> Callable[[Transaction], Awaitable[None]]:
    async def unit_of_work(transaction: Transaction) -> None:
        await add_entry(transaction, Entry(id=unit_id, site="paris", worker=0, n=0))

    return unit_of_work


def promote(old: Answers, new: Answers, replica: LocalPostgres) -> None:
    assert replica.query("SELECT pg_promote(true, 20)") == [(True,)]
    old.status, new.status, new.timeline = 503, 200, 2


async def wait_rows(server: LocalPostgres, query: LiteralString, count: int) -> None:
    with anyio.fail_after(10):
        while len(server.query(query)) != count:
            await anyio.sleep(0.02)


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
        await anyio.to_thread.run_sync(promote, old, new, replica)
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
