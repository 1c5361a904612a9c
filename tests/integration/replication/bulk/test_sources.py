"""Whoever is told ``Loaded`` has his own source in the table: another one is ``SourceChanged``."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import anyio
import pytest
from support.postgres.bulk_ground import (
    AT_COMMIT,
    COLUMNS,
    CREDENTIALS,
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
from support.postgres.ledger_units import wait_true
from support.postgres.local_postgres import LocalPostgres
from support.postgres.patroni_answers import rest_api
from support.postgres.server_pair import say_promoted, server_pair, wait_rows
from support.postgres.wal_receiver import no_standby

from replication import Storage
from replication.bulk import BulkLoad, Loaded, OnProgress, Progress, SourceChanged
from replication.bulk.rows import BATCH_ROWS

pytestmark = pytest.mark.anyio

ROWS = 400
CHUNKS = 4
End = Loaded | SourceChanged

BATCH = 2
"""Chunks that are cut from one batch (``BATCH_ROWS``) of an asynchronous source."""

PACED_ROWS = BATCH_ROWS // BATCH


@pytest.fixture
async def server(postgres_server: LocalPostgres) -> LocalPostgres:
    """The server with an empty table and an empty ledger."""
    await lay_ground(postgres_server)
    return postgres_server


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[LocalPostgres, LocalPostgres]]:
    """A primary and its replica, to be broken by one test."""
    with server_pair(tmp_path) as servers:
        yield servers


def comparing_every_chunk(storage: Storage) -> BulkLoad:
    return BulkLoad(
        storage, name="patients", table=TABLE, columns=COLUMNS, chunk_rows=100, compare="every"
    )


class Paced:
    """A source of some chunks, of which those after the first ``at`` come when they are let go."""

    def __init__(self, chunks: int, *, at: int) -> None:
        self._count, self._at = chunks * PACED_ROWS, at * PACED_ROWS
        self.is_asked, self.may_go_on = anyio.Event(), anyio.Event()
        self.ends: list[End] = []
        self._told = 0

    async def run(self, storage: Storage) -> None:
        """Load it; how that ended is in ``ends``."""
        units = load(storage, chunk_rows=PACED_ROWS)
        await run_into(self.ends, units, self._rows(), on_progress=self._note)

    async def _rows(self) -> AsyncIterator[tuple[int, str]]:
        self.is_asked.set()
        for n, row in enumerate(rows(self._count)):
            if n == self._at:
                await self.may_go_on.wait()
            yield row
        await self.may_go_on.wait()

    def _note(self, progress: Progress) -> None:
        self._told = progress.chunk

    async def wait_chunks(self, count: int) -> None:
        """Until so many are there."""
        await wait_true(lambda: self._told >= count)


async def run_into(
    ends: list[End],
    units: BulkLoad,
    source: Iterable[tuple[int, str]] | AsyncIterable[tuple[int, str]],
    on_progress: OnProgress | None = None,
) -> None:
    try:
        ends.append(await units.run(source, on_progress=on_progress))
    except SourceChanged as changed:
        ends.append(changed)


async def test_a_finished_load_is_held_to_its_last_chunk(server: LocalPostgres) -> None:
    others = {
        "other rows": [(n, "other") for n in range(ROWS)],
        "the last row": [(n, "other" if n == ROWS - 1 else name) for n, name in rows(ROWS)],
        "longer by a chunk": list(rows(ROWS + 100)),
        "longer by a row": list(rows(ROWS + 1)),
        "shorter by a chunk": list(rows(ROWS - 100)),
        "shorter by a row": list(rows(ROWS - 1)),
        "empty": [],
    }
    async with storage_on(server) as (storage, _):
        first = await load(storage).run(rows(ROWS))
        for source in others.values():
            with pytest.raises(SourceChanged) as caught:
                await load(storage).run(source)
            assert caught.value.load == "patients"
        again = await load(storage).run(rows(ROWS))
    assert (again.was_finished, again.rows, again.chunks) == (True, ROWS, CHUNKS)
    assert again.bytes_total == first.bytes_total
    assert counted(server) == (ROWS, ROWS)


async def test_a_finished_load_of_nothing_has_no_rows(server: LocalPostgres) -> None:
    async with storage_on(server) as (storage, _):
        await load(storage).run([])
        with pytest.raises(SourceChanged, match="longer"):
            await load(storage).run(rows(1))
        assert (await load(storage).run([])).was_finished
    assert counted(server) == (0, 0)


@pytest.mark.parametrize("is_finished", [True, False])
async def test_every_chunk_is_compared_if_asked_for(
    server: LocalPostgres, is_finished: bool
) -> None:
    class Stopped(Exception):
        """A load is stopped on purpose."""

    def stop_at_3(progress: Progress) -> None:
        if progress.chunk == 3 and not is_finished:
            raise Stopped

    other = [(n, "other" if n == 0 else name) for n, name in rows(ROWS)]
    async with storage_on(server) as (storage, _):
        with suppress(Stopped):
            await load(storage).run(rows(ROWS), on_progress=stop_at_3)
        with pytest.raises(SourceChanged) as caught:
            await comparing_every_chunk(storage).run(other)
        assert caught.value.chunk == 1
        loaded = await comparing_every_chunk(storage).run(rows(ROWS))
    assert (loaded.rows, loaded.was_finished) == (ROWS, is_finished)
    assert counted(server) == (ROWS, ROWS)


async def test_of_a_finished_file_only_the_end_is_read(
    server: LocalPostgres, tmp_path: Path
) -> None:
    path = tmp_path / "patients.csv"
    text = "".join(f"{n:04},name\n" for n in range(ROWS))
    path.write_text(text)

    def load_of(storage: Storage, *, every: bool = False) -> BulkLoad:
        return BulkLoad(
            storage,
            name="patients",
            table=TABLE,
            columns=COLUMNS,
            chunk_bytes_max=1000,
            compare="every" if every else "last",
        )

    async with storage_on(server) as (storage, _):
        first = await load_of(storage).run_file(path)
        path.write_text(text.replace("0000,name", "0000,othe"))  # far before the last chunk
        assert (await load_of(storage).run_file(path)).was_finished
        with pytest.raises(SourceChanged, match="chunk 1"):
            await load_of(storage, every=True).run_file(path)
        for other in (text[:-10], text + "0400,name\n", text.replace("0399", "0398"), ""):
            path.write_text(other)
            with pytest.raises(SourceChanged):
                await load_of(storage).run_file(path)
        path.write_text(text)
        again = await load_of(storage, every=True).run_file(path)
    assert (again.was_finished, again.rows, again.chunks) == (True, ROWS, first.chunks)
    assert counted(server) == (ROWS, ROWS)


@pytest.mark.parametrize("is_finished", [True, False])
async def test_a_shorter_source_is_told_that_another_process_loads_more(
    server: LocalPostgres, is_finished: bool
) -> None:
    """It began when nothing was there, and all of its own chunks are there in the end."""
    short, long = Paced(2, at=0), Paced(5, at=4)
    async with (
        storage_on(server) as (one, _),
        storage_on(server) as (two, _),
        anyio.create_task_group() as group,
    ):
        group.start_soon(short.run, one)
        await short.is_asked.wait()
        group.start_soon(long.run, two)
        await long.wait_chunks(4)
        if is_finished:
            long.may_go_on.set()
            await wait_true(lambda: bool(long.ends))
        short.may_go_on.set()
        await wait_true(lambda: bool(short.ends))
        long.may_go_on.set()
    assert isinstance(short.ends[0], SourceChanged)
    assert "ends after chunk 2" in str(short.ends[0])
    assert isinstance(long.ends[0], Loaded)
    assert (long.ends[0].rows, long.ends[0].chunks) == (5 * PACED_ROWS, 5)
    assert counted(server) == (5 * PACED_ROWS, 5 * PACED_ROWS)


@pytest.mark.parametrize("where", ["before its chunk", "in COPY"])
async def test_a_longer_source_is_told_that_the_load_was_finished(
    server: LocalPostgres, where: str
) -> None:
    long, count = Paced(3, at=2), 2 * PACED_ROWS
    async with (
        storage_on(server) as (one, _),
        storage_on(server) as (two, _),
        anyio.create_task_group() as group,
    ):
        short = load(two, chunk_rows=PACED_ROWS)
        if where == "in COPY":
            with halted(server):
                source = rows(3 * PACED_ROWS, halt_at=count + 1)
                units = load(one, chunk_rows=PACED_ROWS)
                group.start_soon(run_into, long.ends, units, source)
                await wait_backend(server, IN_COPY)
                loaded = await short.run(rows(count))
        else:
            group.start_soon(long.run, one)
            await long.wait_chunks(2)
            loaded = await short.run(rows(count))
            long.may_go_on.set()
    assert (loaded.rows, loaded.chunks) == (count, 2)
    assert isinstance(long.ends[0], SourceChanged)
    assert long.ends[0].chunk == 3
    assert counted(server) == (count, count)
    assert server.query("SELECT chunks, rows FROM bascule.bulk_load") == [(2, count)]


async def test_who_finishes_waits_for_a_chunk_that_is_being_committed(
    server: LocalPostgres,
) -> None:
    """It is entered, and nobody can see it yet: it counts."""
    short, long = Paced(2, at=2), Paced(3, at=2)
    async with (
        storage_on(server) as (one, _),
        storage_on(server) as (two, _),
        anyio.create_task_group() as group,
    ):
        group.start_soon(short.run, one)
        group.start_soon(long.run, two)
        await short.wait_chunks(2)
        await long.wait_chunks(2)
        with no_standby(server):
            long.may_go_on.set()
            await wait_backend(server, AT_COMMIT)
            short.may_go_on.set()
            await wait_backend(
                server, "wait_event = 'transactionid' AND strpos(query, 'FOR UPDATE') > 0"
            )
    assert isinstance(short.ends[0], SourceChanged)
    assert isinstance(long.ends[0], Loaded)
    count = 3 * PACED_ROWS
    assert (long.ends[0].rows, counted(server)) == (count, (count, count))


async def test_a_chunk_that_was_lost_and_whose_place_another_source_took(
    pair: tuple[LocalPostgres, LocalPostgres],
) -> None:
    """A failover loses the only chunk of one; another process loads something else in its place."""
    primary, replica = pair
    ends: list[End] = []
    await lay_ground(primary)
    async with (
        rest_api(primary=True) as old,
        rest_api(primary=False) as new,
        Storage([old.member(primary), new.member(replica)], CREDENTIALS) as storage,
        anyio.create_task_group() as group,
    ):
        await wait_rows(replica, "SELECT 1 FROM pg_class WHERE relname = 'bulk_chunk'", 1)
        await wait_rows(replica, "SELECT 1 FROM pg_stat_wal_receiver", 1)
        with halted(primary):
            group.start_soon(run_into, ends, load(storage), rows(50, halt_at=25))
            await wait_backend(primary, IN_COPY)
            await wait_rows(replica, "SELECT 1 FROM bascule.bulk_load", 1)
            replica.set("primary_conninfo", "")
            await wait_rows(replica, "SELECT 1 FROM pg_stat_wal_receiver", 0)
            primary.set("synchronous_standby_names", "ANY 1 (nobody)")
        await wait_backend(primary, AT_COMMIT)
        await anyio.to_thread.run_sync(replica.query, "SELECT pg_promote(true, 30)")
        async with storage_on(replica) as (another, _):
            theirs = await load(another).run((n, "other") for n in range(50))
        say_promoted(old, new)
    assert theirs.rows == 50
    assert isinstance(ends[0], SourceChanged)
    assert replica.query("SELECT DISTINCT name FROM eds.patient") == [("other",)]
