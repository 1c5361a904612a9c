"""The leader key, followed in a real etcd; and what the storage layer makes of its changes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from support.local_etcd import LocalEtcd, local_etcd

from replication.dcs import LeaderWatch, leader_key
from replication.members import Member, RestAnswer
from replication.settings import Dcs
from replication.watch import Watch

pytestmark = pytest.mark.anyio

KEY = "/service/eds/leader"
LIMIT_S = 30.0


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[LocalEtcd]:
    with local_etcd(tmp_path) as server:
        yield server


@asynccontextmanager
async def followed(*endpoints: str) -> AsyncIterator[list[str | None]]:
    told: list[str | None] = []
    dcs = Dcs(endpoints=endpoints, scope="eds")
    assert leader_key(dcs) == KEY
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(LeaderWatch(dcs).follow, told.append)
        yield told
        tasks.cancel_scope.cancel()


async def put_until_told(etcd: LocalEtcd, told: list[str | None], value: str) -> None:
    """A watch tells only what happens after it began: so try until it has."""
    with anyio.fail_after(LIMIT_S):
        while value not in told:
            await anyio.to_thread.run_sync(etcd.put, KEY, value)
            await anyio.sleep(0.1)


async def test_every_change_is_told(etcd: LocalEtcd) -> None:
    async with followed(etcd.endpoint) as told:
        await put_until_told(etcd, told, "db-paris")
        told.clear()
        await anyio.to_thread.run_sync(etcd.delete, KEY)
        await anyio.to_thread.run_sync(etcd.put, KEY, "db-orsay")
        await anyio.to_thread.run_sync(etcd.put, "/service/other/leader", "db-x")
        with anyio.fail_after(LIMIT_S):
            while len(told) < 2:
                await anyio.sleep(0.02)
    assert told == [None, "db-orsay"]


async def test_the_watch_survives_the_death_of_etcd(etcd: LocalEtcd) -> None:
    async with followed(etcd.endpoint) as told:
        await put_until_told(etcd, told, "db-paris")
        etcd.kill()
        await anyio.to_thread.run_sync(etcd.start)
        await put_until_told(etcd, told, "db-orsay")


async def test_a_member_that_is_dead_blinds_nobody(etcd: LocalEtcd) -> None:
    async with followed("http://127.0.0.1:1", etcd.endpoint) as told:
        await put_until_told(etcd, told, "db-paris")


async def test_a_change_makes_the_members_be_asked_at_once(etcd: LocalEtcd) -> None:
    """With an interval of an hour nothing else could have told the watch of the new primary."""
    primary = ["db-a"]

    async def ask(member: Member) -> RestAnswer:
        is_primary = member.name == primary[0]
        timeline = 1 if primary[0] == "db-a" else 2
        return RestAnswer(
            status=200 if is_primary else 503, timeline=timeline, asked_s=anyio.current_time()
        )

    members = [Member(name=name, rest_url="", host="", port=0) for name in ("db-a", "db-b")]
    watch = Watch(members, ask, interval_s=3600, clock=anyio.current_time)
    dcs = Dcs(endpoints=(etcd.endpoint,), scope="eds")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch.run)
        tasks.start_soon(LeaderWatch(dcs).follow, watch.hurry)
        with anyio.fail_after(LIMIT_S):
            assert (await watch.wait_primary()).name == "db-a"
            primary[0] = "db-b"
            while watch.primary is None or watch.primary.name != "db-b":
                await anyio.to_thread.run_sync(etcd.put, KEY, "db-b")
                await anyio.sleep(0.1)
        tasks.cancel_scope.cancel()
