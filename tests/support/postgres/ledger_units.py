"""What the tests of the storage layer share: a storage on one server, units of work, and a look
past them at what is in the tables."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import LiteralString

import anyio
import anyio.to_thread
import psycopg
from psycopg import sql
from support.postgres.ledger_entries import Entry, add_entry, prepare
from support.postgres.local_postgres import PASSWORD, SUPERUSER, LocalPostgres
from support.postgres.patroni_answers import Answers, rest_api

from replication import (
    Applied,
    Credentials,
    Durability,
    Storage,
    StorageError,
    StorageSettings,
    Transaction,
)
from replication.observability.events import Event
from replication.wire import Address, session_to

ROLE, ROLE_PASSWORD = "bascule_app", "app-password"
CREDENTIALS = Credentials(user=ROLE, password=ROLE_PASSWORD, dbname="postgres")
ADMIN = Credentials(user=SUPERUSER, password=PASSWORD, dbname="postgres")

WAIT_S = 30.0
"""How long a test waits for what must come; generous, because the machine may be busy."""

UnitFn = Callable[[Transaction], Awaitable[None]]


async def prepare_ledger(server: LocalPostgres) -> None:
    """An empty ledger and no id rows, and the role that the storage connects as."""
    address = Address(node=server.name, host="127.0.0.1", port=server.port)
    settings = {"default_transaction_read_only": "off"}
    async with session_to(address, ADMIN, settings=settings) as admin:
        await admin.fetch("SET synchronous_commit = local")
        await prepare(admin, role=ROLE, password=ROLE_PASSWORD)
        await admin.fetch("TRUNCATE bascule.ledger, bascule.unit_of_work")


@asynccontextmanager
async def storage_on(
    server: LocalPostgres,
    *,
    credentials: Credentials = CREDENTIALS,
    settings: StorageSettings | None = None,
    events: list[Event] | None = None,
) -> AsyncIterator[tuple[Storage, Answers]]:
    """A storage whose one member is ``server``; what it tells goes to ``events``."""
    observers = () if events is None else (events.append,)
    async with (
        rest_api(primary=True) as answers,
        Storage(
            [answers.member(server)], credentials, settings=settings, observers=observers
        ) as storage,
    ):
        yield storage, answers


def adding(unit_id: str) -> UnitFn:
    """A unit of work that adds the entry ``unit_id``."""

    async def unit_of_work(transaction: Transaction) -> None:
        await add_entry(transaction, Entry(id=unit_id, site="paris", worker=0, n=0))

    return unit_of_work


@asynccontextmanager
async def running(
    storage: Storage,
    fn: UnitFn,
    deadline_s: float,
    *,
    durability: Durability | None = None,
    repeatable: bool = True,
) -> AsyncIterator[list[Applied[None] | StorageError]]:
    """``fn`` as the unit ``a``, beside what the block does; how it ended, once that is left."""
    ends: list[Applied[None] | StorageError] = []

    async def run() -> None:
        try:
            applied = await storage.run(
                fn, unit_id="a", deadline_s=deadline_s, durability=durability, repeatable=repeatable
            )
        except StorageError as error:
            ends.append(error)
        else:
            ends.append(applied)

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        yield ends


async def own_pid(transaction: Transaction) -> int:
    """The backend that the transaction runs in."""
    pid: int = (await transaction.execute("SELECT pg_backend_pid()")).rows[0][0]
    return pid


def entries(server: LocalPostgres, unit_id: str) -> int:
    """How often ``unit_id`` is in the ledger."""
    count: int = server.query("SELECT count(*) FROM bascule.ledger WHERE id = %s", (unit_id,))[0][0]
    return count


def id_rows(server: LocalPostgres, unit_id: str) -> list[tuple[int, str]]:
    """(attempt, state) of ``unit_id``, in order."""
    return [
        (attempt, state)
        for attempt, state in server.query(
            "SELECT attempt, state FROM bascule.unit_of_work WHERE id = %s ORDER BY 1", (unit_id,)
        )
    ]


async def wait_true(condition: Callable[[], bool]) -> None:
    """Until ``condition`` holds."""
    with anyio.fail_after(WAIT_S):
        while not condition():
            await anyio.sleep(0.01)


async def wait_rows(
    server: LocalPostgres,
    query: LiteralString | sql.Composed,
    params: Sequence[object] = (),
    *,
    count: int = 1,
) -> list[tuple[object, ...]]:
    """The rows of ``query``, as soon as there are at least ``count``.

    A replica may not even have the table yet.
    """
    with anyio.fail_after(WAIT_S):
        while True:
            with suppress(psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
                rows = await anyio.to_thread.run_sync(server.query, query, params)
                if len(rows) >= count:
                    return rows
            await anyio.sleep(0.02)


async def wait_backend(server: LocalPostgres, condition: LiteralString) -> int:
    """The pid of a backend of ours that fulfils ``condition``, as soon as there is one."""
    query = sql.SQL("SELECT pid FROM pg_stat_activity WHERE usename = {} AND {} LIMIT 1").format(
        sql.Literal(ROLE), sql.SQL(condition)
    )
    pid = (await wait_rows(server, query))[0][0]
    assert isinstance(pid, int)
    return pid


@contextmanager
def setting(server: LocalPostgres, name: LiteralString, value: str) -> Iterator[None]:
    """``value`` for as long as this is entered, then what was there before."""
    before = server.query("SELECT current_setting(%s)", (name,))[0][0]
    server.set(name, value)
    try:
        yield
    finally:
        server.set(name, before)


@contextmanager
def admin_on(server: LocalPostgres) -> Iterator[psycopg.Connection]:
    """A connection of the superuser, in autocommit, that waits for no standby."""
    with psycopg.connect(server.conninfo(password=PASSWORD), autocommit=True) as connection:
        connection.execute("SET synchronous_commit = local")
        yield connection
