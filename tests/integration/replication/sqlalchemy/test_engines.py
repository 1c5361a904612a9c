"""SQLAlchemy on a storage: engines through a promotion, ORM sessions in units of work."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from psycopg.errors import UniqueViolation
from psycopg.rows import tuple_row
from sqlalchemy import JSON, String, event, func, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, InvalidRequestError, OperationalError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from support.postgres.local_postgres import PASSWORD, LocalPostgres
from support.postgres.synchronous import (
    CREDENTIALS,
    create_tables,
    end_sleepers,
    rest_apis,
    sync_storage_on,
    two_servers,
    wait_rows,
    wait_until,
)

from replication import AlreadyApplied, CommitInDoubt, NoPrimary, NotApplied, Storage, SyncStorage
from replication.access.problems import ConfigError
from replication.sqlalchemy.engines import create_async_engine, create_engine
from replication.sqlalchemy.orm import AsyncOrm, Orm

BLOCKED = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
IN_TRANSACTION = "SELECT pid FROM pg_stat_activity WHERE state = 'idle in transaction'"


class Base(DeclarativeBase):
    """The tests' tables."""


class Entry(Base):
    """What the tests write."""

    __tablename__ = "entry"

    id: Mapped[str] = mapped_column(String, primary_key=True)
    n: Mapped[int]


class Note(Base):
    """One with a type that needs the dialect's adapters, and a key that the server draws."""

    __tablename__ = "note"

    id: Mapped[int] = mapped_column(primary_key=True)
    body: Mapped[dict[str, int]] = mapped_column(JSON)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def server(postgres_server: LocalPostgres) -> LocalPostgres:
    end_sleepers(postgres_server)
    create_tables(postgres_server)
    postgres_server.query("DROP TABLE IF EXISTS note")
    postgres_server.query("CREATE TABLE note (id serial PRIMARY KEY, body json NOT NULL)")
    return postgres_server


@pytest.fixture
def storage(server: LocalPostgres) -> Iterator[SyncStorage]:
    with sync_storage_on(server) as storage:
        yield storage


def entries(server: LocalPostgres) -> list[str]:
    return [row[0] for row in server.query("SELECT id FROM entry ORDER BY id")]


def test_an_orm_unit_of_work(storage: SyncStorage, server: LocalPostgres) -> None:
    orm = Orm(storage)

    def add(session: Session) -> Note:
        session.add(Entry(id="a", n=1))
        note = Note(body={"x": 1})
        session.add(note)
        session.flush()
        return note

    applied = orm.run(add, unit_id="a")
    assert applied.value.id == 1  # usable afterwards
    assert applied.attempts == 1
    assert server.query("SELECT id, attempt, state FROM bascule.unit_of_work") == [
        ("a", 1, "applied")
    ]
    with pytest.raises(AlreadyApplied):
        orm.run(add, unit_id="a")
    assert entries(server) == ["a"]
    count = select(func.count()).select_from(Entry)
    assert orm.read(lambda session: session.scalar(count), after=applied.token).value == 1
    assert orm.read(lambda session: session.scalars(select(Note)).one().body).value == {"x": 1}


def test_commit_and_rollback_in_the_function(storage: SyncStorage, server: LocalPostgres) -> None:
    orm = Orm(storage)

    def add(session: Session) -> None:
        session.add(Entry(id="kept", n=1))
        session.commit()
        session.add(Entry(id="undone", n=1))
        session.flush()
        session.rollback()
        session.add(Entry(id="kept", n=2))
        with pytest.raises(IntegrityError):
            session.flush()
        session.rollback()
        with session.begin_nested():
            session.add(Entry(id="nested", n=1))
        session.add(Entry(id="last", n=1))

    orm.run(add)
    assert entries(server) == ["kept", "last", "nested"]

    def fail(session: Session) -> None:
        session.add(Entry(id="never", n=1))
        session.commit()
        raise ValueError("after its own commit")

    with pytest.raises(ValueError, match="after its own commit"):
        orm.run(fail)
    assert entries(server) == ["kept", "last", "nested"]


def test_errors_of_the_database(storage: SyncStorage, server: LocalPostgres) -> None:
    @Orm(storage).unit_of_work(deadline_s=30)
    def add(session: Session, entry_id: str) -> None:
        session.add(Entry(id=entry_id, n=1))

    add("a")
    with pytest.raises(NotApplied) as refused:
        add.run("twice", "a")
    assert isinstance(refused.value.__cause__, UniqueViolation)
    assert not storage.outcome("twice").applied
    assert entries(server) == ["a"]


def test_serialization_failures_are_run_again(storage: SyncStorage, server: LocalPostgres) -> None:
    orm = Orm(storage)
    orm.run(lambda session: session.add(Entry(id="counter", n=0)))

    def count(session: Session) -> None:
        entry = session.get_one(Entry, "counter")
        entry.n += 1

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: orm.run(count, isolation="repeatable read"), range(12)))
    assert server.query("SELECT n FROM entry") == [(12,)]
    assert sum(result.attempts for result in results) >= 12


def test_an_orm_unit_of_work_through_a_failover(tmp_path: Path) -> None:
    """Its commit is in doubt when the primary is replaced: exactly once all the same."""
    with two_servers(tmp_path) as pair, SyncStorage(pair.members, CREDENTIALS) as storage:
        orm = Orm(storage)
        calls = []

        def add(session: Session, entry_id: str) -> None:
            calls.append(entry_id)
            session.add(Entry(id=entry_id, n=len(calls)))

        orm.run(lambda session: add(session, "first"))
        pair.wait_replicated()
        pair.new.set("primary_conninfo", "")
        wait_rows(pair.new, "SELECT 1 FROM pg_stat_wal_receiver", 0)
        pair.old.set("synchronous_standby_names", "ANY 1 (nobody)")
        with ThreadPoolExecutor(1) as thread:
            doubtful = thread.submit(orm.run, lambda session: add(session, "a"), unit_id="a")
            wait_rows(pair.old, BLOCKED)
            pair.promote()
            applied = doubtful.result()
        assert (applied.node, applied.attempts) == ("db-b", 2)
        assert calls == ["first", "a", "a"]
        assert pair.entries(pair.new) == ["a", "first"]
        assert orm.read(lambda session: session.get_one(Entry, "a").n).value == 3


def test_an_engine_through_a_promotion(tmp_path: Path) -> None:
    """Works before, fails with a type in between, works afterwards; the old primary, which lives
    on and would take writes, never gets another one."""
    with two_servers(tmp_path) as pair, SyncStorage(pair.members, CREDENTIALS) as storage:
        engine = create_engine(storage, pool_size=4, connect_deadline_s=1)
        with Session(engine) as idle, Session(engine) as busy:
            idle.add(Entry(id="a", n=1))
            idle.commit()  # its connection is back in the pool
            busy.add(Entry(id="busy", n=1))
            busy.flush()
            pair.wait_replicated()
            pair.old_answers.status = 503
            wait_until(lambda: storage.primary is None)
            with Session(engine) as between, pytest.raises(NoPrimary):
                between.scalars(select(Entry))
            pair.promote()
            wait_until(lambda: storage.primary == "db-b")
            wait_until(lambda: not pair.old.query(IN_TRANSACTION))  # a COMMIT before is in doubt
            with pytest.raises(DBAPIError) as cut:
                busy.commit()
            assert cut.value.connection_invalidated
            busy.rollback()
            busy.add(Entry(id="busy", n=2))
            busy.commit()
            idle.add(Entry(id="b", n=1))
            idle.commit()
        assert pair.entries(pair.new) == ["a", "b", "busy"]
        assert pair.entries(pair.old) == ["a"]
        engine.dispose()


def test_a_commit_in_doubt_is_not_called_lost(tmp_path: Path) -> None:
    with two_servers(tmp_path) as pair, SyncStorage(pair.members, CREDENTIALS) as storage:
        engine = create_engine(storage)

        def add() -> None:
            with Session(engine) as session:
                session.add(Entry(id="a", n=1))
                session.commit()

        pair.old.set("synchronous_standby_names", "ANY 1 (nobody)")
        with ThreadPoolExecutor(1) as thread:
            doubtful = thread.submit(add)
            wait_rows(pair.old, BLOCKED)
            pair.wait_replicated()
            pair.promote()
            with pytest.raises(CommitInDoubt) as error:
                doubtful.result()
        assert error.value.node == "db-a"
        assert pair.entries(pair.new) == ["a"]  # that it was kept, nobody could know

        def cancelled() -> None:
            with engine.begin() as connection:
                connection.execute(text("INSERT INTO entry VALUES ('b', 1)"))

        pair.new.set("synchronous_standby_names", "ANY 1 (nobody)")
        with ThreadPoolExecutor(1) as thread:
            doubtful = thread.submit(cancelled)
            wait_rows(pair.new, BLOCKED)
            pair.new.query(
                "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
            )
            with pytest.raises(CommitInDoubt, match="synchronous replication"):
                doubtful.result()
        engine.dispose()


def test_errors_that_say_that_a_server_is_of_no_use(
    storage: SyncStorage, server: LocalPostgres
) -> None:
    """25006 comes on a connection that lives, and goes back to the pool; 57P01 ends it."""
    engine = create_engine(storage)
    with engine.connect() as connection:
        first = connection.scalar(text("SELECT pg_backend_pid()"))
        connection.execute(text("SET TRANSACTION READ ONLY"))
        with pytest.raises(DBAPIError) as refused:
            connection.execute(text("INSERT INTO entry VALUES ('a', 1)"))
        assert not refused.value.connection_invalidated
    with engine.connect() as connection:
        second = connection.scalar(text("SELECT pg_backend_pid()"))
        server.query("SELECT pg_terminate_backend(%s, 10000)", (second,))
        with pytest.raises(OperationalError) as ended:
            connection.execute(text("SELECT 1"))
        assert ended.value.connection_invalidated
    with engine.connect() as connection:
        third = connection.scalar(text("SELECT pg_backend_pid()"))
    assert first == second != third
    engine.dispose()


def test_json_goes_through_the_engines_own_functions(storage: SyncStorage) -> None:
    """What ``create_engine`` was told about types holds for connections that a creator made."""
    engine = create_engine(storage, json_deserializer=lambda value: {"read": len(value)})
    with Session(engine) as session:
        session.add(Note(body={"x": 1}))
        session.commit()
        assert session.scalars(select(Note)).one().body == {"read": 8}
    engine.dispose()


@pytest.mark.anyio
async def test_the_asynchronous_engine_and_orm(server: LocalPostgres) -> None:
    with rest_apis(True) as (answers,):
        async with Storage([answers.member(server)], CREDENTIALS) as storage:
            engine = create_async_engine(storage)
            async with AsyncSession(engine) as session:
                session.add(Entry(id="engine", n=1))
                await session.commit()
                assert (await session.get_one(Entry, "engine")).n == 1
                await session.commit()
                pids = "SELECT pid FROM pg_stat_activity WHERE application_name = 'bascule'"
                for (pid,) in server.query(pids):
                    server.query("SELECT pg_terminate_backend(%s, 10000)", (pid,))
                assert (await session.get_one(Entry, "engine")).n == 1  # asked before it was used
            await engine.dispose()
            orm = AsyncOrm(storage)

            @orm.unit_of_work()
            async def add(session: AsyncSession, entry_id: str) -> dict[str, int]:
                session.add(Entry(id=entry_id, n=1))
                session.add(note := Note(body={"x": 2}))
                await session.commit()
                body = note.body
                session.add(Entry(id="undone", n=1))
                await session.flush()
                await session.rollback()
                return body

            assert await add("a") == {"x": 2}
            with pytest.raises(NotApplied):
                await add.run("again", "a")
            read = await orm.read(lambda session: session.scalar(select(func.count(Entry.id))))
            assert read.value == 2
    assert entries(server) == ["a", "engine"]


ASKED = text(
    "SELECT current_setting('application_name'), current_setting('client_encoding'),"
    " current_setting('search_path'), current_setting('client_min_messages')"
)
ARGUMENTS = {
    "application_name": "reports",
    "options": "-c search_path=pg_temp,public -c client_min_messages=notice",
}
FOUND = ("reports", "LATIN1", "pg_temp,public", "notice")


def test_connect_args_and_encoding_are_applied(storage: SyncStorage) -> None:
    """Also on connections of which the pool has been emptied."""
    engine = create_engine(storage, connect_args=ARGUMENTS, client_encoding="latin1")
    for _ in range(2):
        with engine.connect() as connection:
            assert connection.execute(ASKED).one() == FOUND
            assert connection.scalar(text("SELECT 'é' || :word"), {"word": "ü"}) == "éü"
        engine.dispose()
    autocommit = create_engine(storage, connect_args={"autocommit": True, "row_factory": tuple_row})
    raw = autocommit.raw_connection()
    assert raw.driver_connection is not None
    assert raw.driver_connection.autocommit
    raw.close()
    autocommit.dispose()


def test_a_setting_that_the_server_refuses_is_said_at_once(storage: SyncStorage) -> None:
    for option, sqlstate in (("client_encoding=klingon", "22023"), ("nonsense=1", "42704")):
        engine = create_engine(storage, connect_args={"options": f"-c {option}"})
        with pytest.raises(DBAPIError) as refused, engine.connect():
            pass
        assert getattr(refused.value.orig, "sqlstate", None) == sqlstate
        engine.dispose()
    assert storage.primary is not None  # nobody has given it up for that


def test_do_connect_is_fired(storage: SyncStorage) -> None:
    engine = create_engine(storage)
    given: list[dict[str, object]] = []

    def named(_: object, __: object, ___: object, arguments: dict[str, object]) -> None:
        given.append(arguments)
        arguments["application_name"] = f"reports-{len(given)}"

    event.listen(engine, "do_connect", named)
    with engine.connect() as connection:
        name = connection.scalar(text("SELECT current_setting('application_name')"))
        assert name == "reports-1"
    event.listen(engine, "do_connect", lambda *_: _[3].update(password="x"))
    engine.dispose()
    with pytest.raises(ConfigError, match="password: refused: it is the storage's"):
        engine.connect()
    engine.dispose()


def test_a_connection_of_somebody_else_is_refused(
    storage: SyncStorage, server: LocalPostgres
) -> None:
    engine = create_engine(storage)
    others = psycopg.connect(server.conninfo(password=PASSWORD))
    event.listen(engine, "do_connect", lambda *_: others)
    with pytest.raises(InvalidRequestError, match="the storage has not opened"):
        engine.connect()
    others.close()
    engine.dispose()


def test_notices_arrive_where_they_are_asked_for(
    storage: SyncStorage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "sqlalchemy.dialects.postgresql")
    say = text("DO $$ BEGIN RAISE NOTICE 'look here'; END $$")
    for arguments in ({}, {"options": "-c client_min_messages=notice"}):
        engine = create_engine(storage, connect_args=arguments)
        with engine.connect() as connection:
            connection.execute(say)
        assert ("look here" in caplog.text) == bool(arguments)
        engine.dispose()


@pytest.mark.anyio
async def test_arguments_of_asynchronous_engines(server: LocalPostgres) -> None:
    with rest_apis(True) as (answers,):
        async with Storage([answers.member(server)], CREDENTIALS) as storage:
            engine = create_async_engine(storage, connect_args=ARGUMENTS, client_encoding="latin1")
            event.listen(
                engine.sync_engine,
                "do_connect",
                lambda *_: _[3].update(application_name="of do_connect"),
            )
            async with engine.connect() as connection:
                found = (await connection.execute(ASKED)).one()
                assert found == ("of do_connect", *FOUND[1:])
            await engine.dispose()
            wrong = create_async_engine(storage, client_encoding="klingon")
            with pytest.raises(DBAPIError, match="klingon"):
                await wrong.connect()
            await wrong.dispose()
