"""What a session has prepared is of no use any more: another process altered the table, or made the
server forget. No call fails for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count

import anyio
import psycopg
import pytest
from support.postgres.ledger_units import ADMIN, prepare_ledger, storage_on
from support.postgres.local_postgres import LocalPostgres
from support.postgres.synchronous import sync_storage_on

from replication import NotApplied, Storage, StorageSettings, Transaction
from replication.schema import Migration, migrate
from replication.wire import StaleStatement
from replication.wire.prepared import USES_BEFORE

pytestmark = pytest.mark.anyio

OFTEN = USES_BEFORE + 2
WARD = "SELECT * FROM ward WHERE name = %s"
FORGET = "DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$"
"""No command tag tells of it, as none does when a pooler changes the server connection."""

_numbers = count(1)


@pytest.fixture
async def server(postgres_server: LocalPostgres) -> LocalPostgres:
    await prepare_ledger(postgres_server)
    postgres_server.query("DROP TABLE IF EXISTS ward")
    postgres_server.query("CREATE TABLE ward (name text PRIMARY KEY, beds int)")
    postgres_server.query("INSERT INTO ward VALUES ('a', 1)")
    return postgres_server


@pytest.fixture
async def storage(server: LocalPostgres) -> AsyncIterator[Storage]:
    """With one session, so that every call meets what the calls before have prepared."""
    one_session = StorageSettings(sessions_max=1)
    async with storage_on(server, credentials=ADMIN, settings=one_session) as (storage, _):
        yield storage


def alter(server: LocalPostgres) -> None:
    """As another process would."""
    column = psycopg.sql.Identifier(f"c{next(_numbers)}")
    server.query(psycopg.sql.SQL("ALTER TABLE ward ADD COLUMN {} int").format(column))


async def first_statement(tx: Transaction) -> int:
    """The row's width."""
    return len((await tx.execute(WARD, ("a",))).rows[0])


async def second_statement(tx: Transaction) -> int:
    """The transaction has begun already when the prepared statement fails."""
    await tx.execute("SELECT 1")
    return await first_statement(tx)


@pytest.mark.parametrize("fn", [first_statement, second_statement])
async def test_a_unit_and_a_read_of_an_altered_table(
    storage: Storage, server: LocalPostgres, fn: Callable[[Transaction], Awaitable[int]]
) -> None:
    for call in (storage.run, storage.read):
        for _ in range(OFTEN):
            width = (await call(fn)).value
        alter(server)
        for _ in range(OFTEN):
            assert (await call(fn)).value == width + 1


async def test_the_only_call_of_a_function_is_not_spoilt(
    storage: Storage, server: LocalPostgres
) -> None:
    """It may not be called again, so it meets nothing that was prepared before."""
    for _ in range(OFTEN):
        width = (await storage.run(second_statement)).value
    alter(server)
    applied = await storage.run(second_statement, repeatable=False)
    assert (applied.value, applied.attempts) == (width + 1, 1)
    for repeatable in (True, False):
        for _ in range(OFTEN):
            assert (await storage.run(second_statement, repeatable=repeatable)).value == width + 1


async def test_every_session_notices_for_itself(server: LocalPostgres) -> None:
    async with storage_on(server, credentials=ADMIN) as (storage, _):

        async def slow(tx: Transaction) -> int:
            await tx.execute("SELECT 1 FROM pg_sleep(0.01)")
            return await first_statement(tx)

        async def all_at_once(*, repeatable: bool) -> set[int]:
            widths: set[int] = set()

            async def one() -> None:
                widths.add((await storage.run(slow, repeatable=repeatable)).value)

            async with anyio.create_task_group() as group:
                for _ in range(4):
                    group.start_soon(one)
            return widths

        for _ in range(OFTEN):
            (width,) = await all_at_once(repeatable=True)
        alter(server)
        assert await all_at_once(repeatable=False) == {width + 1}
        assert await all_at_once(repeatable=True) == {width + 1}


async def test_units_whose_server_has_forgotten(storage: Storage, server: LocalPostgres) -> None:
    """Also their BEGIN, COMMIT and id row are prepared by then, and the question about it."""
    calls = 0

    async def forgetful(tx: Transaction) -> None:
        nonlocal calls
        calls += 1
        await tx.execute("INSERT INTO ward VALUES (%s, 1)", (f"w{calls}",))
        await tx.execute(FORGET)

    for n in range(3):
        for _ in range(OFTEN):
            await storage.run(first_statement)
        applied = await storage.run(forgetful, unit_id=f"forgetful-{n}")
        assert applied.row_attempt == 1  # its COMMIT was never in doubt
    assert server.query("SELECT count(*) FROM ward WHERE name LIKE 'w%%'") == [(3,)]
    for n in range(3):
        assert (await storage.outcome(f"forgetful-{n}")).applied


async def test_a_lent_connection_may_forget(storage: Storage) -> None:
    for _ in range(OFTEN):
        await storage.run(first_statement)

    async def lent(tx: Transaction) -> int:
        async with tx.connection() as connection:
            await connection.execute("DEALLOCATE ALL")
        return await second_statement(tx)

    assert (await storage.run(lent)).value == 2
    async with storage.connection() as connection:
        await connection.execute("DISCARD TEMP; DEALLOCATE ALL")
    assert (await storage.run(first_statement)).value == 2


async def test_a_session_that_asks_again_and_again(storage: Storage, server: LocalPostgres) -> None:
    """Outside of a transaction the exchange itself asks again."""
    async with storage.session() as session:
        for _ in range(OFTEN):
            rows = await session.fetch(WARD, ("a",))
        alter(server)
        (row,) = await session.fetch(WARD, ("a",))
        assert len(row) == len(rows[0]) + 1
        await session.fetch(FORGET)
        for _ in range(OFTEN):
            assert await session.fetch(WARD, ("a",)) == [row]
        session.begin()
        await session.execute("SELECT 1", None)
        alter(server)
        with pytest.raises(StaleStatement) as stale:
            await session.execute(WARD, ("a",))
        assert stale.value.sqlstate == "0A000"


async def test_what_somebody_else_has_prepared_is_no_hindrance(storage: Storage) -> None:
    """A statement of the function's own that is not there is a mistake, and said at once."""

    async def mistaken(tx: Transaction) -> None:
        await tx.execute("EXECUTE never_prepared")

    for _ in range(2 * OFTEN):
        with pytest.raises(NotApplied, match="never_prepared") as refused:
            await storage.run(mistaken)
        assert refused.value.sqlstate == "26000"


async def test_migrations_on_a_session_that_has_forgotten(
    storage: Storage, server: LocalPostgres
) -> None:
    server.query("DELETE FROM bascule.migration WHERE series = 'ward'")
    changes = [
        Migration(id=f"{n}", statements=[f"INSERT INTO ward VALUES ('m{n}', 1)", FORGET])
        for n in range(2 * OFTEN)
    ]
    migrated = await migrate(storage, changes, series="ward", lock_timeout_s=0.05)
    assert len(migrated.applied) == 2 * OFTEN
    assert server.query("SELECT count(*) FROM ward") == [(2 * OFTEN + 1,)]


async def test_in_threads(server: LocalPostgres) -> None:
    def call() -> None:
        with sync_storage_on(server) as storage:
            for _ in range(OFTEN):
                storage.run(lambda tx: tx.execute(WARD, ("a",)).rows)
            alter(server)
            (row,) = storage.run(lambda tx: tx.execute(WARD, ("a",)).rows).value
            assert len(row) == 3

    await anyio.to_thread.run_sync(call)


ENUM_IS_MADE_ANEW = """
    ALTER TYPE triage RENAME TO triage_before;
    CREATE TYPE triage AS ENUM ('green', 'red', 'blue');
    ALTER TABLE stay ALTER triage TYPE triage USING triage::text::triage;
    DROP TYPE triage_before
"""


@pytest.mark.parametrize(
    ("column", "change", "values"),
    [
        ("code text", "ALTER TABLE stay ALTER code TYPE int USING code::int", ("7", "8")),
        ("code int", "ALTER TABLE stay ALTER code TYPE bigint", ("7", "8000000000")),
        ("code uuid", "ALTER TABLE stay ALTER code TYPE text", ("0" * 32, "a-name")),
        ("code date", "ALTER TABLE stay ALTER code TYPE text", ("2026-11-01", "soon")),
        ("triage triage", ENUM_IS_MADE_ANEW, ("red", "blue")),
        ("triage triage", "ALTER TABLE stay ALTER triage TYPE text", ("red", "violet")),
    ],
)
async def test_a_column_of_another_type(
    storage: Storage, server: LocalPostgres, column: str, change: str, values: tuple[str, str]
) -> None:
    """The server has inferred what type a string is to have, when the statement was prepared."""
    before, after = values
    name = psycopg.sql.Identifier(column.split(maxsplit=1)[0])
    for statement in (
        "DROP TABLE IF EXISTS stay",
        "DROP TYPE IF EXISTS triage",
        "CREATE TYPE triage AS ENUM ('green', 'red')",
        f"CREATE TABLE stay ({column})",
    ):
        server.query(psycopg.sql.SQL(statement))
    insert = psycopg.sql.SQL("INSERT INTO stay ({0}) VALUES (%s) RETURNING {0}::text").format(name)
    select = psycopg.sql.SQL("SELECT {0}::text FROM stay WHERE {0} = %s").format(name)

    async def write(tx: Transaction, value: str) -> list[tuple[str]]:
        return (await tx.execute(insert, (value,))).rows

    async def look(tx: Transaction, value: str) -> list[tuple[str]]:
        return (await tx.execute(select, (value,))).rows

    for _ in range(OFTEN):
        await storage.run(lambda tx: write(tx, before))
        await storage.read(lambda tx: look(tx, before))
    for statement in change.split(";"):
        server.query(psycopg.sql.SQL(statement))
    assert (await storage.run(lambda tx: write(tx, after))).value == [(after,)]
    assert (await storage.read(lambda tx: look(tx, after))).value == [(after,)]


async def test_a_value_that_does_not_fit_is_a_mistake_all_the_same(storage: Storage) -> None:
    calls = 0

    async def mistaken(tx: Transaction) -> None:
        nonlocal calls
        calls += 1
        await tx.execute("INSERT INTO ward VALUES ('b', %s)", ("many",))

    async def right(tx: Transaction) -> None:
        await tx.execute("INSERT INTO ward VALUES ('b', %s) ON CONFLICT DO NOTHING", ("3",))

    for _ in range(OFTEN):
        await storage.run(right)
        with pytest.raises(NotApplied, match="many") as refused:
            await storage.run(mistaken)
        assert refused.value.sqlstate == "22P02"
    assert calls <= 2 * OFTEN


async def test_nothing_stays_behind_on_the_server(storage: Storage, server: LocalPostgres) -> None:
    """What was prepared before the table was altered is of no use to anybody."""
    for n in range(3):
        for _ in range(OFTEN):
            await storage.run(second_statement)
        alter(server)
        await storage.run(second_statement)
        async with storage.session() as session:
            ((left,),) = await session.fetch("SELECT count(*) FROM pg_prepared_statements")
        assert left <= 1, f"after {n + 1} changes"
