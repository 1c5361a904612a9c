"""What the tests of bulk loads stand on: a table, a role with few rights, rows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import LiteralString

import anyio
import psycopg
from psycopg import sql
from support.postgres.local_postgres import PASSWORD, SUPERUSER, LocalPostgres
from support.postgres.patroni_answers import Answers, rest_api

from replication import Credentials, Storage
from replication.bulk import BulkLoad
from replication.schema import grant, install
from replication.schema.own import make_role
from replication.wire import Address, session_to

ROLE = "bulk_app"
ADMIN = Credentials(user=SUPERUSER, password=PASSWORD, dbname="postgres")
CREDENTIALS = Credentials(user=ROLE, password=PASSWORD, dbname="postgres")
TABLE = ("eds", "patient")
COLUMNS = ("id", "name")
CHUNK_ROWS = 100
LOCK = 4711
"""A row with the name ``halt`` waits in the middle of COPY for whoever holds this advisory lock."""

_GROUND: tuple[LiteralString, ...] = (
    "DROP SCHEMA IF EXISTS bascule CASCADE",
    "DROP SCHEMA IF EXISTS eds CASCADE",
    "CREATE SCHEMA eds",
    # No key: a row that came twice must be seen, not refused.
    "CREATE TABLE eds.patient (id integer NOT NULL, name text)",
    "CREATE FUNCTION eds.halt() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    " PERFORM pg_advisory_xact_lock_shared(4711); RETURN NEW; END $$",
    "CREATE TRIGGER halt BEFORE INSERT ON eds.patient FOR EACH ROW WHEN (NEW.name = 'halt')"
    " EXECUTE FUNCTION eds.halt()",
)


def address_of(server: LocalPostgres) -> Address:
    """Where it takes connections."""
    return Address(node=server.name, host="127.0.0.1", port=server.port)


async def lay_ground(server: LocalPostgres) -> None:
    """Fresh tables, those of the package too, and the role."""
    for statement in _GROUND:
        server.query(statement)
    async with session_to(address_of(server), ADMIN) as session:
        await install(session)
        name = sql.Identifier(ROLE)
        await make_role(session, ROLE, PASSWORD)
        await grant(session, ROLE)
        await session.fetch(sql.SQL("GRANT USAGE ON SCHEMA eds TO {}").format(name))
        await session.fetch(sql.SQL("GRANT SELECT, INSERT ON eds.patient TO {}").format(name))


@asynccontextmanager
async def storage_on(server: LocalPostgres) -> AsyncIterator[tuple[Storage, Answers]]:
    """A storage layer on this one server."""
    async with (
        rest_api(primary=True) as answers,
        Storage([answers.member(server)], CREDENTIALS) as storage,
    ):
        yield storage, answers


def rows(count: int, *, halt_at: int | None = None) -> Iterator[tuple[int, str]]:
    """``count`` rows; one of them may wait in the trigger."""
    for n in range(count):
        yield n, "halt" if n == halt_at else f"name-{n}"


def load(storage: Storage, *, chunk_rows: int = CHUNK_ROWS, deadline_s: float = 60) -> BulkLoad:
    """The load that all tests run."""
    return BulkLoad(
        storage,
        name="patients",
        table=TABLE,
        columns=COLUMNS,
        chunk_rows=chunk_rows,
        chunk_deadline_s=deadline_s,
    )


def counted(server: LocalPostgres) -> tuple[int, int]:
    """Rows, and different rows."""
    count, distinct = server.query("SELECT count(*), count(DISTINCT id) FROM eds.patient")[0]
    return count, distinct


@contextmanager
def halted(server: LocalPostgres) -> Iterator[None]:
    """Rows with the name ``halt`` wait until the end of the block."""
    with psycopg.connect(server.conninfo(password=PASSWORD), autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
        yield


async def wait_backend(server: LocalPostgres, condition: LiteralString) -> int:
    """The pid of a backend of the role that fulfils ``condition``, as soon as there is one."""
    query = sql.SQL("SELECT pid FROM pg_stat_activity WHERE usename = {} AND {} LIMIT 1").format(
        sql.Literal(ROLE), sql.SQL(condition)
    )
    with anyio.fail_after(30):
        while not (found := await anyio.to_thread.run_sync(server.query, query)):
            await anyio.sleep(0.02)
    pid: int = found[0][0]
    return pid


IN_COPY: LiteralString = "wait_event = 'advisory' AND strpos(query, 'COPY') = 1"
AT_COMMIT: LiteralString = "wait_event = 'SyncRep'"
