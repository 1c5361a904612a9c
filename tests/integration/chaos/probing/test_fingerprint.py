"""Every kind of right and of door shows in a fingerprint, every access in a trail: a real server.

Rights are changed in a transaction that is rolled back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager

import psycopg
import pytest
from psycopg import sql
from support.postgres.local_postgres import PASSWORD, SUPERUSER, LocalPostgres, local_postgres

from chaos.probing.fingerprint import DOORS, RIGHTS, read_doors, read_rights
from chaos.probing.trail import (
    MARK,
    problem_of_settings,
    read_entries,
    read_settings,
    read_values,
)
from replication import Credentials
from replication.wire import Address, Session, session_to

pytestmark = pytest.mark.anyio

GROUND = (
    "CREATE ROLE alice LOGIN PASSWORD 'alice-password'",
    "ALTER ROLE alice SET log_statement = 'all'",
    "CREATE ROLE cardio",
    "CREATE SCHEMA core",
    "CREATE TABLE core.patient (id integer, project text)",
    "ALTER TABLE core.patient ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE core.patient FORCE ROW LEVEL SECURITY",
    "CREATE POLICY of_project ON core.patient TO cardio USING (project = current_user)",
    "CREATE VIEW core.decade WITH (security_invoker) AS SELECT id / 10 AS decade FROM core.patient",
    "CREATE FUNCTION core.f() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "CREATE SCHEMA bascule",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPostgres]:
    settings = {
        "logging_collector": "on",
        "log_destination": "jsonlog",
        "log_directory": "../collected",
    }
    folder = tmp_path_factory.mktemp("fingerprint")
    with local_postgres(folder, settings=settings) as server:
        for statement in GROUND:
            server.query(sql.SQL(statement).format())
        yield server


def items(connection: psycopg.Connection[tuple[object, ...]], query: str) -> dict[str, str]:
    rows = connection.execute(query.encode()).fetchall()
    found = {str(item): str(value) for item, value in rows}
    assert len(found) == len(rows), "an item has one value"
    return found


@pytest.mark.parametrize(
    ("change", "item"),
    [
        ("CREATE ROLE bruno", "role bruno"),
        ("ALTER ROLE alice NOLOGIN", "role alice"),
        ("ALTER ROLE alice SUPERUSER", "role alice"),
        ("ALTER ROLE alice BYPASSRLS", "role alice"),
        ("ALTER ROLE alice PASSWORD 'another'", "role alice"),
        ("ALTER ROLE alice VALID UNTIL '2030-01-01'", "role alice"),
        ("GRANT cardio TO alice", "member alice of cardio by postgres"),
        ("ALTER ROLE alice SET row_security = off", "settings of alice in all"),
        ("GRANT CREATE ON DATABASE postgres TO alice", "database postgres"),
        ("GRANT USAGE ON SCHEMA core TO alice", "schema core"),
        ("GRANT SELECT ON core.patient TO alice", "table core.patient"),
        ("GRANT SELECT (id) ON core.patient TO alice", "column core.patient.id"),
        ("ALTER TABLE core.patient DISABLE ROW LEVEL SECURITY", "table core.patient"),
        ("ALTER TABLE core.patient NO FORCE ROW LEVEL SECURITY", "table core.patient"),
        ("ALTER TABLE core.patient OWNER TO alice", "table core.patient"),
        (
            "ALTER POLICY of_project ON core.patient USING (true)",
            "policy of_project on core.patient",
        ),
        ("ALTER POLICY of_project ON core.patient TO PUBLIC", "policy of_project on core.patient"),
        ("ALTER VIEW core.decade RESET (security_invoker)", "view core.decade"),
        ("ALTER FUNCTION core.f() SECURITY DEFINER", "function core.f()"),
        ("ALTER FUNCTION core.f() LEAKPROOF", "function core.f()"),
        (
            "ALTER DEFAULT PRIVILEGES IN SCHEMA core GRANT SELECT ON TABLES TO alice",
            "default rights of postgres on r in core",
        ),
        ("GRANT SELECT ON pg_authid TO alice", "table pg_catalog.pg_authid"),
        (
            "GRANT EXECUTE ON FUNCTION pg_read_file(text) TO alice",
            "function pg_catalog.pg_read_file(text)",
        ),
        ("GRANT SET ON PARAMETER log_statement TO alice", "parameter log_statement"),
        ("CREATE FOREIGN DATA WRAPPER w", None),
        ("CREATE TABLE bascule.of_a_fault ()", None),
        ("INSERT INTO core.patient VALUES (1, 'cardio')", None),
    ],
)
def test_a_changed_right_is_a_changed_item(
    server: LocalPostgres, change: str, item: str | None
) -> None:
    with psycopg.connect(server.conninfo(password=PASSWORD)) as connection:
        before = items(connection, RIGHTS)
        connection.execute(change.encode())
        after = items(connection, RIGHTS)
        connection.rollback()
        both = before.keys() | after.keys()
        assert [one for one in both if before.get(one) != after.get(one)] == (
            [item] if item else []
        )


def test_a_changed_door_is_a_changed_item(server: LocalPostgres) -> None:
    with psycopg.connect(server.conninfo(password=PASSWORD), autocommit=True) as connection:
        before = items(connection, DOORS)
        assert before["setting log_directory"] == "../collected"
        assert [before[f"HBA rule {n}"].split()[0] for n in (1, 2)] == ["local", "host"]
        [(hba_file,)] = connection.execute("SHOW hba_file").fetchall()
        connection.execute(
            "COPY (SELECT 'host all bob 10.0.0.0/8 trust') TO PROGRAM"
            f" 'cat >> \"{hba_file}\"'".encode()
        )
        connection.execute("ALTER SYSTEM SET log_connections = 'on'")
        after = items(connection, DOORS)
    new = {item: after[item] for item in after.keys() - before.keys()}
    last = len([item for item in after if item.startswith("HBA rule")])
    assert new == {
        f"HBA rule {last}": "host all bob 10.0.0.0 255.0.0.0 trust",
        "ALTER SYSTEM log_connections": "on",
    }, "as it stands in the files, before a reload"
    assert all(after[item] == value for item, value in before.items())


def login(server: LocalPostgres, user: str, password: str) -> AbstractAsyncContextManager[Session]:
    address = Address(node="db-a", host="127.0.0.1", port=server.port)
    return session_to(address, Credentials(user=user, password=password, dbname="postgres"))


async def test_an_access_is_in_the_trail_under_its_name(server: LocalPostgres) -> None:
    async with login(server, "alice", "alice-password") as alice:
        await alice.fetch(f"/* {MARK} db-a-1 */ SELECT 1")
        await alice.fetch("SELECT 'no access, /* bascule-access' AS nothing")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await alice.fetch(f"/* {MARK} db-a-2 */ SELECT * FROM core.patient")
    async with login(server, SUPERUSER, PASSWORD) as superuser:
        await superuser.fetch(f"/* {MARK} db-a-3 */ SELECT 1")  # whose statements nobody logs
        collector, destination, directory = await read_settings(superuser)
        assert problem_of_settings(collector, destination) is None
        assert directory == "../collected"
        assert await read_entries(superuser) == {"db-a-1": "alice", "db-a-2": "alice"}
        assert "role alice" in await read_rights(superuser)
        assert "HBA rule 1" in await read_doors(superuser)


async def test_a_value_in_a_log_is_found_and_looking_for_it_leaves_none(
    server: LocalPostgres,
) -> None:
    values = ["canari-01", "canari-02", "canari-03"]
    async with login(server, "alice", "alice-password") as alice:
        with pytest.raises(psycopg.errors.InvalidTextRepresentation):
            await alice.fetch("SELECT ('canari' || '-01')::integer")
        with pytest.raises(psycopg.errors.InvalidTextRepresentation):
            await alice.fetch("SELECT (%s || '-02')::integer", ("canari",))
    async with login(server, SUPERUSER, PASSWORD) as superuser:
        await superuser.fetch("SET log_statement = 'all'")
        assert await read_values(superuser, values) == {"canari-01": "1", "canari-02": "1"}
        assert await read_values(superuser, values) == {"canari-01": "1", "canari-02": "1"}
        assert await read_values(superuser, []) == {}
        await superuser.fetch("ALTER ROLE alice SET log_min_messages = 'log'")
    async with login(server, "alice", "alice-password") as alice:
        with pytest.raises(psycopg.errors.InvalidTextRepresentation):
            await alice.fetch("SELECT ('canari' || '-03')::integer")
    async with login(server, SUPERUSER, PASSWORD) as superuser:
        assert "canari-03" not in await read_values(superuser, values)
