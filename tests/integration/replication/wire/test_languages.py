"""What servers say is in their own language: nothing in it decides, only SQLSTATEs do."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import anyio
import anyio.to_thread
import psycopg
import pytest
from support.postgres.ledger_units import (
    CREDENTIALS,
    ROLE,
    ROLE_PASSWORD,
    WAIT_S,
    adding,
    prepare_ledger,
    storage_on,
)
from support.postgres.local_postgres import LocalPostgres
from support.postgres.postgres_languages import LANGUAGES, speaking

from replication import Credentials, NotAdmitted, ServerFull, StorageSettings
from replication.bulk.chunk_units import parse_line
from replication.observability.events import Event, PrimaryLost
from replication.wire import Address, Meaning, Refused, connect

pytestmark = pytest.mark.anyio

LOCAL = StorageSettings(durability="local", sessions_max=4)


@pytest.fixture(scope="module", params=list(LANGUAGES))
def own_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalPostgres]:
    with speaking(request.param, tmp_path_factory.mktemp(request.param)) as server:
        yield server


@pytest.fixture
async def server(own_server: LocalPostgres) -> LocalPostgres:
    await prepare_ledger(own_server)
    return own_server


async def refusal(
    server: LocalPostgres, credentials: Credentials = CREDENTIALS, **settings: str
) -> Refused:
    """Why ``server`` does not take us."""
    address = Address(node=server.name, host="127.0.0.1", port=server.port)
    with pytest.raises(Refused) as caught:
        (await connect(address, credentials, settings=settings)).abandon()
    return caught.value


async def test_a_full_server_is_not_taken_for_a_lost_one(server: LocalPostgres) -> None:
    events: list[Event] = []
    async with storage_on(server, settings=LOCAL, events=events) as (storage, _):
        await storage.run(adding("first"), deadline_s=WAIT_S)
        server.query("ALTER ROLE bascule_app CONNECTION LIMIT 1")
        try:
            async with storage.connection():  # the one that there is
                with pytest.raises(ServerFull) as caught:
                    await storage.run(adding("a"), unit_id="a", deadline_s=2)
            await storage.run(adding("b"), deadline_s=WAIT_S)
        finally:
            server.query("ALTER ROLE bascule_app CONNECTION LIMIT -1")
    assert caught.value.sqlstate == "53300"
    assert not [event for event in events if isinstance(event, PrimaryLost)]


async def test_a_wrong_password_is_said_at_once(server: LocalPostgres) -> None:
    wrong = Credentials(user=ROLE, password="wrong", dbname="postgres")
    async with storage_on(server, credentials=wrong, settings=LOCAL) as (storage, _):
        with anyio.fail_after(WAIT_S), pytest.raises(NotAdmitted) as caught:
            await storage.run(adding("a"), deadline_s=600)
    assert caught.value.sqlstate == "28P01"
    assert "proc.c" not in str(caught.value)


async def test_every_limit_of_connections(server: LocalPostgres) -> None:
    server.query("CREATE DATABASE small CONNECTION LIMIT 0")
    try:
        small = Credentials(user=ROLE, password=ROLE_PASSWORD, dbname="small")
        refused = await refusal(server, small)
        assert (refused.sqlstate, refused.meaning) == ("53300", Meaning.FULL)
    finally:
        server.query("DROP DATABASE small")
    with filled(server):
        refused = await refusal(server)
        assert (refused.sqlstate, refused.meaning) == ("53300", Meaning.FULL)


@contextmanager
def filled(server: LocalPostgres) -> Iterator[None]:
    """Ordinary roles have no room, not even among the reserved slots."""
    conninfo = psycopg.conninfo.make_conninfo(
        host="127.0.0.1",
        port=server.port,
        user=ROLE,
        password=ROLE_PASSWORD,
        dbname="postgres",
    )
    with ExitStack() as others:
        while True:
            try:
                others.enter_context(psycopg.connect(conninfo))
            except psycopg.OperationalError:
                break
        yield


NOT_ADMITTED: Sequence[tuple[str, str, str, str]] = (
    ("CREATE DATABASE one ALLOW_CONNECTIONS false", "DROP DATABASE one", "one", "55000"),
    (
        "CREATE DATABASE two; REVOKE CONNECT ON DATABASE two FROM public",
        "DROP DATABASE two",
        "two",
        "42501",
    ),
    ("SELECT 1", "SELECT 1", "three", "3D000"),
    ("ALTER ROLE bascule_app NOLOGIN", "ALTER ROLE bascule_app LOGIN", "postgres", "28000"),
)


@pytest.mark.parametrize(("before", "after", "dbname", "sqlstate"), NOT_ADMITTED)
async def test_whoever_is_not_let_in_is_told_at_once(
    server: LocalPostgres, before: str, after: str, dbname: str, sqlstate: str
) -> None:
    for statement in before.split(";"):
        server.query(psycopg.sql.SQL(statement))  # type: ignore[arg-type]
    try:
        credentials = Credentials(user=ROLE, password=ROLE_PASSWORD, dbname=dbname)
        async with storage_on(server, credentials=credentials, settings=LOCAL) as (storage, _):
            with anyio.fail_after(WAIT_S), pytest.raises(NotAdmitted) as caught:
                await storage.run(adding("a"), deadline_s=600)
    finally:
        server.query(psycopg.sql.SQL(after))  # type: ignore[arg-type]
    assert caught.value.sqlstate == sqlstate


@pytest.mark.parametrize(
    ("name", "value", "sqlstate"),
    [
        ("work_men", "1MB", "42704"),
        ("work_mem", "much", "22023"),
        ("max_connections", "7", "55P02"),
        ("log_statement", "all", "42501"),
    ],
)
async def test_a_setting_that_the_server_does_not_take(
    server: LocalPostgres, name: str, value: str, sqlstate: str
) -> None:
    refused = await refusal(server, **{name: value})
    assert refused.sqlstate == sqlstate
    assert refused.meaning.is_final
    assert name in str(refused)


async def test_a_server_that_stops_takes_nobody_and_is_asked_again(server: LocalPostgres) -> None:
    async with storage_on(server, settings=LOCAL) as (storage, _):
        async with storage.connection() as connection:
            server.send(signal.SIGTERM)  # it waits for this connection to end
            with anyio.fail_after(WAIT_S):
                while (refused := await refusal(server)).sqlstate != "57P03":
                    await anyio.sleep(0.01)
            assert refused.meaning is Meaning.NOT_READY
            await connection.execute("SELECT 1")
        server.send(signal.SIGINT)  # it ends those that are left
        await anyio.to_thread.run_sync(server.wait_stopped)
        await anyio.to_thread.run_sync(server.start)
        await storage.run(adding("a"), deadline_s=WAIT_S)


async def test_the_line_of_a_wrong_row_is_found(server: LocalPostgres) -> None:
    with psycopg.connect(server.conninfo(password="not-a-secret")) as connection:
        connection.execute("CREATE TEMP TABLE patient7 (n int)")
        copying = connection.cursor().copy("COPY patient7 FROM STDIN")
        with pytest.raises(psycopg.Error) as caught, copying as copy:
            copy.write("1\n2\nthree99\n")
    assert parse_line(caught.value.diag.context, "patient7") == 3
