"""Ordinary tests, and one that goes through the loss of a host and through a switchover."""

from __future__ import annotations

from contextlib import suppress

import psycopg
import pytest
from anyio import fail_after, sleep, to_thread
from appointments import book, booked

from chaos.testing import Chaos, PatroniCluster
from replication import Storage

pytestmark = pytest.mark.anyio

DEADLINE_S, POLL_S = 30.0, 0.02


async def test_a_slot_is_given_once(diary: Storage) -> None:
    assert await book(diary, 9, "Ada")
    assert not await book(diary, 9, "Grace")
    assert await booked(diary) == {9: "Ada"}


async def test_every_replica_has_it(diary: Storage, patroni_cluster: PatroniCluster) -> None:
    """The storage acknowledges with one replica; the other one follows."""
    assert await book(diary, 10, "Ada")
    with fail_after(DEADLINE_S):
        while await replicas_with(10, patroni_cluster) < 2:
            await sleep(POLL_S)


async def replicas_with(slot: int, cluster: PatroniCluster) -> int:
    """On how many replicas a slot is taken by now."""
    found = 0
    for url in await to_thread.run_sync(cluster.replica_urls):
        async with await psycopg.AsyncConnection.connect(url) as replica:
            with suppress(psycopg.errors.UndefinedTable):  # it has not even the table yet
                rows = await replica.execute("SELECT FROM appointment WHERE slot = %s", [slot])
                found += rows.rowcount
    return found


@pytest.mark.survives("host-loss", "switchover")
async def test_booking_goes_on(diary: Storage, chaos: Chaos) -> None:
    """Bookings before, during and after: each one that was confirmed is there."""
    confirmed = {}
    slot = 0
    while not chaos.struck or slot < 10:
        assert await book(diary, slot, f"patient {slot}")
        confirmed[slot] = f"patient {slot}"
        slot += 1
    assert await book(diary, slot, "the last one")
    assert await booked(diary) == confirmed | {slot: "the last one"}


async def test_a_crash_of_postgresql_by_hand(diary: Storage, chaos: Chaos) -> None:
    assert await book(diary, 1, "Ada")
    await to_thread.run_sync(chaos.strike, "process-kill")
    assert await book(diary, 2, "Grace")
    assert await booked(diary) == {1: "Ada", 2: "Grace"}
