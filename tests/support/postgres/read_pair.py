"""A primary (paris) and its replica (orsay), as a storage with a promise to keep reads them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import anyio
import anyio.to_thread
from psycopg import sql
from support.postgres.ledger_entries import Entry, add_entry, prepare
from support.postgres.local_postgres import PASSWORD, SUPERUSER, LocalPostgres
from support.postgres.patroni_answers import Answers, rest_api

from replication import Applied, Credentials, Storage, StorageSettings, Transaction
from replication.wire import session_to

CREDENTIALS = Credentials(user=SUPERUSER, password=PASSWORD, dbname="postgres")
SETTINGS = StorageSettings(durability="local", prefer_site="orsay")
GENEROUS_S = 30.0


@dataclass(frozen=True, kw_only=True)
class Pair:
    """What a test speaks to."""

    storage: Storage
    primary: LocalPostgres
    replica: LocalPostgres
    first: Answers
    second: Answers

    async def add(self, unit_id: str) -> Applied[None]:
        return await self.storage.run(adding(unit_id), unit_id=unit_id, deadline_s=GENEROUS_S)

    async def promote(self) -> None:
        """The replica becomes the primary, and says so; the old one no longer does."""
        end = await anyio.to_thread.run_sync(
            self.replica.query, "SELECT pg_last_wal_replay_lsn() - '0/0'"
        )
        assert await anyio.to_thread.run_sync(
            self.replica.query, "SELECT pg_promote(true, 30)"
        ) == [(True,)]
        self.second.history = [[1, int(end[0][0]), "no recovery target specified"]]
        self.first.status, self.second.status, self.second.timeline = 503, 200, 2
        with anyio.fail_after(GENEROUS_S):
            while self.storage.primary != self.replica.name:
                await anyio.sleep(0.02)


def adding(unit_id: str) -> Callable[[Transaction], Awaitable[None]]:
    async def unit_of_work(transaction: Transaction) -> None:
        await add_entry(transaction, Entry(id=unit_id, site="paris", worker=0, n=0))

    return unit_of_work


async def ids(transaction: Transaction) -> set[str]:
    return {row[0] for row in (await transaction.execute("SELECT id FROM bascule.ledger")).rows}


@asynccontextmanager
async def storage_on(pair: tuple[LocalPostgres, LocalPostgres]) -> AsyncIterator[Pair]:
    primary, replica = pair
    async with rest_api(primary=True) as first, rest_api(primary=False) as second:
        first.server, second.server = primary, replica
        members = [first.member(primary, site="paris"), second.member(replica, site="orsay")]
        async with session_to(members[0].address, CREDENTIALS) as admin:
            await prepare(admin, role="bascule_app", password="app-password")
        async with Storage(members, CREDENTIALS, settings=SETTINGS) as storage:
            with anyio.fail_after(GENEROUS_S):
                while not await served_by_the_replica(storage):
                    await anyio.sleep(0.05)
            yield Pair(
                storage=storage, primary=primary, replica=replica, first=first, second=second
            )


async def served_by_the_replica(storage: Storage) -> bool:
    read = await storage.read(anything, max_staleness_s=GENEROUS_S, deadline_s=GENEROUS_S)
    return read.source == "replica"


async def anything(transaction: Transaction) -> int:
    return int((await transaction.execute("SELECT 1")).rows[0][0])


@contextmanager
def replay_paused(replica: LocalPostgres) -> Iterator[None]:
    """The replica receives, but what it shows stands still."""
    replica.query("SELECT pg_wal_replay_pause()")
    try:
        yield
    finally:
        replica.query("SELECT pg_wal_replay_resume()")


@asynccontextmanager
async def caught_up(pair: tuple[LocalPostgres, LocalPostgres]) -> AsyncIterator[Pair]:
    """A storage on the pair; the replica has all that the primary has."""
    async with storage_on(pair) as on:
        await replayed(on)
        yield on


async def replayed(on: Pair) -> None:
    """Until the replica has all that the primary has written."""
    await replayed_by(on.replica, on.primary)


async def replayed_by(replica: LocalPostgres, primary: LocalPostgres) -> None:
    """As ``replayed``, where there is no storage on them."""
    (end,) = primary.query("SELECT pg_current_wal_lsn()")[0]
    reached = sql.SQL("SELECT pg_last_wal_replay_lsn() >= {}::pg_lsn").format(str(end))
    with anyio.move_on_after(GENEROUS_S):
        while replica.query(reached) != [(True,)]:
            await anyio.sleep(0.02)
        return
    raise AssertionError(f"the replica has not replayed up to {end} within {GENEROUS_S:g} s")
