"""The package's own tables: made, taken over from before there were migrations, granted, pruned."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import LiteralString

import anyio
import psycopg
import pytest
from psycopg import sql
from support.bulk_ground import ADMIN, address_of
from support.local_postgres import PASSWORD, LocalPostgres
from support.patroni_answers import rest_api

from replication import AlreadyApplied, Credentials, NotApplied, Storage, Transaction
from replication.bulk import BulkLoad
from replication.schema import OWN_MIGRATIONS, grants_text, install, keep_pruned, prune
from replication.unit_rows import SCHEMA_STATEMENTS
from replication.wire import session_to

pytestmark = pytest.mark.anyio

APP = Credentials(user="own_app", password=PASSWORD, dbname="postgres")
PRUNER = Credentials(user="own_pruner", password=PASSWORD, dbname="postgres")
ALL = tuple(migration.id for migration in OWN_MIGRATIONS)
RETENTION_S = 3600.0


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


async def test_made_once(server: LocalPostgres) -> None:
    async with storage_as(server, ADMIN) as storage:
        assert (await install(storage)).applied == ALL
        assert (await install(storage)).applied == ()
        await storage.run(nothing, unit_id="a", deadline_s=10)


async def test_what_was_there_before_migrations_is_taken_over(server: LocalPostgres) -> None:
    async with session_to(address_of(server), ADMIN) as session:
        # The tables as the first version made them, before there were migrations.
        for statement in SCHEMA_STATEMENTS:
            await session.fetch(statement)
        role = sql.Identifier(APP.user)
        for grant in ("USAGE ON SCHEMA", "SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA"):
            await session.fetch(sql.SQL("GRANT {} bascule TO {}").format(sql.SQL(grant), role))
    async with storage_as(server, APP) as storage:
        await storage.run(nothing, unit_id="a", deadline_s=10)
    async with storage_as(server, ADMIN) as storage:
        assert (await install(storage)).applied == ALL
    async with storage_as(server, APP) as storage:
        with pytest.raises(AlreadyApplied):
            await storage.run(nothing, unit_id="a", deadline_s=10)
    server.query("DROP SCHEMA bascule CASCADE")


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
            assert (await prune(pruner, older_than_s=RETENTION_S)).chunk_rows == 10
        age(server, "true", RETENTION_S + 60)
        again = await load("old").run((n,) for n in range(100))
    assert (again.was_finished, again.rows, again.chunks) == (True, 100, 10)
    assert server.query("SELECT load, count(*) FROM bascule.bulk_chunk GROUP BY 1") == [
        ("young", 10)
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
