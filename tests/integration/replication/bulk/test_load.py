"""Bulk loads against a real PostgreSQL: every row once, whatever ends in the middle."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import anyio
import pytest
from support.postgres.bulk_ground import (
    AT_COMMIT,
    CHUNK_ROWS,
    IN_COPY,
    TABLE,
    counted,
    halted,
    lay_ground,
    load,
    rows,
    storage_on,
    wait_backend,
)
from support.postgres.local_postgres import LocalPostgres
from support.postgres.wal_receiver import no_standby

from replication import NotInstalled, Transaction, Unknown
from replication.bulk import BulkLoad, ChunkRefused, Loaded, Progress, SourceChanged

pytestmark = pytest.mark.anyio

ROWS = 950
CHUNKS = 10


@pytest.fixture
async def server(postgres_server: LocalPostgres) -> LocalPostgres:
    """The server with an empty table and an empty ledger."""
    await lay_ground(postgres_server)
    return postgres_server


class Stopped(Exception):
    """A load is stopped on purpose."""


async def load_some(server: LocalPostgres, *, chunks: int) -> None:
    """A load that stops after some chunks."""

    def on_progress(progress: Progress) -> None:
        if progress.chunk == chunks:
            raise Stopped

    async with storage_on(server) as (storage, _):
        with pytest.raises(Stopped):
            await load(storage).run(rows(ROWS), on_progress=on_progress)
    assert counted(server) == (chunks * CHUNK_ROWS, chunks * CHUNK_ROWS)


async def test_every_row_once_and_told(server: LocalPostgres) -> None:
    told: list[Progress] = []
    async with storage_on(server) as (storage, _):
        loaded = await load(storage).run(rows(ROWS), on_progress=told.append)
    assert (loaded.chunks, loaded.rows, loaded.resumed_after) == (CHUNKS, ROWS, 0)
    assert not loaded.was_finished
    assert [progress.chunk for progress in told] == list(range(1, CHUNKS + 1))
    assert [progress.rows_total for progress in told] == [*range(100, 1000, 100), ROWS]
    assert told[-1].bytes_total == loaded.bytes_total > 0
    assert all(progress.rows_per_s > 0 and progress.attempts == 1 for progress in told)
    assert counted(server) == (ROWS, ROWS)
    ledger = server.query(
        "SELECT chunk, position_start, position_end, rows FROM bascule.bulk_chunk ORDER BY chunk"
    )
    assert ledger[0] == (1, 0, 100, 100)
    assert ledger[-1] == (CHUNKS, 900, ROWS, 50)
    assert server.query(
        "SELECT chunks, rows, bytes, finished_at IS NOT NULL FROM bascule.bulk_load"
    ) == [(CHUNKS, ROWS, loaded.bytes_total, True)]


async def test_values_come_through_as_they_are(server: LocalPostgres) -> None:
    names = ["tab\there", "line\nbreak", "\\N", "back\\slash", "\\.", "é€𝄞", "", None, "\r"]

    async def from_elsewhere() -> AsyncIterator[tuple[int, str | None]]:
        for n, name in enumerate(names):
            await anyio.lowlevel.checkpoint()
            yield n, name

    async with storage_on(server) as (storage, _):
        await load(storage, chunk_rows=2).run(from_elsewhere())
    assert server.query("SELECT name FROM eds.patient ORDER BY id") == [(n,) for n in names]


async def test_a_load_that_is_finished_does_nothing(server: LocalPostgres) -> None:
    async with storage_on(server) as (storage, _):
        first = await load(storage).run(rows(ROWS))
        again = await load(storage).run(rows(ROWS))
    assert (again.was_finished, again.rows, again.chunks) == (True, ROWS, CHUNKS)
    assert (first.bytes_total, again.resumed_after) == (again.bytes_total, CHUNKS)
    assert counted(server) == (ROWS, ROWS)


async def test_no_rows_are_a_load_too(server: LocalPostgres) -> None:
    async with storage_on(server) as (storage, _):
        loaded = await load(storage).run([])
        assert (loaded.chunks, loaded.rows) == (0, 0)
        assert (await load(storage).run([])).was_finished


@pytest.mark.parametrize("where", ["in COPY", "at COMMIT"])
async def test_a_backend_that_is_ended_costs_nothing(server: LocalPostgres, where: str) -> None:
    attempts: list[int] = []
    results: list[Loaded] = []
    source = list(rows(ROWS, halt_at=450 if where == "in COPY" else None))
    async with storage_on(server) as (storage, _), anyio.create_task_group() as group:

        async def run() -> None:
            results.append(
                await load(storage).run(source, on_progress=lambda p: attempts.append(p.attempts))
            )

        with halted(server) if where == "in COPY" else no_standby(server):
            group.start_soon(run)
            pid = await wait_backend(server, IN_COPY if where == "in COPY" else AT_COMMIT)
            assert server.query("SELECT pg_terminate_backend(%s, 10000)", (pid,)) == [(True,)]
    assert results[0].rows == ROWS
    assert counted(server) == (ROWS, ROWS)
    assert sorted(attempts) == [1] * 9 + [2] if where == "in COPY" else [1] * 10


async def test_a_chunk_that_may_be_taken_back_is_not_relied_on(server: LocalPostgres) -> None:
    """Visible here and on no standby: to go on after it would be to lose it in a failover."""
    await load_some(server, chunks=2)
    async with storage_on(server) as (storage, _):
        with no_standby(server), pytest.raises(Unknown):
            await load(storage, deadline_s=1).run(rows(ROWS))
        await load(storage).run(rows(ROWS))
    assert counted(server) == (ROWS, ROWS)


async def test_what_is_there_is_not_loaded_again(server: LocalPostgres) -> None:
    await load_some(server, chunks=4)
    told: list[int] = []
    async with storage_on(server) as (storage, _):
        loaded = await load(storage).run(rows(ROWS), on_progress=lambda p: told.append(p.chunk))
    assert told == [5, 6, 7, 8, 9, 10]
    assert (loaded.resumed_after, loaded.rows) == (4, ROWS)
    assert counted(server) == (ROWS, ROWS)


async def test_a_source_that_changed_is_refused(server: LocalPostgres) -> None:
    await load_some(server, chunks=4)
    source = [(n, "changed" if n == 350 else name) for n, name in rows(ROWS)]
    async with storage_on(server) as (storage, _):
        with pytest.raises(SourceChanged, match="chunk 4") as caught:
            await load(storage).run(source)
        assert (caught.value.load, caught.value.chunk) == ("patients", 4)
        with pytest.raises(SourceChanged):
            await load(storage).run(rows(350))
        with pytest.raises(SourceChanged):
            await load(storage).run([])
        with pytest.raises(SourceChanged, match="chunk_rows 100, not 50"):
            await load(storage, chunk_rows=50).run(rows(ROWS))
        other = BulkLoad(storage, name="patients", table=TABLE, columns=["name", "id"])
        with pytest.raises(SourceChanged, match="columns"):
            await other.run(rows(ROWS))
    assert counted(server) == (400, 400)


async def test_two_who_load_the_same_share_the_chunks(server: LocalPostgres) -> None:
    told: list[Progress] = []
    results: list[Loaded] = []

    async def run() -> None:
        async with storage_on(server) as (storage, _):
            results.append(
                await load(storage, chunk_rows=10).run(rows(ROWS), on_progress=told.append)
            )

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        group.start_soon(run)
    assert [loaded.rows for loaded in results] == [ROWS, ROWS]
    assert counted(server) == (ROWS, ROWS)
    loaded_chunks = [progress.chunk for progress in told if progress.attempts]
    assert len(set(loaded_chunks)) == len(loaded_chunks) == 95


async def test_two_who_load_different_things_are_told(server: LocalPostgres) -> None:
    """The second one waits for the first one's chunk, and finds that it is another."""
    failed: list[SourceChanged] = []
    async with (
        storage_on(server) as (one, _),
        storage_on(server) as (two, _),
        anyio.create_task_group() as group,
    ):

        async def run_other() -> None:
            with pytest.raises(SourceChanged) as caught:
                await load(two).run((n, "other") for n in range(ROWS))
            failed.append(caught.value)

        with halted(server):
            group.start_soon(load(one).run, rows(ROWS, halt_at=50))
            await wait_backend(server, IN_COPY)
            group.start_soon(run_other)
            await wait_backend(server, "wait_event = 'transactionid'")
    assert failed[0].chunk == 1
    assert counted(server) == (ROWS, ROWS)
    assert server.query("SELECT count(*) FROM eds.patient WHERE name = 'other'") == [(0,)]


async def test_a_bad_row_is_named_and_its_chunk_is_not_applied(server: LocalPostgres) -> None:
    source: list[tuple[object, object]] = list(rows(ROWS))
    source[249] = ("not a number", "x")
    async with storage_on(server) as (storage, _):
        with pytest.raises(ChunkRefused) as caught:
            await load(storage).run(source)
        error = caught.value
        assert (error.chunk, error.row, error.sqlstate) == (3, 250, "22P02")
        assert error.context == 'COPY patient, line 50, column id: "not a number"'
        assert "row 250" in str(error)
        assert counted(server) == (200, 200)
        source[249] = (249, "x")
        assert (await load(storage).run(source)).resumed_after == 2
    assert counted(server) == (ROWS, ROWS)


async def test_a_row_that_cannot_be_encoded_is_named(server: LocalPostgres) -> None:
    source: list[tuple[object, object]] = list(rows(ROWS))
    source[149] = (149, object())
    async with storage_on(server) as (storage, _):
        with pytest.raises(ChunkRefused) as caught:
            await load(storage).run(source)
    assert (caught.value.chunk, caught.value.row) == (2, 150)
    assert counted(server) == (100, 100)


async def test_an_error_of_the_rows_comes_through(server: LocalPostgres) -> None:
    def broken_off() -> Iterator[tuple[int, str]]:
        yield from rows(ROWS - 10)
        raise LookupError("the source is gone")

    async with storage_on(server) as (storage, _):
        with pytest.raises(LookupError, match="the source is gone"):
            await load(storage).run(broken_off())
        count, distinct = counted(server)
        assert count == distinct < ROWS - 10
        assert (await load(storage).run(rows(ROWS))).resumed_after == count / CHUNK_ROWS
    assert counted(server) == (ROWS, ROWS)


async def test_without_the_tables_nothing_is_applied(server: LocalPostgres) -> None:
    server.query("DROP TABLE bascule.bulk_load")
    async with storage_on(server) as (storage, _):
        with pytest.raises(NotInstalled, match="the tables of bulk loads are not there"):
            await load(storage).run(rows(ROWS))
    assert counted(server) == (0, 0)


@pytest.mark.parametrize("where", ["in COPY", "at COMMIT"])
async def test_a_process_that_was_killed_is_taken_over(server: LocalPostgres, where: str) -> None:
    """SIGKILL in the middle of a chunk; a new process goes on after the last one that is there."""
    async with storage_on(server) as (_, answers):
        config = {"rest_port": answers.port, "port": server.port, "rows": ROWS, "halt_at": 450}

        async def process() -> anyio.abc.Process:
            return await anyio.open_process(
                [sys.executable, "-m", "support.postgres.bulk_process", json.dumps(config)],
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
                stdin=None,
                stderr=None,
            )

        async with await process() as first:
            with ExitStack() as commits_wait:
                with halted(server):
                    await wait_backend(server, IN_COPY)
                    if where == "in COPY":
                        first.kill()
                        assert await first.wait() == -signal.SIGKILL
                        assert counted(server) == (400, 400)
                    else:
                        commits_wait.enter_context(no_standby(server))
                if where == "at COMMIT":
                    await wait_backend(server, AT_COMMIT)
                    first.kill()
                    assert await first.wait() == -signal.SIGKILL
        there = 4 if where == "in COPY" else 5
        with anyio.fail_after(30):
            while counted(server)[0] != there * CHUNK_ROWS:
                await anyio.sleep(0.02)
        async with await process() as second:
            with anyio.fail_after(60):
                assert second.stdout is not None
                output = b"".join([piece async for piece in second.stdout])
                assert await second.wait() == 0
    assert json.loads(output) == {"rows": ROWS, "resumed_after": there, "was_finished": False}
    assert counted(server) == (ROWS, ROWS)


async def test_the_session_is_as_good_as_before(server: LocalPostgres) -> None:
    """COPY leaves the pipeline; the next unit of work on the same connection enters it again."""
    async with storage_on(server) as (storage, _):
        await load(storage).run(rows(ROWS))
        pids = set()
        for n in range(3):
            applied = await storage.run(
                lambda transaction: transaction.execute("SELECT pg_backend_pid()"),
                unit_id=f"after-{n}",
                deadline_s=10,
            )
            pids.add(applied.value.rows[0][0])
    assert len(pids) == 1


async def test_the_server_notices_a_client_whose_host_is_gone(server: LocalPostgres) -> None:
    """A COPY that waits for data is not idle: without probes it would hold its id row for hours."""
    names = ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count")

    async def settings(transaction: Transaction) -> list[int]:
        result = await transaction.execute(
            "SELECT setting::integer FROM pg_settings WHERE name = ANY(%s) ORDER BY name",
            (list(names),),
        )
        return [row[0] for row in result.rows]

    async with storage_on(server) as (storage, _):
        count, idle_s, interval_s = (
            await storage.run(settings, unit_id="settings", deadline_s=10)
        ).value
    assert 0 < idle_s + count * interval_s <= 15
