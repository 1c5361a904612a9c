"""A primary that dies in the middle of a bulk load, and a replica that takes over."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from support.postgres.bulk_ground import (
    AT_COMMIT,
    CREDENTIALS,
    IN_COPY,
    counted,
    halted,
    lay_ground,
    load,
    rows,
    wait_backend,
)
from support.postgres.local_postgres import LocalPostgres
from support.postgres.patroni_answers import Answers, rest_api
from support.postgres.server_pair import promote, server_pair, wait_rows

from replication import Storage
from replication.bulk import Loaded, Progress

pytestmark = pytest.mark.anyio

ROWS = 950
STANDBY = 'ANY 1 ("db-b")'
"""The replica's own name: every acknowledged commit is on it."""


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[LocalPostgres, LocalPostgres]]:
    """A primary and its replica, to be broken by one test."""
    with server_pair(tmp_path) as servers:
        yield servers


@asynccontextmanager
async def cluster_of(
    primary: LocalPostgres, replica: LocalPostgres
) -> AsyncIterator[tuple[Storage, Answers, Answers]]:
    await lay_ground(primary)
    async with (
        rest_api(primary=True) as old,
        rest_api(primary=False) as new,
        Storage([old.member(primary), new.member(replica)], CREDENTIALS) as storage,
    ):
        yield storage, old, new


async def test_a_primary_that_dies_in_the_middle_of_copy(
    pair: tuple[LocalPostgres, LocalPostgres],
) -> None:
    primary, replica = pair
    told: list[Progress] = []
    results: list[Loaded] = []
    async with (
        cluster_of(primary, replica) as (storage, old, new),
        anyio.create_task_group() as group,
    ):
        await wait_rows(replica, "SELECT 1 FROM pg_stat_wal_receiver", 1)
        primary.set("synchronous_standby_names", STANDBY)

        async def run() -> None:
            source = rows(ROWS, halt_at=450)
            results.append(await load(storage).run(source, on_progress=told.append))

        with halted(primary):
            group.start_soon(run)
            await wait_backend(primary, IN_COPY)
            assert [progress.chunk for progress in told] == [1, 2, 3, 4]
            primary.stop()
        await anyio.to_thread.run_sync(promote, replica, old, new)
    assert (results[0].rows, results[0].chunks) == (ROWS, 10)
    assert [progress.chunk for progress in told] == list(range(1, 11))
    assert told[4].attempts > 1
    assert counted(replica) == (ROWS, ROWS)


@pytest.mark.parametrize("replicated", [True, False])
async def test_a_chunk_whose_commit_is_in_doubt(
    pair: tuple[LocalPostgres, LocalPostgres], replicated: bool
) -> None:
    """The old primary lives on and holds the COMMIT; the chunk reached the replica, or did not."""
    primary, replica = pair
    told: list[Progress] = []
    async with (
        cluster_of(primary, replica) as (storage, old, new),
        anyio.create_task_group() as group,
    ):

        async def run() -> None:
            await load(storage).run(rows(ROWS, halt_at=450), on_progress=told.append)

        await wait_rows(replica, "SELECT 1 FROM pg_class WHERE relname = 'bulk_chunk'", 1)
        with halted(primary):
            group.start_soon(run)
            await wait_backend(primary, IN_COPY)
            await wait_rows(replica, "SELECT 1 FROM eds.patient", 400)
            if not replicated:
                replica.set("primary_conninfo", "")
                await wait_rows(replica, "SELECT 1 FROM pg_stat_wal_receiver", 0)
            primary.set("synchronous_standby_names", "ANY 1 (nobody)")
        await wait_backend(primary, AT_COMMIT)
        if replicated:
            await wait_rows(replica, "SELECT 1 FROM eds.patient", 500)
        await anyio.to_thread.run_sync(promote, replica, old, new)
    assert [progress.attempts for progress in told] == [1] * 4 + [1 if replicated else 2] + [1] * 5
    assert counted(replica) == (ROWS, ROWS)
    states = replica.query(
        "SELECT attempt, state FROM bascule.unit_of_work WHERE id = 'bulk:patients:5' ORDER BY 1"
    )
    assert states == ([(1, "applied")] if replicated else [(1, "void"), (2, "applied")])
