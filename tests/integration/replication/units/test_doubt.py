"""Commits in doubt: whoever asks may be hindered, but never says more than it knows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import psycopg
import pytest
from support.postgres.ledger_units import (
    CREDENTIALS,
    adding,
    admin_on,
    entries,
    id_rows,
    prepare_ledger,
    running,
    setting,
    storage_on,
    wait_backend,
    wait_rows,
)
from support.postgres.local_postgres import LocalPostgres
from support.postgres.wal_receiver import no_standby

from replication import Applied, Transaction, Unknown
from replication.units.durability import plan
from replication.units.id_row import OUTCOMES
from replication.units.outcome import ask_outcome
from replication.wire import Address, Params, Query, Session, session_to

pytestmark = pytest.mark.anyio


@pytest.fixture
async def server(postgres_server: LocalPostgres) -> LocalPostgres:
    """The server with an empty ledger."""
    await prepare_ledger(postgres_server)
    return postgres_server


async def test_who_is_not_let_in_any_more_does_not_say_not_applied(server: LocalPostgres) -> None:
    async with storage_on(server) as (storage, _):
        try:
            with no_standby(server):
                async with running(storage, adding("a"), deadline_s=3) as ends:
                    pid = await wait_backend(server, "wait_event = 'SyncRep'")
                    server.query("ALTER ROLE bascule_app NOLOGIN")
                    server.query("SELECT pg_terminate_backend(%s, 5000)", (pid,))
        finally:
            server.query("ALTER ROLE bascule_app LOGIN")
    assert isinstance(ends[0], Unknown)
    assert entries(server, "a") == 1


async def test_a_question_that_is_cancelled_is_asked_again(server: LocalPostgres) -> None:
    async with storage_on(server) as (storage, _):
        with no_standby(server), admin_on(server) as admin:
            async with running(storage, adding("a"), deadline_s=60) as ends:
                pid = await wait_backend(server, "wait_event = 'SyncRep'")
                async with anyio.create_task_group() as group:
                    # Stands in the way of the question, as soon as the commit has let go.
                    admin.autocommit = False
                    lock = "LOCK TABLE bascule.unit_of_work IN SHARE MODE"
                    group.start_soon(anyio.to_thread.run_sync, admin.execute, lock)
                    await wait_rows(server, "SELECT 1 FROM pg_locks WHERE NOT granted")
                    server.query("SELECT pg_cancel_backend(%s)", (pid,))
                question = await wait_backend(server, "wait_event_type = 'Lock'")
                server.query("SELECT pg_cancel_backend(%s)", (question,))
                admin.rollback()
                await wait_backend(server, "wait_event = 'SyncRep'")
                server.set("synchronous_standby_names", "ANY 1 (receiver)")
    assert isinstance(ends[0], Applied)
    assert ends[0].resolved
    assert entries(server, "a") == 1


async def test_a_question_that_may_not_be_asked_says_so_at_once(server: LocalPostgres) -> None:
    async with storage_on(server) as (storage, _):
        try:
            with no_standby(server):
                async with running(storage, adding("a"), deadline_s=600) as ends:
                    pid = await wait_backend(server, "wait_event = 'SyncRep'")
                    server.query("REVOKE UPDATE ON bascule.unit_of_work FROM bascule_app")
                    server.query("SELECT pg_cancel_backend(%s)", (pid,))
        finally:
            server.query("GRANT UPDATE ON bascule.unit_of_work TO bascule_app")
    assert isinstance(ends[0], Unknown)
    assert ends[0].sqlstate == "42501"


class Overtaken(Session):
    """Between its look at the id rows and its question, somebody else ends the first attempt and
    applies the second one."""

    server: LocalPostgres

    async def fetch(self, query: Query, params: Params | None = None) -> list[tuple[Any, ...]]:
        rows = await super().fetch(query, params)
        if query == OUTCOMES and not rows:
            self.server.query(
                "INSERT INTO bascule.unit_of_work VALUES ('a', 1, 'void'), ('a', 2, 'applied')"
            )
        return rows


async def test_an_outcome_is_not_fooled_by_a_retry_that_overtakes_it(server: LocalPostgres) -> None:
    @asynccontextmanager
    async def sessions() -> AsyncIterator[Session]:
        address = Address(node=server.name, host="127.0.0.1", port=server.port)
        async with session_to(address, CREDENTIALS) as session:
            session.__class__ = Overtaken
            assert isinstance(session, Overtaken)
            session.server = server
            yield session

    outcome = await ask_outcome(sessions, "a", plan("quorum"), deadline_s=30)
    assert (outcome.applied, outcome.attempt) == (True, 2)
    assert id_rows(server, "a") == [(1, "void"), (2, "applied")]


async def test_outcome_applied(server: LocalPostgres) -> None:
    async with storage_on(server) as (storage, _):
        await storage.run(adding("a"), unit_id="a", deadline_s=30)
        outcome = await storage.outcome("a", deadline_s=30)
    assert (outcome.unit_id, outcome.applied, outcome.attempt) == ("a", True, 1)


async def test_outcome_not_applied_stays_so_for_whoever_is_on_the_way(
    server: LocalPostgres,
) -> None:
    """The attempt that is in flight is fenced: its ``run`` begins another one, and applies once."""
    calls: list[int] = []
    asked = anyio.Event()
    in_flight = anyio.Event()

    async def waits(transaction: Transaction) -> None:
        calls.append(len(calls) + 1)
        await adding("a")(transaction)
        if len(calls) == 1:
            in_flight.set()
            pid = (await transaction.execute("SELECT pg_backend_pid()")).rows[0][0]
            await asked.wait()
            # Gone before its COMMIT; only so can the question, which waits for it, be answered.
            await anyio.to_thread.run_sync(
                server.query, "SELECT pg_terminate_backend(%s, 5000)", (pid,)
            )

    async with (
        storage_on(server) as (storage, _),
        running(storage, waits, deadline_s=60) as ends,
        anyio.create_task_group() as group,
    ):
        await in_flight.wait()
        outcomes: list[bool] = []

        async def ask() -> None:
            outcomes.append((await storage.outcome("a", deadline_s=60)).applied)

        group.start_soon(ask)
        await wait_backend(server, "wait_event = 'transactionid'")
        asked.set()
    assert isinstance(ends[0], Applied)
    assert (ends[0].row_attempt, len(calls)) in {(1, 2), (2, 2), (2, 3)}
    assert outcomes == [ends[0].row_attempt == 1]
    assert entries(server, "a") == 1


async def test_outcome_of_what_nobody_has_heard_of_is_a_fence(server: LocalPostgres) -> None:
    async with storage_on(server) as (storage, _):
        outcome = await storage.outcome("a", deadline_s=30)
        assert (outcome.applied, outcome.attempt) == (False, 1)
        applied = await storage.run(adding("a"), unit_id="a", deadline_s=30)
        assert applied.row_attempt == 2
        assert (await storage.outcome("a", deadline_s=30)).attempt == 2
    assert entries(server, "a") == 1


async def test_outcome_unknown_at_the_deadline(server: LocalPostgres) -> None:
    async with storage_on(server) as (storage, _):
        await storage.run(adding("a"), unit_id="a", deadline_s=30)
        with no_standby(server), pytest.raises(Unknown) as caught:
            await storage.outcome("a", deadline_s=1)
        # Nor can it be known while there is nobody to wait for.
        with setting(server, "synchronous_standby_names", ""), pytest.raises(Unknown):
            await storage.outcome("a", deadline_s=1)
        assert (await storage.outcome("a", deadline_s=30)).applied
    assert (caught.value.unit_id, caught.value.node) == ("a", "db-a")


async def test_a_unit_that_may_not_be_repeated_is_resolved_all_the_same(
    server: LocalPostgres,
) -> None:
    calls: list[str] = []

    async def mails(transaction: Transaction) -> None:
        calls.append("mail")
        await adding("a")(transaction)

    async with storage_on(server) as (storage, _):
        with no_standby(server):
            async with running(storage, mails, deadline_s=60, repeatable=False) as ends:
                pid = await wait_backend(server, "wait_event = 'SyncRep'")
                server.query("SELECT pg_terminate_backend(%s, 5000)", (pid,))
                await wait_backend(server, "wait_event = 'SyncRep' AND query = 'COMMIT'")
                server.set("synchronous_standby_names", "ANY 1 (receiver)")
    assert isinstance(ends[0], Applied)
    assert (ends[0].resolved, calls) == (True, ["mail"])
    assert entries(server, "a") == 1


async def test_psycopg_says_uncertain_things_as_the_table_takes_them(server: LocalPostgres) -> None:
    """An error after the answer to COMMIT is none of COMMIT: it is in doubt, not rolled back."""
    address = Address(node=server.name, host="127.0.0.1", port=server.port)
    async with session_to(address, CREDENTIALS) as session:
        session.begin("SELECT 1")
        await session.execute("SELECT 1", None)
        with pytest.raises(psycopg.OperationalError, match="division by zero") as caught:
            await session.commit("SELECT 1/0")
        assert type(caught.value).__name__ == "CommitWarning"
        assert session.is_clean
