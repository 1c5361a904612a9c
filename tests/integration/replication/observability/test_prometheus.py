"""The storage layer's metrics, counted by a real storage on real servers, through a failover."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from prometheus_client import CollectorRegistry
from support.postgres.ledger_entries import Entry, add_entry, prepare
from support.postgres.local_postgres import (
    PASSWORD,
    SUPERUSER,
    LocalPostgres,
    local_postgres,
    replica_of,
)
from support.postgres.patroni_answers import rest_api

from replication import Credentials, NotApplied, Storage, StorageSettings, Transaction
from replication.observability.prometheus import StorageMetrics
from replication.wire import session_to

pytestmark = pytest.mark.anyio

CREDENTIALS = Credentials(user=SUPERUSER, password=PASSWORD, dbname="postgres")
GENEROUS_S = 60.0


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[LocalPostgres, LocalPostgres]]:
    """A primary and its replica, to be broken by one test."""
    with local_postgres(tmp_path) as primary, replica_of(primary, tmp_path) as replica:
        yield primary, replica


async def entry(transaction: Transaction) -> None:
    await add_entry(transaction, Entry(id="a", site="paris", worker=0, n=0))


async def wrong(transaction: Transaction) -> None:
    await transaction.execute("SELECT * FROM nowhere")


async def count(transaction: Transaction) -> int:
    rows = (await transaction.execute("SELECT count(*) FROM bascule.ledger")).rows
    return int(rows[0][0])


async def test_what_a_storage_does_is_counted(
    pair: tuple[LocalPostgres, LocalPostgres],
) -> None:
    primary, replica = pair
    registry = CollectorRegistry()
    metrics = StorageMetrics(cluster="patients", registry=registry)

    def value(name: str, **labels: str) -> float | None:
        labels["cluster"] = "patients"
        return registry.get_sample_value(f"bascule_storage_{name}", labels)

    async with rest_api(primary=True) as first, rest_api(primary=False) as second:
        members = [first.member(primary), second.member(replica)]
        async with session_to(members[0].address, CREDENTIALS) as admin:
            await prepare(admin, role="bascule_app", password="app-password")
        settings = StorageSettings(durability="local")
        async with Storage(
            members, CREDENTIALS, settings=settings, observers=[metrics.observe]
        ) as storage:
            await storage.run(entry, unit_id="a", deadline_s=GENEROUS_S)
            with pytest.raises(NotApplied):
                await storage.run(wrong, unit_id="b", deadline_s=GENEROUS_S)
            assert (await storage.read(count, deadline_s=GENEROUS_S)).value == 1
            assert value("units_total", outcome="applied") == 1
            assert value("units_total", outcome="not_applied") == 1
            assert value("attempts_total", result="committed") == 1
            assert value("attempts_total", result="give_up") == 1
            assert value("reads_total", source="primary") == 1
            assert value("failovers_seen_total") == 0

            written = primary.query("SELECT pg_current_wal_lsn()::text")[0]
            replayed = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
            with anyio.fail_after(GENEROUS_S):
                while replica.query(replayed, written) != [(True,)]:
                    await anyio.sleep(0.05)
            await anyio.to_thread.run_sync(primary.stop)
            assert replica.query("SELECT pg_promote(true, 30)") == [(True,)]
            first.status, second.status, second.timeline = 503, 200, 2
            applied = await storage.run(entry, unit_id="c", deadline_s=GENEROUS_S)
    assert (applied.node, applied.timeline) == (replica.name, 2)
    assert value("units_total", outcome="applied") == 2
    assert value("failovers_seen_total") == 1
    assert value("reroute_seconds_count") == 1
    assert value("unit_duration_seconds_count") == 3
