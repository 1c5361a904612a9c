"""Exchanges with a real server: one packet there, all answers back, and what can go wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio.lowlevel
import psycopg
import pytest
from support.postgres.local_postgres import PASSWORD, SUPERUSER, LocalPostgres

from replication import Credentials
from replication.wire import Address, Session, session_to
from replication.wire.connection import Connection
from replication.wire.exchange import Exchanges
from replication.wire.prepared import KEPT_MAX, USES_BEFORE
from replication.wire.statement import Statement

pytestmark = pytest.mark.anyio

BIG = 8 * 2**20
"""More than the sockets of both sides buffer."""

PREPARED = "SELECT statement FROM pg_prepared_statements"


@pytest.fixture
async def session(postgres_server: LocalPostgres) -> AsyncIterator[Session]:
    """A session of its own."""
    address = Address(node="db-a", host="127.0.0.1", port=postgres_server.port)
    credentials = Credentials(user=SUPERUSER, password=PASSWORD, dbname="postgres")
    async with session_to(address, credentials) as one:
        yield one


async def prepared(session: Session) -> set[str]:
    """What the server has prepared for it, but for the question itself."""
    return {row[0] for row in await session.fetch(PREPARED)} - {PREPARED}


async def test_what_is_used_often_is_prepared(session: Session) -> None:
    for n in range(USES_BEFORE):
        assert await session.fetch("SELECT %s::int", (n,)) == [(n,)]
    assert await prepared(session) == set()
    assert await session.fetch("SELECT %s::int", (7,)) == [(7,)]
    assert await session.fetch("SELECT %s::int", (8,)) == [(8,)]
    assert await prepared(session) == {"SELECT $1::int"}


async def test_what_was_dropped_and_made_anew_is_prepared_anew(session: Session) -> None:
    for columns in ((1,), (1, 2)):
        await session.fetch("DROP TABLE IF EXISTS anew")
        await session.fetch(
            "CREATE TEMP TABLE anew AS SELECT 1"
            if len(columns) == 1
            else "CREATE TEMP TABLE anew AS SELECT 1, 2 AS b"
        )
        for _ in range(USES_BEFORE + 2):
            assert await session.fetch("SELECT * FROM anew") == [columns]


async def test_a_statement_that_always_fails_leaves_nothing_behind(session: Session) -> None:
    for _ in range(3 * USES_BEFORE):
        session.begin()
        with pytest.raises(psycopg.errors.DivisionByZero):
            await session.execute("SELECT 1 / %s", (0,))
        await session.rollback()
    assert session.is_clean
    assert len(await prepared(session)) <= 1


async def test_the_server_keeps_no_more_than_a_hundred(session: Session) -> None:
    for n in range(KEPT_MAX + 20):
        query = psycopg.sql.SQL("SELECT {}").format(psycopg.sql.Literal(n))
        for _ in range(USES_BEFORE + 2):
            assert await session.fetch(query) == [(n,)]
    assert len(await prepared(session)) <= KEPT_MAX


async def test_what_is_behind_an_error_is_not_carried_out(
    session: Session, postgres_server: LocalPostgres
) -> None:
    await session.fetch("CREATE TABLE behind (n int)")
    exchanges = Exchanges(session._connection)
    with pytest.raises(psycopg.errors.DivisionByZero):
        await exchanges.send(
            [
                Statement(b"BEGIN"),
                Statement(b"INSERT INTO behind VALUES (1)"),
                Statement(b"SELECT 1 / 0"),
                Statement(b"INSERT INTO behind VALUES (2)"),
                Statement(b"COMMIT"),
            ]
        )
    assert not session.is_clean
    await session.rollback()
    assert await session.fetch("SELECT n FROM behind") == []
    await session.fetch("DROP TABLE behind")


async def test_both_sides_may_be_talking_at_once(session: Session) -> None:
    """The server cannot read on before somebody takes its answer."""
    exchanges = Exchanges(session._connection)
    words = b"x" * BIG
    with anyio.fail_after(30):
        results = await exchanges.send(
            [
                Statement(b"SELECT repeat('y', %d)" % BIG),
                Statement(b"SELECT length($1)", (words,), (25,), None),
                Statement(b"SELECT $1", (words,), (25,), None),
            ]
        )
    assert [result.get_value(0, 0) for result in results] == [b"y" * BIG, b"%d" % BIG, words]
    assert session.is_clean


async def test_whoever_waits_is_woken_once(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second time for nothing would cost as much as all that is done with the answer."""
    woken, transactions, receive = 0, 200, Connection.receive

    async def counted(connection: Connection) -> None:
        nonlocal woken
        woken += 1
        await receive(connection)

    monkeypatch.setattr(Connection, "receive", counted)
    for n in range(transactions):
        session.begin()
        assert await session.execute("SELECT %s::int, pg_sleep(0.001) IS NULL", (n,)) == (
            [(n, False)],
            1,
        )
        await session.commit()
    assert woken < 1.1 * 2 * transactions


async def test_two_tasks_take_turns(session: Session) -> None:
    found: list[int] = []

    async def ask(n: int) -> None:
        found.append((await session.fetch("SELECT %s::int FROM pg_sleep(0.01)", (n,)))[0][0])

    async with anyio.create_task_group() as group:
        for n in range(5):
            group.start_soon(ask, n)
    assert sorted(found) == [0, 1, 2, 3, 4]


async def test_copy_is_refused_where_it_cannot_be_and_works_where_it_can(
    session: Session,
) -> None:
    rows = [row async for row in session.copy_rows("SELECT generate_series(1, 3)")]
    assert rows == [("1",), ("2",), ("3",)]
    assert await session.fetch("SELECT 1") == [(1,)]
    with pytest.raises(psycopg.ProgrammingError, match="COPY_OUT"):
        await session.fetch("COPY (SELECT 1) TO STDOUT")
    assert not session.is_clean


async def test_a_server_that_hangs_up_says_why(
    session: Session, postgres_server: LocalPostgres
) -> None:
    pid = (await session.fetch("SELECT pg_backend_pid()"))[0][0]
    postgres_server.query("SELECT pg_terminate_backend(%s, 5000)", (pid,))
    with pytest.raises(psycopg.errors.AdminShutdown):
        await session.fetch("SELECT 1")
    with pytest.raises(psycopg.OperationalError) as caught:
        await session.fetch("SELECT 1")
    assert caught.value.sqlstate is None


async def test_whoever_waits_is_woken_when_the_session_is_abandoned(session: Session) -> None:
    async def wait() -> None:
        with pytest.raises(psycopg.OperationalError):
            await session.fetch("SELECT pg_sleep(60)")

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            while session.is_clean:
                await anyio.lowlevel.checkpoint()
            session.abandon()
