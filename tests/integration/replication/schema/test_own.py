"""The package's own tables: made, taken over from before there were migrations, granted, pruned."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import LiteralString
from uuid import UUID

import anyio
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from support.postgres.bulk_ground import ADMIN, address_of
from support.postgres.local_postgres import PASSWORD, LocalPostgres
from support.postgres.patroni_answers import rest_api

from replication import (
    AlreadyApplied,
    Credentials,
    NotApplied,
    NotInstalled,
    ReadFailed,
    Storage,
    Token,
    Transaction,
    Unknown,
)
from replication.bulk import BulkLoad, SourceChanged
from replication.schema import OWN_MIGRATIONS, grants_text, install, keep_pruned, prune
from replication.schema.own import make_role
from replication.units.id_row import TABLE_STATEMENTS
from replication.wire import session_to

pytestmark = pytest.mark.anyio

APP = Credentials(user="own_app", password=PASSWORD, dbname="postgres")
PRUNER = Credentials(user="own_pruner", password=PASSWORD, dbname="postgres")
ALL = tuple(migration.id for migration in OWN_MIGRATIONS)
RETENTION_S = 3600.0
WEEK_S = 7 * 86_400.0

OLD_BEGIN_ROW: LiteralString = (
    "INSERT INTO bascule.unit_of_work (id, attempt, state) VALUES (%s, %s, 'applied')"
)
OLD_RESOLVE: LiteralString = (
    "INSERT INTO bascule.unit_of_work AS u (id, attempt, state) VALUES (%s, %s, 'void')"
    " ON CONFLICT (id, attempt) DO UPDATE SET asked = u.asked + 1"
    " RETURNING state, asked = 0"
)
"""What processes of the version before the key send."""


@pytest.fixture
async def server(postgres_server: LocalPostgres) -> LocalPostgres:
    """The server without our schema, with roles that may nothing yet."""
    postgres_server.query("DROP SCHEMA IF EXISTS bascule CASCADE")
    async with session_to(address_of(postgres_server), ADMIN) as session:
        for credentials in (APP, PRUNER):
            name = sql.Identifier(credentials.user)
            verifier = sql.Literal(session.scram_verifier(credentials.user, PASSWORD))
            await session.fetch(sql.SQL("DROP ROLE IF EXISTS {}").format(name))
            await session.fetch(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(name, verifier))
    return postgres_server


@asynccontextmanager
async def storage_as(server: LocalPostgres, credentials: Credentials) -> AsyncIterator[Storage]:
    async with (
        rest_api(primary=True) as answers,
        Storage([answers.member(server)], credentials) as storage,
    ):
        yield storage


async def install_and_grant(server: LocalPostgres) -> None:
    async with storage_as(server, ADMIN) as storage:
        await install(storage)
    # As an operator would with psql: a script, not statement by statement.
    with psycopg.connect(server.conninfo(password=PASSWORD), autocommit=True) as admin:
        for script in (grants_text(APP.user), grants_text(PRUNER.user, prune=True)):
            admin.execute(script.encode())


async def nothing(transaction: Transaction) -> None:
    """A unit of work of which only the id row is left."""


@pytest.mark.parametrize("role", ['it\'s a "role"', "$$; $make$ \\"])
async def test_a_role_is_made_once_and_gets_the_last_password(
    postgres_server: LocalPostgres, role: str
) -> None:
    name = sql.Identifier(role)
    try:
        async with session_to(address_of(postgres_server), ADMIN) as session:
            await make_role(session, role, "first")
            await make_role(session, role, PASSWORD)
        as_role = Credentials(user=role, password=PASSWORD, dbname="postgres")
        async with session_to(address_of(postgres_server), as_role) as session:
            assert await session.fetch("SELECT current_user") == [(role,)]
    finally:
        postgres_server.query(sql.SQL("DROP ROLE {}").format(name))


async def test_made_once(server: LocalPostgres) -> None:
    async with storage_as(server, ADMIN) as storage:
        assert (await install(storage)).applied == ALL
        assert (await install(storage)).applied == ()
        await storage.run(nothing, unit_id="a", deadline_s=10)


async def lay_first_version(server: LocalPostgres) -> None:
    """The tables as the first version made them, before there were migrations."""
    async with session_to(address_of(server), ADMIN) as session:
        for statement in TABLE_STATEMENTS:
            await session.fetch(sql.SQL(statement))
        role = sql.Identifier(APP.user)
        for grant in ("USAGE ON SCHEMA", "SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA"):
            await session.fetch(sql.SQL("GRANT {} bascule TO {}").format(sql.SQL(grant), role))


async def test_what_was_there_before_migrations_is_taken_over(server: LocalPostgres) -> None:
    await lay_first_version(server)
    server.query(OLD_BEGIN_ROW, ("a", 1))
    async with storage_as(server, ADMIN) as storage:
        assert (await install(storage)).applied == ALL
    async with storage_as(server, APP) as storage:
        with pytest.raises(AlreadyApplied) as caught:
            await storage.run(nothing, unit_id="a", deadline_s=10)
        assert caught.value.attempt_key is None
        await storage.run(nothing, unit_id="b", deadline_s=10)
    server.query("DROP SCHEMA bascule CASCADE")


@pytest.mark.parametrize("is_there", [True, False])
async def test_a_table_that_was_not_migrated_is_named_at_once_with_the_remedy(
    server: LocalPostgres, is_there: bool
) -> None:
    if is_there:
        await lay_first_version(server)
    token = Token(timeline=1, lsn="0/1", unit_id="a", attempt=1, attempt_key=UUID(int=1))
    async with storage_as(server, APP) as storage:
        with anyio.fail_after(30):
            with pytest.raises(NotInstalled, match=r"schema\.install") as refused:
                await storage.run(nothing, unit_id="a", deadline_s=600)
            with pytest.raises(Unknown, match=r"schema\.install"):
                await storage.outcome("a", deadline_s=600)
            with pytest.raises(ReadFailed, match=r"schema\.install"):
                await storage.read(nothing, after=token, deadline_s=600)
    assert refused.value.sqlstate in (("42703",) if is_there else ("42P01", "3F000"))
    if is_there:
        assert server.query("SELECT 1 FROM bascule.unit_of_work") == []


async def test_a_functions_own_mistake_is_no_missing_table(server: LocalPostgres) -> None:
    async def wrong(transaction: Transaction) -> None:
        await transaction.execute("SELECT nonsense FROM bascule.unit_of_work")

    await install_and_grant(server)
    async with storage_as(server, APP) as storage:
        with pytest.raises(NotApplied) as caught:
            await storage.run(wrong, unit_id="a", deadline_s=10)
    assert type(caught.value) is NotApplied
    assert caught.value.sqlstate == "42703"


async def test_processes_of_an_earlier_version_work_on_while_it_is_migrated(
    server: LocalPostgres,
) -> None:
    """Their statements, prepared on their connection, before and after the column is added."""
    await lay_first_version(server)
    written: list[str] = []
    is_installed = anyio.Event()
    conninfo = make_conninfo(server.conninfo(password=PASSWORD), user=APP.user)
    async with (
        await psycopg.AsyncConnection.connect(conninfo, prepare_threshold=0) as old,
        storage_as(server, ADMIN) as admin,
        anyio.create_task_group() as group,
    ):

        async def write() -> None:
            while not is_installed.is_set() or len(written) < 100:
                unit_id = f"old-{len(written)}"
                await old.execute(OLD_BEGIN_ROW, (unit_id, 1))
                await old.commit()
                answer = await (await old.execute(OLD_RESOLVE, (unit_id, 1))).fetchone()
                await old.commit()
                assert answer == ("applied", False)
                written.append(unit_id)

        group.start_soon(write)
        while len(written) < 20:
            await anyio.sleep(0.001)
        assert (await install(admin)).applied == ALL
        is_installed.set()
    async with storage_as(server, APP) as storage:
        with pytest.raises(AlreadyApplied):
            await storage.run(nothing, unit_id=written[-1], deadline_s=10)


async def test_the_grants_suffice_and_do_not_let_an_application_prune(
    server: LocalPostgres,
) -> None:
    await install_and_grant(server)
    async with storage_as(server, APP) as storage:
        await storage.run(nothing, unit_id="a", deadline_s=10)
        with pytest.raises(NotApplied, match="permission denied") as caught:
            await prune(storage, older_than_s=RETENTION_S)
        assert caught.value.sqlstate == "42501"
    async with storage_as(server, PRUNER) as storage:
        await prune(storage, older_than_s=RETENTION_S)


def age(server: LocalPostgres, condition: LiteralString, seconds: float) -> None:
    """Rows look as if they had been written earlier."""
    server.query(
        sql.SQL(
            "UPDATE bascule.unit_of_work SET created_at = now() - make_interval(secs => {})"
            " WHERE {}"
        ).format(sql.Literal(seconds), sql.SQL(condition))
    )


async def test_only_units_past_the_retention_go_and_whole(server: LocalPostgres) -> None:
    await install_and_grant(server)
    server.query(
        "INSERT INTO bascule.unit_of_work (id, attempt, state) VALUES"
        " ('old', 1, 'void'), ('old', 2, 'applied'), ('young', 1, 'applied'),"
        " ('asked', 1, 'void'), ('asked', 2, 'applied'), ('void', 1, 'void')"
    )
    age(server, "id IN ('old', 'void') OR (id, attempt) = ('asked', 1)", RETENTION_S + 60)
    age(server, "(id, attempt) = ('asked', 2)", RETENTION_S - 60)
    async with storage_as(server, PRUNER) as storage:
        pruned = await prune(storage, older_than_s=RETENTION_S)
        assert pruned.id_rows == 3
        assert (await prune(storage, older_than_s=RETENTION_S)).id_rows == 0
    left = server.query("SELECT id, attempt FROM bascule.unit_of_work ORDER BY 1, 2")
    # The void row of a unit that is still within the retention keeps its number taken.
    assert left == [("asked", 1), ("asked", 2), ("young", 1)]
    async with storage_as(server, APP) as storage:
        with pytest.raises(AlreadyApplied):
            await storage.run(nothing, unit_id="asked", deadline_s=10)


async def test_a_server_whose_clock_is_ahead_prunes_nothing_by_itself(
    server: LocalPostgres,
) -> None:
    """As this process sees it: its clock is a week behind the server's, and the rows are young."""
    await install_and_grant(server)
    async with storage_as(server, APP) as storage:
        await storage.run(nothing, unit_id="young", deadline_s=10)
    age(server, "id = 'young'", WEEK_S)
    async with storage_as(server, PRUNER) as storage:
        behind = lambda: time.time() - WEEK_S  # noqa: E731
        assert (await prune(storage, older_than_s=RETENTION_S, wall=behind)).id_rows == 0
        assert (await prune(storage, older_than_s=RETENTION_S)).id_rows == 1


async def test_many_pages_in_small_batches(server: LocalPostgres) -> None:
    await install_and_grant(server)
    server.query(
        "INSERT INTO bascule.unit_of_work (id, attempt, state, created_at)"
        " SELECT 'unit-' || n, 1, 'applied', now() - make_interval(hours => CASE"
        " WHEN mod(n, 3) = 0 THEN 0 ELSE 2 END) FROM generate_series(1, 3000) AS n"
    )
    # The attempts of one unit on the first page and on the last.
    server.query(
        "INSERT INTO bascule.unit_of_work (id, attempt, state, created_at)"
        " VALUES ('unit-1', 2, 'void', now() - interval '2 hours')"
    )
    async with storage_as(server, PRUNER) as storage:
        pruned = await prune(storage, older_than_s=RETENTION_S, batch_pages=3)
    assert pruned.id_rows == 2001
    assert server.query("SELECT count(*) FROM bascule.unit_of_work") == [(1000,)]


async def test_a_retention_that_is_too_short_is_refused(server: LocalPostgres) -> None:
    async with storage_as(server, PRUNER) as storage:
        with pytest.raises(ValueError, match="at least 3600 s"):
            await prune(storage, older_than_s=60)


async def test_chunks_of_finished_loads_go_and_their_names_stay(server: LocalPostgres) -> None:
    await install_and_grant(server)
    server.query("DROP TABLE IF EXISTS public.own_bulk")
    server.query("CREATE TABLE public.own_bulk (n integer)")
    async with storage_as(server, ADMIN) as storage:

        def load(name: str) -> BulkLoad:
            return BulkLoad(
                storage, name=name, table=("public", "own_bulk"), columns=["n"], chunk_rows=10
            )

        for name in ("old", "young"):
            await load(name).run((n,) for n in range(100))
        server.query(
            "UPDATE bascule.bulk_load SET finished_at = now() - interval '2 hours'"
            " WHERE load = 'old'"
        )
        async with storage_as(server, PRUNER) as pruner:
            assert (await prune(pruner, older_than_s=RETENTION_S)).chunk_rows == 9
        age(server, "true", RETENTION_S + 60)
        again = await load("old").run((n,) for n in range(100))
        with pytest.raises(SourceChanged):  # the last chunk is still there to be compared
            await load("old").run((n + 1,) for n in range(100))
    assert (again.was_finished, again.rows, again.chunks) == (True, 100, 10)
    assert server.query("SELECT load, count(*) FROM bascule.bulk_chunk GROUP BY 1 ORDER BY 1") == [
        ("old", 1),
        ("young", 10),
    ]
    assert server.query("SELECT count(*) FROM public.own_bulk") == [(200,)]
    server.query("DROP TABLE public.own_bulk")


async def test_pruning_comes_through_a_lost_connection_and_goes_on_for_ever(
    server: LocalPostgres,
) -> None:
    await install_and_grant(server)
    server.query(
        "INSERT INTO bascule.unit_of_work (id, attempt, state, created_at)"
        " VALUES ('a', 1, 'applied', now() - interval '2 hours')"
    )
    async with storage_as(server, PRUNER) as storage, anyio.create_task_group() as group:
        await prune(storage, older_than_s=2 * 86400.0)
        server.query(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = %s",
            (PRUNER.user,),
        )

        async def run() -> None:
            await keep_pruned(storage, older_than_s=RETENTION_S, interval_s=0.05)

        group.start_soon(run)
        for _ in range(2):
            with anyio.fail_after(30):
                while server.query("SELECT 1 FROM bascule.unit_of_work"):
                    await anyio.sleep(0.02)
            server.query(
                "INSERT INTO bascule.unit_of_work (id, attempt, state, created_at)"
                " VALUES ('b', 1, 'applied', now() - interval '2 hours')"
            )
        group.cancel_scope.cancel()
