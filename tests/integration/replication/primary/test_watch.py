"""Who is the primary, when members lie, freeze, fall silent, or belong to somebody else."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from support.postgres.ledger_units import (
    CREDENTIALS,
    adding,
    entries,
    id_rows,
    own_pid,
    prepare_ledger,
    running,
    storage_on,
    wait_rows,
    wait_true,
)
from support.postgres.local_postgres import LocalPostgres, frozen, local_postgres, replica_of
from support.postgres.patroni_answers import Answers, rest_api

from replication import (
    Applied,
    Member,
    NoPrimary,
    Storage,
    StorageSettings,
    Transaction,
)
from replication.observability.events import Event, PrimaryFound, PrimaryLost
from replication.patroni.client import RestClient
from replication.primary.router import PROMOTION_S

pytestmark = pytest.mark.anyio

LOCAL = StorageSettings(durability="local")


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPostgres]:
    with local_postgres(tmp_path_factory.mktemp("watch")) as server:
        yield server


@pytest.fixture
async def server(own_server: LocalPostgres) -> LocalPostgres:
    await prepare_ledger(own_server)
    return own_server


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[LocalPostgres, LocalPostgres]]:
    """A primary and its replica, to be broken by one test."""
    with local_postgres(tmp_path) as primary, replica_of(primary, tmp_path) as replica:
        yield primary, replica


@asynccontextmanager
async def storage_on_pair(
    pair: tuple[LocalPostgres, LocalPostgres], events: list[Event]
) -> AsyncIterator[tuple[Storage, Answers, Answers]]:
    await prepare_ledger(pair[0])
    async with (
        rest_api(primary=True) as a,
        rest_api(primary=False) as b,
        Storage(
            [a.member(pair[0]), b.member(pair[1])],
            CREDENTIALS,
            settings=LOCAL,
            observers=[events.append],
        ) as storage,
    ):
        await storage.run(adding("first"), deadline_s=60)
        await wait_rows(pair[1], "SELECT 1 FROM pg_class WHERE relname = 'ledger'")
        await wait_rows(pair[1], "SELECT 1 FROM bascule.ledger WHERE id = 'first'")
        yield storage, a, b


def promote(replica: LocalPostgres, answers: Answers) -> None:
    assert replica.query("SELECT pg_promote(true, 60)") == [(True,)]
    answers.status, answers.timeline = 200, 2


async def test_a_demoted_primary_is_not_written_to_though_its_connections_work(
    server: LocalPostgres,
) -> None:
    async with storage_on(server, settings=LOCAL) as (storage, answers):
        await storage.run(adding("first"), deadline_s=60)
        answers.status = 503
        await wait_true(lambda: storage.primary is None)
        with pytest.raises(NoPrimary):
            await storage.run(adding("a"), unit_id="a", deadline_s=1)
        answers.status = 200
        await storage.run(adding("a"), unit_id="a", deadline_s=60)
    assert entries(server, "a") == 1
    assert id_rows(server, "a") == [(1, "applied")]


async def test_one_that_is_demoted_while_it_is_connected_to_is_not_written_to(
    server: LocalPostgres,
) -> None:
    """The connection is being made (the server's start-up is held up) as its Patroni says no."""
    settings = StorageSettings(durability="local", watch_interval_s=0.05)
    async with storage_on(server, settings=settings) as (storage, answers):
        await wait_true(lambda: storage.primary is not None)
        postmaster = server.pids()[0]
        os.kill(postmaster, signal.SIGSTOP)  # the kernel takes the connection, nobody else does
        try:
            async with running(storage, adding("a"), deadline_s=4) as ends:
                await anyio.wait_all_tasks_blocked()
                answers.status = 503
                await wait_true(lambda: storage.primary is None)
                os.kill(postmaster, signal.SIGCONT)
        finally:
            os.kill(postmaster, signal.SIGCONT)
    assert isinstance(ends[0], NoPrimary)
    assert (entries(server, "a"), ends[0].attempts) == (0, 0)


async def test_all_sessions_to_a_lost_primary_are_dropped_at_once(server: LocalPostgres) -> None:
    events: list[Event] = []
    pids: set[int] = set()
    together = anyio.Event()

    async def meets(transaction: Transaction) -> None:
        pids.add(await own_pid(transaction))
        if len(pids) == 4:
            together.set()
        await together.wait()

    async with storage_on(server, settings=LOCAL, events=events) as (storage, answers):
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(storage.run, meets)
        answers.status = 503
        await wait_rows(
            server,
            "SELECT 1 WHERE NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = ANY(%s))",
            (list(pids),),
        )
    assert sum(isinstance(event, PrimaryLost) for event in events) == 1


async def test_units_in_flight_leave_a_frozen_primary_for_the_new_one(
    pair: tuple[LocalPostgres, LocalPostgres],
) -> None:
    events: list[Event] = []
    in_flight, go_on = anyio.Event(), anyio.Event()
    calls: list[str] = []

    async def writes(transaction: Transaction) -> None:
        calls.append(transaction.node)
        await adding("a")(transaction)
        if len(calls) == 1:
            in_flight.set()
            await go_on.wait()
        await transaction.execute("SELECT 1")

    async with (
        storage_on_pair(pair, events) as (storage, a, b),
        running(storage, writes, deadline_s=120) as ends,
    ):
        await in_flight.wait()
        with frozen(pair[0]):
            go_on.set()
            a.silent = True
            await anyio.to_thread.run_sync(promote, pair[1], b)
            await wait_true(lambda: bool(ends))
            # And whoever comes later finds nothing of the old one.
            later = await storage.run(adding("b"), deadline_s=60)
    assert isinstance(ends[0], Applied)
    assert (ends[0].node, ends[0].timeline, later.node) == ("db-b", 2, "db-b")
    assert calls == ["db-a", "db-b"]
    assert entries(pair[1], "a") == 1
    found = [event for event in events if isinstance(event, PrimaryFound)]
    assert [(event.node, event.previous) for event in found] == [("db-a", None), ("db-b", "db-a")]


async def test_a_commit_at_a_frozen_primary_is_resolved_at_the_new_one(
    pair: tuple[LocalPostgres, LocalPostgres],
) -> None:
    calls: list[str] = []

    async with storage_on_pair(pair, []) as (storage, a, b):
        freezer = frozen(pair[0])

        async def freezes(transaction: Transaction) -> None:
            calls.append(transaction.node)
            await adding("a")(transaction)
            if len(calls) == 1:
                freezer.__enter__()  # COMMIT is sent to nobody

        try:
            async with running(storage, freezes, deadline_s=120) as ends:
                await wait_true(lambda: bool(calls))
                a.silent = True
                await anyio.to_thread.run_sync(promote, pair[1], b)
        finally:
            freezer.__exit__(None, None, None)
    assert isinstance(ends[0], Applied)
    assert (ends[0].node, ends[0].row_attempt, calls) == ("db-b", 2, ["db-a", "db-b"])
    assert id_rows(pair[1], "a") == [(1, "void"), (2, "applied")]
    assert entries(pair[1], "a") == 1


async def test_of_two_that_claim_it_the_higher_timeline_is_written_to_for_good(
    pair: tuple[LocalPostgres, LocalPostgres],
) -> None:
    async with storage_on_pair(pair, []) as (storage, a, b):
        await anyio.to_thread.run_sync(promote, pair[1], b)  # and db-a goes on claiming
        await wait_true(lambda: storage.primary == "db-b")
        for n in range(5):
            applied = await storage.run(adding(f"b{n}"), deadline_s=60)
            assert (applied.node, applied.timeline) == ("db-b", 2)
        b.status = 503
        await wait_true(lambda: storage.primary is None)
        asked = a.asked
        with pytest.raises(NoPrimary):
            await storage.run(adding("a"), unit_id="a", deadline_s=1)
        assert a.asked > asked  # it was heard, and not believed
    assert entries(pair[0], "a") == 0
    assert pair[0].query("SELECT count(*) FROM bascule.ledger") == [(1,)]


async def test_another_cluster_is_never_accepted(server: LocalPostgres, tmp_path: Path) -> None:
    with local_postgres(tmp_path, name="db-x") as foreign:
        await prepare_ledger(foreign)
        async with (
            rest_api(primary=True) as ours,
            rest_api(primary=False) as theirs,
            Storage(
                [ours.member(server), theirs.member(foreign)], CREDENTIALS, settings=LOCAL
            ) as storage,
        ):
            await storage.run(adding("first"), deadline_s=60)
            theirs.status, theirs.timeline = 200, 9
            await wait_true(lambda: storage.primary == "db-x")
            applied = await storage.run(adding("a"), unit_id="a", deadline_s=60)
            assert applied.node == "db-a"
            ours.status = 503
            await wait_true(lambda: storage.primary is None)
            with pytest.raises(NoPrimary):
                await storage.run(adding("b"), deadline_s=1)
        assert foreign.query("SELECT count(*) FROM bascule.ledger") == [(0,)]
    assert entries(server, "a") == 1


async def test_a_replica_that_claims_to_be_the_primary_is_not_written_to(
    pair: tuple[LocalPostgres, LocalPostgres],
) -> None:
    async with storage_on_pair(pair, []) as (storage, a, b):
        a.status, b.status = 503, 200
        await wait_true(lambda: storage.primary == "db-b")
        with pytest.raises(NoPrimary) as caught:
            # It may be in the middle of its promotion, and is given the time for it.
            await storage.run(adding("a"), unit_id="a", deadline_s=2 * PROMOTION_S)
        assert "in recovery" in str(caught.value)
        a.status, b.status = 200, 503
        await storage.run(adding("a"), unit_id="a", deadline_s=60)
    assert entries(pair[0], "a") == 1


async def test_many_black_holes_before_it_delay_nothing(server: LocalPostgres) -> None:
    async with rest_api(primary=True) as alive, rest_api(primary=False, silent=True) as silent:
        holes = [
            Member(
                name=f"hole-{n}",
                rest_url=f"http://127.0.0.1:{silent.port}",
                host="127.0.0.1",
                port=1,
            )
            for n in range(12)
        ]
        async with Storage(
            [*holes, alive.member(server)],
            CREDENTIALS,
            settings=LOCAL,
            rest=RestClient(deadline_s=600),
        ) as storage:
            applied = await storage.run(adding("a"), unit_id="a", deadline_s=60)
            assert applied.node == "db-a"
            assert silent.asked <= len(holes)  # and are still being waited for


async def test_many_failures_at_once_are_no_storm_of_questions(server: LocalPostgres) -> None:
    settings = StorageSettings(durability="local", sessions_max=12)
    pids: dict[int, int] = {}
    together = anyio.Event()

    async with storage_on(server, settings=settings) as (storage, answers):

        async def write(number: int) -> None:
            async def is_killed(transaction: Transaction) -> None:
                pid = await own_pid(transaction)
                await adding(str(number))(transaction)
                if number not in pids:
                    pids[number] = pid
                    if len(pids) == 12:
                        server.query(
                            "SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS pid",
                            (list(pids.values()),),
                        )
                        together.set()
                    await together.wait()
                    await transaction.execute("SELECT 1")

            await storage.run(is_killed, unit_id=str(number), deadline_s=60)

        await storage.run(adding("first"), deadline_s=60)
        asked = answers.asked
        async with anyio.create_task_group() as group:
            for number in range(12):
                group.start_soon(write, number)
        assert answers.asked - asked <= 8
    assert all(entries(server, str(number)) == 1 for number in range(12))


async def test_a_long_statement_is_no_reason_to_ask_again_and_again(
    server: LocalPostgres,
) -> None:
    """Once a second at most, whatever runs: regular questions and doubts together."""
    seconds = 8

    async def reports(transaction: Transaction) -> None:
        await transaction.execute("SELECT pg_sleep(%s)", (seconds,))

    async with storage_on(server, settings=LOCAL) as (storage, answers):
        await storage.run(adding("first"), deadline_s=60)
        asked, begun_s = answers.asked, anyio.current_time()
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(storage.run, reports)
        elapsed_s = anyio.current_time() - begun_s
        assert answers.asked - asked <= elapsed_s
