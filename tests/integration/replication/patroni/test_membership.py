"""Members that come, move and leave while a storage is open on real servers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from support.postgres.ledger_units import (
    CREDENTIALS,
    WAIT_S,
    adding,
    entries,
    prepare_ledger,
    wait_rows,
)
from support.postgres.local_postgres import LocalPostgres, free_port, local_postgres, replica_of
from support.postgres.patroni_answers import Answers, rest_api

from replication import (
    Member,
    Storage,
    StorageConfig,
    StorageSettings,
    SyncStorage,
    Transaction,
    open_storage,
)
from replication.observability.events import Event, MemberChanged

pytestmark = pytest.mark.anyio

SETTINGS = StorageSettings(durability="local", watch_interval_s=0.2, deadline_s=60)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[LocalPostgres, LocalPostgres]]:
    """A primary and its replica, to be broken by one test."""
    with local_postgres(tmp_path) as primary, replica_of(primary, tmp_path) as replica:
        yield primary, replica


@dataclass(kw_only=True)
class Ground:
    """Two servers, a REST API each, and what the storage told."""

    a: LocalPostgres
    b: LocalPostgres
    first: Answers
    second: Answers
    events: list[Event] = field(default_factory=list)

    def name(self, *members: Member) -> None:
        """From now on, ``GET /cluster`` has these."""
        self.first.cluster = self.second.cluster = list(members)

    @property
    def config(self) -> StorageConfig:
        """One that asks the first member who the members are."""
        patroni = (f"http://127.0.0.1:{self.first.port}",)
        return StorageConfig(credentials=CREDENTIALS, patroni=patroni, settings=SETTINGS)

    @property
    def changes(self) -> list[tuple[str, str]]:
        told = [event for event in self.events if isinstance(event, MemberChanged)]
        return [(event.change, event.node) for event in told]

    async def promote(self) -> None:
        """b becomes the primary, a is gone with all that it had."""
        await wait_rows(self.b, "SELECT 1 FROM bascule.ledger WHERE id = 'first'")
        await anyio.to_thread.run_sync(self.a.stop)
        assert await anyio.to_thread.run_sync(self.b.query, "SELECT pg_promote(true, 60)") == [
            (True,)
        ]
        self.first.status, self.second.status, self.second.timeline = 503, 200, 2


@asynccontextmanager
async def ground_on(pair: tuple[LocalPostgres, LocalPostgres]) -> AsyncIterator[Ground]:
    await prepare_ledger(pair[0])
    await wait_rows(
        pair[1], "SELECT 1 FROM pg_authid WHERE rolname = 'bascule_app' AND rolpassword <> ''"
    )
    async with rest_api(primary=True) as first, rest_api(primary=False) as second:
        first.server, second.server = pair
        for answers, server in ((first, pair[0]), (second, pair[1])):
            answers.more = {"patroni": {"scope": "warehouse", "name": server.name}}
        ground = Ground(a=pair[0], b=pair[1], first=first, second=second)
        ground.name(first.member(pair[0]))
        yield ground


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(WAIT_S):
        while not condition():
            await anyio.sleep(0.02)


async def source_of(storage: Storage) -> str:
    async def one(transaction: Transaction) -> None:
        await transaction.execute("SELECT 1")

    return (await storage.read(one, max_staleness_s=WAIT_S)).node


async def wait_served_by(storage: Storage, node: str) -> None:
    with anyio.fail_after(WAIT_S):
        while await source_of(storage) != node:
            await anyio.sleep(0.02)


async def test_a_member_that_joined_later_is_read_from_and_becomes_the_primary(
    pair: tuple[LocalPostgres, LocalPostgres],
) -> None:
    async with (
        ground_on(pair) as on,
        open_storage(on.config, observers=[on.events.append]) as storage,
    ):
        await storage.run(adding("first"))
        assert [member.name for member in storage.members] == ["db-a"]
        on.name(on.first.member(on.a), on.second.member(on.b))
        await wait_served_by(storage, "db-b")
        assert on.changes == [("added", "db-b")]
        assert [member.name for member in storage.members] == ["db-a", "db-b"]
        await on.promote()
        applied = await storage.run(adding("second"), unit_id="second")
        assert (applied.node, applied.timeline) == ("db-b", 2)
    assert entries(on.b, "second") == 1


async def test_a_primary_that_nobody_knew_is_found_after_a_failover(
    pair: tuple[LocalPostgres, LocalPostgres],
) -> None:
    async with (
        ground_on(pair) as on,
        open_storage(on.config, observers=[on.events.append]) as storage,
    ):
        await storage.run(adding("first"))
        await on.promote()
        on.name(on.second.member(on.b))
        applied = await storage.run(adding("second"), unit_id="second")
        assert applied.node == "db-b"


@pytest.mark.parametrize("listed", [False, True])
async def test_a_member_that_came_back_at_another_address_is_found(
    pair: tuple[LocalPostgres, LocalPostgres], *, listed: bool
) -> None:
    """Both of its addresses are other ones; where it was listed by hand, too."""
    async with ground_on(pair) as on, rest_api(primary=False) as moved:
        members = on.first.member(on.a), on.second.member(on.b)
        on.name(*members)
        config = on.config
        if listed:
            config = StorageConfig(credentials=CREDENTIALS, members=members, settings=SETTINGS)
        async with open_storage(config, observers=[on.events.append]) as storage:
            await storage.run(adding("first"))
            await wait_served_by(storage, "db-b")
            await anyio.to_thread.run_sync(on.b.stop)
            on.b.port = free_port()
            await anyio.to_thread.run_sync(on.b.start)
            on.second.silent = True
            moved.server, moved.more = on.b, on.second.more
            on.first.cluster = [on.first.member(on.a), moved.member(on.b)]
            await until(lambda: on.changes == [("moved", "db-b")])
            await wait_served_by(storage, "db-b")
            assert storage.members[1] == moved.member(on.b)


async def test_a_primary_that_came_back_at_another_address_is_written_to(
    pair: tuple[LocalPostgres, LocalPostgres],
) -> None:
    async with ground_on(pair) as on, rest_api(primary=True) as moved:
        on.name(on.first.member(on.a), on.second.member(on.b))
        async with open_storage(on.config, observers=[on.events.append]) as storage:
            await storage.run(adding("first"))
            await anyio.to_thread.run_sync(on.a.stop)
            on.first.silent = True
            on.a.port = free_port()
            await anyio.to_thread.run_sync(on.a.start)
            moved.server, moved.more = on.a, on.first.more
            on.second.cluster = [moved.member(on.a), on.second.member(on.b)]
            applied = await storage.run(adding("second"), unit_id="second")
        assert (applied.node, ("moved", "db-a") in on.changes) == ("db-a", True)
    assert entries(on.a, "second") == 1


async def test_fixed_members_stay_those_of_the_opening(
    pair: tuple[LocalPostgres, LocalPostgres],
) -> None:
    fixed = StorageSettings(durability="local", watch_interval_s=0.05, membership="fixed")
    async with ground_on(pair) as on:
        on.name(on.first.member(on.a), on.second.member(on.b))
        members = [on.first.member(on.a)]
        async with Storage(members, CREDENTIALS, settings=fixed) as storage:
            await storage.run(adding("first"), deadline_s=60)
            asked = on.first.asked
            await until(lambda: on.first.asked > asked + 20)  # five regular rounds would be four
            assert (storage.members, on.second.asked) == (tuple(members), 0)


def test_the_synchronous_storage_finds_them_too(
    pair: tuple[LocalPostgres, LocalPostgres],
) -> None:
    async def serve(ready: anyio.Event, done: anyio.Event, on: list[Ground]) -> None:
        async with ground_on(pair) as ground:
            on.append(ground)
            ready.set()
            await done.wait()

    async def main() -> None:
        ready, done, on = anyio.Event(), anyio.Event(), list[Ground]()
        async with anyio.create_task_group() as group:
            group.start_soon(serve, ready, done, on)
            await ready.wait()

            def use() -> tuple[str, ...]:
                with SyncStorage.from_config(on[0].config) as storage:
                    storage.run(lambda transaction: transaction.execute("SELECT 1"))
                    on[0].name(on[0].first.member(on[0].a), on[0].second.member(on[0].b))
                    anyio.from_thread.run(until, lambda: len(storage.members) > 1)
                    return tuple(member.name for member in storage.members)

            assert await anyio.to_thread.run_sync(use) == ("db-a", "db-b")
            done.set()

    anyio.run(main)
