"""A server in each of the states that the table of failures knows, met by a unit of work.

The states are real wherever a client can bring one about: conflicts of two transactions, timeouts,
a disk that is full, shutdowns. Those that only a server without memory, a broken extension or a
two-phase commit can produce are raised under their own SQLSTATE (``raised``).
"""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio
import anyio.to_thread
import psycopg
import pytest
from psycopg import sql
from support.postgres.ledger_units import UnitFn, adding, admin_on, own_pid, wait_rows
from support.postgres.local_postgres import LocalPostgres

from replication import Applied, Isolation, Storage, StorageError, Transaction
from replication.observability.events import AttemptFailed, Event, PrimaryLost

SMALL_DISK_KIB = 512

SCHEMA = """
CREATE TABLE rows (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO rows VALUES (1), (2);
CREATE TABLE once (id int PRIMARY KEY);
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (id int REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
GRANT ALL ON rows, once, parent, child TO bascule_app;
CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE code text := current_setting('states.at_commit', true);
BEGIN
    IF code = 'sleep' THEN
        PERFORM pg_sleep(600);
    ELSIF code <> '' THEN
        RAISE EXCEPTION 'raised at COMMIT' USING ERRCODE = code;
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON bascule.ledger
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION at_commit();
"""


@dataclass(kw_only=True)
class Lab:
    """A server, a storage on it, and a unit of work whose first call meets a state."""

    server: LocalPostgres
    storage: Storage
    events: list[Event]
    calls: int = 0
    ended: Applied[None] | StorageError | None = None
    repeatable: bool = True
    notes: list[str] = field(default_factory=list)

    async def run(self, first: UnitFn, *, isolation: Isolation | None = None) -> None:
        """The unit ``a``: adds its entry, and in its first call does ``first`` after that."""

        async def unit_of_work(transaction: Transaction) -> None:
            self.calls += 1
            await adding("a")(transaction)
            if self.calls == 1:
                await first(transaction)

        try:
            self.ended = await self.storage.run(
                unit_of_work,
                unit_id="a",
                deadline_s=60,
                durability="local",
                isolation=isolation,
                repeatable=self.repeatable,
            )
        except StorageError as error:
            self.ended = error

    @property
    def losses(self) -> list[PrimaryLost]:
        return [event for event in self.events if isinstance(event, PrimaryLost)]

    @property
    def failures(self) -> list[AttemptFailed]:
        return [event for event in self.events if isinstance(event, AttemptFailed)]


def raised(code: str) -> Callable[[Lab], Awaitable[None]]:
    """An ERROR with this SQLSTATE, as a function of the application may raise it."""

    async def state(lab: Lab) -> None:
        async def first(transaction: Transaction) -> None:
            await transaction.execute(
                sql.SQL("DO $$ BEGIN RAISE 'raised' USING ERRCODE = {}; END $$").format(
                    sql.Literal(code)
                )
            )

        await lab.run(first)

    return state


def statements(*queries: sql.SQL) -> Callable[[Lab], Awaitable[None]]:
    """A state that a transaction gets itself into."""

    async def state(lab: Lab) -> None:
        async def first(transaction: Transaction) -> None:
            for query in queries:
                await transaction.execute(query)

        await lab.run(first)

    return state


async def a_swallowed_error(lab: Lab) -> None:
    async def first(transaction: Transaction) -> None:
        with pytest.raises(psycopg.errors.UndefinedTable):
            await transaction.execute("SELECT * FROM no_such_table")

    await lab.run(first)


async def idle_in_transaction(lab: Lab) -> None:
    async def first(transaction: Transaction) -> None:
        pid = await own_pid(transaction)
        await transaction.execute("SET LOCAL idle_in_transaction_session_timeout = '20ms'")
        await gone(lab.server, pid)
        await transaction.execute("SELECT 1")

    await lab.run(first)


async def idle_session(lab: Lab) -> None:
    async def leaves_a_short_life(transaction: Transaction) -> int:
        await transaction.execute("SET SESSION idle_session_timeout = '20ms'")
        return await own_pid(transaction)

    pid = (await lab.storage.run(leaves_a_short_life, deadline_s=60, durability="local")).value
    await gone(lab.server, pid)
    await lab.run(nothing)


async def a_concurrent_update(lab: Lab) -> None:
    async def first(transaction: Transaction) -> None:
        await transaction.execute("SELECT n FROM rows WHERE id = 1")
        lab.server.query("UPDATE rows SET n = n + 1 WHERE id = 1")
        await transaction.execute("UPDATE rows SET n = n + 1 WHERE id = 1")

    await lab.run(first, isolation="serializable")


async def a_deadlock(lab: Lab) -> None:
    with admin_on(lab.server) as other:
        other.execute("SET deadlock_timeout = '10min'")  # so that it is us who notice
        other.autocommit = False
        other.execute("UPDATE rows SET n = 1 WHERE id = 2")

        async def first(transaction: Transaction) -> None:
            await transaction.execute("UPDATE rows SET n = 1 WHERE id = 1")
            group.start_soon(
                anyio.to_thread.run_sync, other.execute, "UPDATE rows SET n = 2 WHERE id = 1"
            )
            await wait_rows(lab.server, "SELECT 1 FROM pg_locks WHERE NOT granted")
            await transaction.execute("UPDATE rows SET n = 2 WHERE id = 2")

        async with anyio.create_task_group() as group:
            await lab.run(first)
        other.rollback()


async def a_lock_of_somebody_else(lab: Lab) -> None:
    with admin_on(lab.server) as other:
        other.autocommit = False
        other.execute("SELECT FROM rows WHERE id = 1 FOR UPDATE")

        async def first(transaction: Transaction) -> None:
            await transaction.execute("SELECT FROM rows WHERE id = 1 FOR UPDATE NOWAIT")

        await lab.run(first)


async def a_lock_timeout(lab: Lab) -> None:
    with admin_on(lab.server) as other:
        other.autocommit = False
        other.execute("SELECT FROM rows WHERE id = 1 FOR UPDATE")

        async def first(transaction: Transaction) -> None:
            await transaction.execute("SET LOCAL lock_timeout = '10ms'")
            await transaction.execute("SELECT FROM rows WHERE id = 1 FOR UPDATE")

        await lab.run(first)


def ended_by(function: sql.SQL) -> Callable[[Lab], Awaitable[None]]:
    async def state(lab: Lab) -> None:
        async def first(transaction: Transaction) -> None:
            pid = await own_pid(transaction)
            async with anyio.create_task_group() as group:
                group.start_soon(end_when_asleep, lab.server, function, pid)
                try:
                    await transaction.execute("SELECT pg_sleep(600)")
                except psycopg.Error as error:
                    caught.append(error)
            raise caught[0]

        caught: list[psycopg.Error] = []
        await lab.run(first)

    return state


async def end_when_asleep(server: LocalPostgres, function: sql.SQL, pid: int) -> None:
    await wait_rows(
        server, "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event = 'PgSleep'", (pid,)
    )
    server.query(sql.SQL("SELECT {}(%s)").format(function), (pid,))


async def a_full_disk(lab: Lab) -> None:
    """An unlogged table on a disk of half a megabyte: the WAL has room enough."""
    lab.server.query("DROP TABLE IF EXISTS big")
    lab.server.query("DROP TABLESPACE IF EXISTS small")
    place = sql.Literal(str(lab.server.small_disk))
    lab.server.query(sql.SQL("CREATE TABLESPACE small LOCATION {}").format(place))
    lab.server.query("CREATE UNLOGGED TABLE big (x text) TABLESPACE small")
    lab.server.query("GRANT ALL ON big TO bascule_app")

    async def first(transaction: Transaction) -> None:
        await transaction.execute(
            "INSERT INTO big SELECT repeat('x', 1000) FROM generate_series(1, 10000)"
        )

    await lab.run(first)
    lab.server.query("DROP TABLE big")
    lab.server.query("DROP TABLESPACE small")


async def an_immediate_shutdown(lab: Lab) -> None:
    async def first(transaction: Transaction) -> None:
        await anyio.to_thread.run_sync(lab.server.stop)
        await anyio.to_thread.run_sync(lab.server.start)
        await transaction.execute("SELECT 1")

    await lab.run(first)


async def a_fast_shutdown(lab: Lab) -> None:
    async def first(transaction: Transaction) -> None:
        lab.server.send(signal.SIGINT)
        await anyio.to_thread.run_sync(lab.server.wait_stopped)
        await anyio.to_thread.run_sync(lab.server.start)
        await transaction.execute("SELECT 1")

    await lab.run(first)


async def nothing(_: Transaction) -> None:
    return None


async def gone(server: LocalPostgres, pid: int) -> None:
    await wait_rows(
        server,
        "SELECT 1 WHERE NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = %s)",
        (pid,),
    )


async def a_slow_transaction(lab: Lab) -> None:
    """PostgreSQL 17 and later."""

    async def first(transaction: Transaction) -> None:
        await transaction.execute("SET LOCAL transaction_timeout = '20ms'")
        await transaction.execute("SELECT pg_sleep(600)")

    await lab.run(first)


_SLEEP = sql.SQL("SELECT pg_sleep(600)")

ANSWERED: dict[str, list[Callable[[Lab], Awaitable[None]]]] = {
    "23": [
        statements(sql.SQL("INSERT INTO once VALUES (1), (1)")),
        statements(
            sql.SQL("SET CONSTRAINTS ALL IMMEDIATE"), sql.SQL("INSERT INTO child VALUES (7)")
        ),
    ],
    "25006": [
        statements(
            sql.SQL("SET TRANSACTION READ ONLY"), sql.SQL("UPDATE rows SET n = 1 WHERE id = 1")
        )
    ],
    "25P02": [a_swallowed_error],
    "40001": [a_concurrent_update],
    "40P01": [a_deadlock],
    "53100": [a_full_disk],
    "53200": [
        statements(sql.SQL("SELECT pg_advisory_xact_lock(n) FROM generate_series(1, 1000000) AS n"))
    ],
    "55P03": [a_lock_of_somebody_else, a_lock_timeout],
    "57014": [
        statements(sql.SQL("SET LOCAL statement_timeout = 10"), _SLEEP),
        ended_by(sql.SQL("pg_cancel_backend")),
    ],
}
"""The server answers with an ERROR, and the session lives. (53300 and 57P03 are met for real where
they can happen, at connecting: ``test_storage_pressure``.)"""

ENDED: dict[str, list[Callable[[Lab], Awaitable[None]]]] = {
    "25P03": [idle_in_transaction],
    "25P04": [a_slow_transaction],
    "57P01": [ended_by(sql.SQL("pg_terminate_backend")), a_fast_shutdown],
    "57P02": [an_immediate_shutdown],
    "57P05": [idle_session],
}
"""The server ends the session."""

ENDS_WITHOUT_A_WORD = {"25P04", "57P01", "57P02", "57P05"}
"""The server says it as it closes the connection; in the middle of a statement psycopg passes on
only that it is closed."""
