"""Units of work against a real PostgreSQL: applied once, or an error that says what is known."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import LiteralString

import anyio
import psycopg
import pytest
from support.postgres.ledger_units import (
    CREDENTIALS,
    adding,
    entries,
    id_rows,
    own_pid,
    prepare_ledger,
    storage_on,
    wait_backend,
)
from support.postgres.local_postgres import LocalPostgres
from support.postgres.patroni_answers import rest_api
from support.postgres.wal_receiver import no_standby

from replication import (
    AlreadyApplied,
    DeadlineExceeded,
    Member,
    NoPrimary,
    NotApplied,
    Storage,
    Transaction,
    Unknown,
)

pytestmark = pytest.mark.anyio

LATE_S = 0.5
"""How much later than its deadline a unit of work may end."""


@pytest.fixture
async def server(postgres_server: LocalPostgres) -> LocalPostgres:
    """The server with an empty ledger."""
    await prepare_ledger(postgres_server)
    await prepare_ledger(postgres_server)  # is idempotent
    return postgres_server


async def test_applied_once_with_its_evidence(server: LocalPostgres) -> None:
    async with storage_on(server) as (storage, _):
        applied = await storage.run(adding("a"), unit_id="a", deadline_s=5)
        again = await storage.run(adding("b"), unit_id="b", deadline_s=5)
    assert (applied.node, applied.timeline, applied.attempts) == ("db-a", 1, 1)
    assert not applied.resolved
    assert "/" in applied.lsn
    assert again.attempt_s > applied.attempt_s
    assert entries(server, "a") == entries(server, "b") == 1
    assert id_rows(server, "a") == [(1, "applied")]


async def test_the_functions_value_and_rows(server: LocalPostgres) -> None:
    async def count(transaction: Transaction) -> int:
        inserted = await transaction.execute(
            "INSERT INTO bascule.ledger (id, site, worker, n) VALUES ('v', 's', 0, 0) RETURNING n"
        )
        assert (inserted.rows, inserted.rowcount) == ([(0,)], 1)
        result = await transaction.execute("SELECT count(*) FROM bascule.ledger WHERE id = 'v'")
        value: int = result.rows[0][0]
        return value

    async with storage_on(server) as (storage, _):
        assert (await storage.run(count, unit_id="v", deadline_s=5)).value == 1


async def test_workers_share_few_connections(server: LocalPostgres) -> None:
    async with storage_on(server) as (storage, answers), anyio.create_task_group() as group:

        async def work(worker: int) -> None:
            for n in range(20):
                unit_id = f"{worker}-{n}"
                await storage.run(adding(unit_id), unit_id=unit_id, deadline_s=5)

        for worker in range(4):
            group.start_soon(work, worker)
    assert server.query("SELECT count(*), count(DISTINCT id) FROM bascule.ledger") == [(80, 80)]
    assert answers.asked <= 3  # not once a connection: only as the watch wants


async def test_a_unit_that_was_applied_is_not_applied_again(server: LocalPostgres) -> None:
    async with storage_on(server) as (storage, _):
        await storage.run(adding("a"), unit_id="a", deadline_s=5)
        with pytest.raises(AlreadyApplied):
            await storage.run(adding("a"), unit_id="a", deadline_s=5)
    assert entries(server, "a") == 1


async def test_a_void_attempt_is_followed_by_the_next(server: LocalPostgres) -> None:
    server.query("INSERT INTO bascule.unit_of_work VALUES ('a', 1, 'void'), ('a', 2, 'void')")
    async with storage_on(server) as (storage, _):
        await storage.run(adding("a"), unit_id="a", deadline_s=5)
    assert entries(server, "a") == 1
    assert id_rows(server, "a") == [(1, "void"), (2, "void"), (3, "applied")]


async def test_killed_before_commit_is_run_again(server: LocalPostgres) -> None:
    calls: list[int] = []

    async def killed_once(transaction: Transaction) -> None:
        await adding("a")(transaction)
        calls.append(await own_pid(transaction))
        if len(calls) == 1:
            server.query("SELECT pg_terminate_backend(%s, 5000)", (calls[0],))
            await transaction.execute("SELECT 1")

    async with storage_on(server) as (storage, _):
        applied = await storage.run(killed_once, unit_id="a", deadline_s=5)
    assert (applied.attempts, applied.resolved) == (2, False)
    assert entries(server, "a") == 1


@pytest.mark.parametrize("end", ["pg_cancel_backend", "pg_terminate_backend"])
@pytest.mark.parametrize("client_min_messages", ["notice", "error"])
async def test_a_cancelled_synchronous_wait_is_never_ok(
    server: LocalPostgres, end: LiteralString, client_min_messages: str
) -> None:
    server.set("client_min_messages", client_min_messages)
    ended: list[bool] = []
    async with storage_on(server) as (storage, _), anyio.create_task_group() as group:

        async def write() -> None:
            applied = await storage.run(adding("a"), unit_id="a", deadline_s=20)
            assert applied.resolved
            assert (applied.node, applied.attempts) == ("db-a", 1)
            ended.append(True)

        with no_standby(server):
            group.start_soon(write)
            pid = await wait_backend(server, "wait_event = 'SyncRep'")
            ended_at = server.query("SELECT clock_timestamp()::text")[0][0]
            server.query(psycopg.sql.SQL("SELECT {}(%s)").format(psycopg.sql.SQL(end)), (pid,))
            # The question is a commit too: it waits for the standby as well, twice if need be.
            await wait_backend(server, f"wait_event = 'SyncRep' AND xact_start > '{ended_at}'")
            assert entries(server, "a") == 1  # visible here, and yet not acknowledged
            assert not ended
    assert ended
    assert entries(server, "a") == 1
    server.set("client_min_messages", "notice")


async def test_a_doubt_that_outlives_the_deadline_is_unknown_and_can_be_asked_later(
    server: LocalPostgres,
) -> None:
    async with storage_on(server) as (storage, _):
        with no_standby(server):
            begun_s = time.monotonic()
            with pytest.raises(Unknown) as caught:
                await storage.run(adding("a"), unit_id="a", deadline_s=1)
            assert time.monotonic() - begun_s < 1 + LATE_S
        assert (caught.value.unit_id, caught.value.node, caught.value.attempts) == ("a", "db-a", 1)
        with pytest.raises(AlreadyApplied):
            await storage.run(adding("a"), unit_id="a", deadline_s=10)
    assert entries(server, "a") == 1


@asynccontextmanager
async def frozen(pid: int) -> AsyncIterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_the_deadline_holds_against_a_silent_server(server: LocalPostgres) -> None:
    async def frozen_in_the_middle(transaction: Transaction) -> None:
        await adding("a")(transaction)
        pid = await own_pid(transaction)
        async with frozen(pid):
            await transaction.execute("SELECT 1")

    async with storage_on(server) as (storage, _):
        begun_s = time.monotonic()
        with pytest.raises(DeadlineExceeded) as caught:
            await storage.run(frozen_in_the_middle, unit_id="a", deadline_s=1)
        assert time.monotonic() - begun_s < 1 + LATE_S
        assert caught.value.attempts == 1
        assert 1 <= caught.value.elapsed_s < 1 + LATE_S
        # What was left of it holds the key no longer than it takes the server to notice.
        await storage.run(adding("a"), unit_id="a", deadline_s=10)
    assert entries(server, "a") == 1


async def test_the_deadline_holds_at_commit_too(server: LocalPostgres) -> None:
    pids: list[int] = []

    async def frozen_at_the_end(transaction: Transaction) -> None:
        await adding("a")(transaction)
        pids.append(await own_pid(transaction))
        os.kill(pids[0], signal.SIGSTOP)

    async with storage_on(server) as (storage, _):
        begun_s = time.monotonic()
        try:
            with pytest.raises(Unknown):
                await storage.run(frozen_at_the_end, unit_id="a", deadline_s=1)
            assert time.monotonic() - begun_s < 1 + LATE_S
        finally:
            os.kill(pids[0], signal.SIGCONT)
        # The COMMIT was on its way and is carried out now: exactly what "unknown" is about.
        with pytest.raises(AlreadyApplied):
            await storage.run(adding("a"), unit_id="a", deadline_s=10)
    assert entries(server, "a") == 1


async def test_a_restart_in_between_is_survived(server: LocalPostgres) -> None:
    async with storage_on(server) as (storage, _):
        await storage.run(adding("a"), unit_id="a", deadline_s=5)
        server.stop()
        async with anyio.create_task_group() as group:

            async def write() -> None:
                await storage.run(adding("b"), unit_id="b", deadline_s=20)

            group.start_soon(write)
            await anyio.to_thread.run_sync(server.start)
    assert entries(server, "b") == 1


async def test_a_silent_member_delays_nothing(server: LocalPostgres) -> None:
    nobody = Member(name="db-x", rest_url="http://127.0.0.1:1", host="127.0.0.1", port=1)
    async with rest_api(primary=True) as alive, rest_api(primary=False, silent=True) as silent:
        hole = Member(
            name="db-0", rest_url=f"http://127.0.0.1:{silent.port}", host="127.0.0.1", port=1
        )
        members = [hole, nobody, alive.member(server)]
        async with Storage(members, CREDENTIALS) as storage:
            applied = await storage.run(adding("a"), unit_id="a", deadline_s=5)
    assert applied.elapsed_s < 0.5


async def test_no_primary_until_the_deadline(server: LocalPostgres) -> None:
    async with (
        rest_api(primary=False) as answers,
        Storage([answers.member(server)], CREDENTIALS) as storage,
    ):
        with pytest.raises(NoPrimary) as caught:
            await storage.run(adding("a"), unit_id="a", deadline_s=1)
    assert caught.value.attempts == 0
    assert 2 <= answers.asked <= 25


async def test_a_mistake_of_the_caller_is_said_at_once(server: LocalPostgres) -> None:
    async def wrong(transaction: Transaction) -> None:
        await transaction.execute("SELECT * FROM no_such_table")

    async with storage_on(server) as (storage, _):
        with pytest.raises(NotApplied) as caught:
            await storage.run(wrong, unit_id="a", deadline_s=5)
        assert (caught.value.sqlstate, caught.value.attempts) == ("42P01", 1)
        # The connection is as good as before, and the id is free.
        await storage.run(adding("a"), unit_id="a", deadline_s=5)


async def test_the_functions_own_error_comes_through_and_rolls_back(server: LocalPostgres) -> None:
    async def changes_its_mind(transaction: Transaction) -> None:
        await adding("a")(transaction)
        raise LookupError("no such patient")

    async with storage_on(server) as (storage, _):
        with pytest.raises(LookupError, match="no such patient"):
            await storage.run(changes_its_mind, unit_id="a", deadline_s=5)
        assert entries(server, "a") == 0
        await storage.run(adding("a"), unit_id="a", deadline_s=5)


async def test_errors_leave_the_context_as_they_are(server: LocalPostgres) -> None:
    async def in_a_block_of_its_own() -> None:
        async with storage_on(server) as (storage, _):
            await storage.run(adding("a"), unit_id="a", deadline_s=5)
            raise LookupError

    with pytest.raises(LookupError):
        await in_a_block_of_its_own()


async def test_a_swallowed_error_is_no_commit(server: LocalPostgres) -> None:
    async def swallows(transaction: Transaction) -> None:
        await adding("a")(transaction)
        with pytest.raises(psycopg.errors.UndefinedTable):
            await transaction.execute("SELECT * FROM no_such_table")

    async with storage_on(server) as (storage, _):
        with pytest.raises(NotApplied) as caught:
            await storage.run(swallows, unit_id="a", deadline_s=5)
    assert caught.value.sqlstate == "25P02"
    assert entries(server, "a") == 0


@pytest.mark.parametrize(
    "statement",
    ["COMMIT", "rollback", "END", " /* so */ ABORT", "-- so\nCOMMIT AND CHAIN", "ROLLBACK WORK"],
)
async def test_a_function_cannot_end_its_transaction(
    server: LocalPostgres, statement: LiteralString
) -> None:
    calls: list[int] = []

    async def ends_it(transaction: Transaction) -> None:
        calls.append(1)
        await transaction.execute(statement)
        await adding("a")(transaction)

    async with storage_on(server) as (storage, _):
        with pytest.raises(NotApplied, match="not the function's to end"):
            await storage.run(ends_it, unit_id="a", deadline_s=5)
    assert (calls, entries(server, "a"), id_rows(server, "a")) == ([1], 0, [])


async def test_a_savepoint_survives_its_error(server: LocalPostgres) -> None:
    async def tries(transaction: Transaction) -> None:
        await transaction.execute("SAVEPOINT s")
        with pytest.raises(psycopg.errors.UndefinedTable):
            await transaction.execute("SELECT * FROM no_such_table")
        await transaction.execute("ROLLBACK TO s")
        await adding("a")(transaction)

    async with storage_on(server) as (storage, _):
        await storage.run(tries, unit_id="a", deadline_s=5)
    assert entries(server, "a") == 1


@pytest.mark.parametrize("sqlstate", ["40001", "40P01"])
async def test_what_may_pass_is_tried_again(server: LocalPostgres, sqlstate: str) -> None:
    tries: list[str] = []

    async def fails_twice(transaction: Transaction) -> None:
        await adding("a")(transaction)
        tries.append(sqlstate)
        if len(tries) < 3:
            await transaction.execute(
                psycopg.sql.SQL(
                    "DO $$ BEGIN RAISE EXCEPTION 'made up' USING ERRCODE = {}; END $$"
                ).format(psycopg.sql.Literal(sqlstate))
            )

    async with storage_on(server) as (storage, _):
        applied = await storage.run(fails_twice, unit_id="a", deadline_s=5)
    assert applied.attempts == 3
    assert entries(server, "a") == 1


async def test_a_deferred_constraint_at_commit_is_not_applied(server: LocalPostgres) -> None:
    async def violates(transaction: Transaction) -> None:
        await transaction.execute(
            "CREATE TEMP TABLE d (x int UNIQUE DEFERRABLE INITIALLY DEFERRED) ON COMMIT DROP"
        )
        await transaction.execute("INSERT INTO d VALUES (1), (1)")
        await adding("a")(transaction)

    async with storage_on(server) as (storage, _):
        with pytest.raises(NotApplied) as caught:
            await storage.run(violates, unit_id="a", deadline_s=5)
    assert caught.value.sqlstate == "23505"
    assert entries(server, "a") == 0


async def test_what_nobody_waits_for_any_more_ends_in_the_server(server: LocalPostgres) -> None:
    """Else it would hold its id row, and whoever asks about it, for as long as it takes."""

    async def takes_an_hour(transaction: Transaction) -> None:
        await adding("a")(transaction)
        await transaction.execute("SELECT pg_sleep(3600)")

    async with storage_on(server) as (storage, _):
        with pytest.raises(DeadlineExceeded):
            await storage.run(takes_an_hour, unit_id="a", deadline_s=0.5)
        await storage.run(adding("a"), unit_id="a", deadline_s=30)
    assert entries(server, "a") == 1


async def test_no_cancel_request_reaches_a_commit(server: LocalPostgres) -> None:
    """A deadline that passes in COMMIT must not make the server give up its synchronous wait."""
    async with storage_on(server) as (storage, _):
        with no_standby(server):
            with pytest.raises(Unknown):
                await storage.run(adding("a"), unit_id="a", deadline_s=0.5)
            await wait_backend(server, "wait_event = 'SyncRep'")
            assert entries(server, "a") == 0
    assert "password" not in repr(CREDENTIALS)
