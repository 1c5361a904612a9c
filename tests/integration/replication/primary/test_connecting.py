"""Connecting fails: a fact about connecting, which takes nothing from whoever has a session."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import LiteralString

import anyio
import anyio.to_thread
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from support.postgres.ledger_units import (
    CREDENTIALS,
    ROLE,
    WAIT_S,
    adding,
    entries,
    own_pid,
    prepare_ledger,
    running,
    storage_on,
    wait_rows,
)
from support.postgres.local_postgres import LocalPostgres, bindir, local_postgres, replica_of
from support.postgres.patroni_answers import rest_api

from replication import (
    Applied,
    Credentials,
    Member,
    NoPrimary,
    NotAdmitted,
    ReadFailed,
    StartRefused,
    Storage,
    StorageError,
    StorageSettings,
    Transaction,
    Unknown,
)
from replication.observability.events import Event, PrimaryLost
from replication.schema.errors import MigrationFailed
from replication.schema.own import install
from replication.schema.pruning import prune
from replication.sqlalchemy.engines import create_async_engine
from replication.wire import starting

pytestmark = pytest.mark.anyio

PROMOTE: LiteralString = "SELECT pg_promote(true, 60)"

CLOSED_S = 4.0
"""For how long nobody is let in: several connects' deadlines."""

QUICK = StorageSettings(durability="local", sessions_max=4, connect_deadline_s=0.5)


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPostgres]:
    with local_postgres(tmp_path_factory.mktemp("connecting")) as server:
        yield server


@pytest.fixture
async def server(own_server: LocalPostgres) -> LocalPostgres:
    await prepare_ledger(own_server)
    return own_server


@contextmanager
def closed(server: LocalPostgres) -> Iterator[None]:
    """The kernel takes connections, and nobody answers them; backends go on."""
    postmaster = server.pids()[0]
    os.kill(postmaster, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(postmaster, signal.SIGCONT)


async def warm(storage: Storage, count: int) -> None:
    """So many sessions to the primary are there, and idle."""
    there = 0
    all_there = anyio.Event()

    async def hold(_: Transaction) -> None:
        nonlocal there
        there += 1
        if there == count:
            all_there.set()
        await all_there.wait()

    async with anyio.create_task_group() as group:
        for _ in range(count):
            group.start_soon(storage.run, hold)


@dataclass(kw_only=True)
class Worker:
    """Does something again and again, and notes how long each took."""

    work: Callable[[], Awaitable[object]]
    took_s: list[float] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)

    async def run(self, until_s: float) -> None:
        while time.monotonic() < until_s:
            begun_s = time.monotonic()
            try:
                await self.work()
            except Exception as error:
                self.errors.append(error)
            self.took_s.append(time.monotonic() - begun_s)
            await anyio.sleep(0.001)


@contextmanager
def full(server: LocalPostgres) -> Iterator[None]:
    """Nobody else is let in, and that is said at once."""
    server.query("ALTER ROLE bascule_app CONNECTION LIMIT 1")
    try:
        yield
    finally:
        server.query("ALTER ROLE bascule_app CONNECTION LIMIT -1")


@pytest.mark.parametrize("shut", [closed, full])
async def test_sessions_that_are_there_serve_all_while_nobody_new_is_let_in(
    server: LocalPostgres, shut: Callable[[LocalPostgres], AbstractContextManager[None]]
) -> None:
    """Three kinds of callers, and more of them than sessions."""
    events: list[Event] = []

    async def unit() -> None:
        await storage.run(adding(f"u{time.monotonic_ns()}"))

    async def read() -> None:
        await storage.read(own_pid)

    async def lent() -> None:
        async with storage.connection() as connection:
            await connection.execute("SELECT 1")

    async with storage_on(server, settings=QUICK, events=events) as (storage, answers):
        await warm(storage, 2)
        workers = [Worker(work=work) for work in (unit, read, lent, unit)]
        asked = answers.asked
        with shut(server):
            async with anyio.create_task_group() as group:
                for worker in workers:
                    group.start_soon(worker.run, time.monotonic() + CLOSED_S)
        assert answers.asked - asked < 20 * CLOSED_S
    assert [worker.errors for worker in workers] == [[], [], [], []]
    assert not [event for event in events if isinstance(event, PrimaryLost)]
    for worker in workers:
        took_s = sorted(worker.took_s)
        assert took_s[len(took_s) * 95 // 100] < 0.5, took_s[-10:]
        assert took_s[-1] < 2, took_s[-10:]
        assert len(took_s) > 20


async def backend_of(connection: AsyncConnection) -> int:
    pid: int = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
    return pid


async def test_an_engine_keeps_its_connections_too(server: LocalPostgres) -> None:
    events: list[Event] = []
    async with storage_on(server, settings=QUICK, events=events) as (storage, _):
        engine = create_async_engine(storage, connect_deadline_s=3.0, pool_size=2)
        async with engine.connect() as first, engine.connect() as second:
            pids = {
                (await each.execute(text("SELECT pg_backend_pid()"))).scalar()
                for each in (first, second)
            }
        with closed(server):
            async with engine.connect() as first, engine.connect() as second:
                with pytest.raises(NoPrimary):
                    async with engine.connect():
                        pass
                again = {await backend_of(first), await backend_of(second)}
        assert again == pids
        await engine.dispose()
    assert not [event for event in events if isinstance(event, PrimaryLost)]


async def test_whoever_needs_a_new_session_gets_one_when_they_are_let_in_again(
    server: LocalPostgres,
) -> None:
    release, busy = anyio.Event(), anyio.Event()

    async def holds(_: Transaction) -> None:
        busy.set()
        await release.wait()

    async with (
        storage_on(server, settings=QUICK) as (storage, _),
        running(storage, holds, deadline_s=60) as ends,
    ):
        await busy.wait()
        with closed(server):
            begun_s = time.monotonic()
            with pytest.raises(NoPrimary, match=r"did not take a connection within 0\.5 s"):
                await storage.run(adding("a"), unit_id="x", deadline_s=WAIT_S / 10)
            assert time.monotonic() - begun_s < WAIT_S
        await storage.run(adding("a"), unit_id="x", deadline_s=WAIT_S)
        release.set()
    assert isinstance(ends[0], Applied)
    assert ends[0].attempts == 1
    assert entries(server, "a") == 1


async def test_a_replica_keeps_its_sessions_too(tmp_path: Path) -> None:
    with local_postgres(tmp_path) as primary, replica_of(primary, tmp_path) as replica:
        await prepare_ledger(primary)
        await wait_rows(replica, "SELECT 1 FROM pg_roles WHERE rolname = 'bascule_app'")
        async with rest_api(primary=True) as a, rest_api(primary=False) as b:
            a.server, b.server = primary, replica
            members = [a.member(primary), b.member(replica)]
            async with Storage(members, CREDENTIALS, settings=QUICK) as storage:

                async def read() -> tuple[str, int]:
                    one = await storage.read(own_pid, max_staleness_s=60, deadline_s=WAIT_S)
                    return one.node, one.value

                with anyio.fail_after(WAIT_S):
                    while (first := await read())[0] != replica.name:
                        await anyio.sleep(0.01)
                with closed(replica):
                    busy, release = anyio.Event(), anyio.Event()

                    async def holds(_: Transaction) -> None:
                        busy.set()
                        await release.wait()

                    async with anyio.create_task_group() as group:
                        group.start_soon(lambda: storage.read(holds, max_staleness_s=60))
                        await busy.wait()
                        assert (await read())[0] == primary.name  # no new one to the replica
                        release.set()
                    assert await read() == first


async def test_a_connect_to_one_that_is_superseded_meanwhile_ends_at_once(tmp_path: Path) -> None:
    patient = StorageSettings(durability="local", connect_deadline_s=600)
    with local_postgres(tmp_path) as old, replica_of(old, tmp_path) as new:
        await prepare_ledger(old)
        await wait_rows(new, "SELECT 1 FROM pg_class WHERE relname = 'unit_of_work'")
        await wait_rows(new, "SELECT 1 FROM pg_roles WHERE rolname = %s", (ROLE,))
        async with rest_api(primary=True) as a, rest_api(primary=False) as b:
            members = [a.member(old), b.member(new)]
            async with Storage(members, CREDENTIALS, settings=patient) as storage:
                with closed(old):
                    async with running(storage, adding("a"), deadline_s=WAIT_S) as ends:
                        with anyio.fail_after(WAIT_S):
                            while storage.primary != old.name:
                                await anyio.sleep(0.01)
                        await anyio.wait_all_tasks_blocked()
                        assert await anyio.to_thread.run_sync(new.query, PROMOTE) == [(True,)]
                        b.status, b.timeline = 200, 2
        assert isinstance(ends[0], Applied)
        assert (ends[0].node, ends[0].attempts) == (new.name, 1)


@dataclass(kw_only=True)
class Stub:
    """Something that is no PostgreSQL listens, and answers every connection in the same way."""

    member: Member
    connects: int = 0


@asynccontextmanager
async def listening(
    answer: bytes, *, then_wait: bool = False
) -> AsyncIterator[tuple[Stub, Storage]]:
    """``answer`` to the first packet, and the end; or nothing more, if ``then_wait``."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        stub.connects += 1
        try:
            await reader.read(1000)
            writer.write(answer)
            await writer.drain()
            if then_wait:
                await reader.read()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with rest_api(primary=True) as answers:
        url = f"http://127.0.0.1:{answers.port}"
        stub = Stub(member=Member(name="stub", rest_url=url, host="127.0.0.1", port=port))
        settings = StorageSettings(durability="local", connect_deadline_s=WAIT_S)
        async with Storage([stub.member], CREDENTIALS, settings=settings) as storage:
            yield stub, storage
        server.close()
        await server.wait_closed()


def refusing(sqlstate: str, words: str) -> bytes:
    """An ErrorResponse (PostgreSQL manual, 54.7)."""
    fields = f"SFATAL\0VFATAL\0C{sqlstate}\0M{words}\0\0".encode()
    return b"E" + (len(fields) + 4).to_bytes(4, "big") + fields


async def many(storage: Storage, count: int, deadline_s: float) -> list[StorageError]:
    """How so many units end that come at once."""
    ends: list[StorageError] = []

    async def one() -> None:
        try:
            await storage.run(own_pid, deadline_s=deadline_s)
        except StorageError as error:
            ends.append(error)

    async with anyio.create_task_group() as group:
        for _ in range(count):
            group.start_soon(one)
    return ends


# The last is said by a postmaster that cannot fork (``report_fork_failure``): words alone.
@pytest.mark.parametrize(
    "answer", [b"", refusing("57P03", "ne prend personne"), b"Ecould not fork new process\n\0"]
)
async def test_many_who_fail_to_connect_do_not_hammer(answer: bytes) -> None:
    async with listening(answer) as (stub, storage):
        ends = await many(storage, 50, 3)
    assert {type(end) for end in ends} == {NoPrimary}
    assert len(ends) == 50
    assert 3 <= stub.connects < 30


REFUSED = refusing("08P01", "unsupported startup parameter: options")


@pytest.mark.parametrize("sqlstate", ["08P01", "0A000", "22023", "42704"])
async def test_a_refused_start_packet_is_told_to_all_at_the_cost_of_one_login(
    sqlstate: str,
) -> None:
    async with listening(refusing(sqlstate, "nicht mit mir")) as (stub, storage):
        with anyio.fail_after(WAIT_S):
            ends = await many(storage, 50, 600)
    assert {(type(end), end.sqlstate) for end in ends} == {(StartRefused, sqlstate)}
    assert all("nicht mit mir" in str(end) and "pooler" in str(end) for end in ends)
    assert len(ends) == 50
    assert stub.connects <= 4  # sixteen sessions at once, so in as many rounds


async def test_it_is_told_at_once_wherever_a_session_is_needed() -> None:
    async with listening(REFUSED) as (stub, storage):
        with anyio.fail_after(WAIT_S):
            with pytest.raises(StartRefused, match="options"):
                await storage.read(own_pid, deadline_s=600)
            with pytest.raises(StartRefused, match="options"):
                async with storage.connection(deadline_s=600):
                    pass
            with pytest.raises(StartRefused, match="options"):
                async with create_async_engine(storage, connect_deadline_s=600).connect():
                    pass
            with pytest.raises(StartRefused, match="options"):
                await prune(storage, deadline_s=600)
            with pytest.raises(MigrationFailed, match="options"):
                await install(storage, deadline_s=600)
            with pytest.raises(Unknown, match="options"):
                await storage.outcome("a", deadline_s=600)
    assert stub.connects == 6


@pytest.mark.parametrize(
    "answer",
    [
        b"R" + (8).to_bytes(4, "big") + (3).to_bytes(4, "big"),  # AuthenticationCleartextPassword
        b"R" + (12).to_bytes(4, "big") + (5).to_bytes(4, "big") + b"salt",  # ...MD5Password
        b"R" + (8).to_bytes(4, "big") + (0).to_bytes(4, "big"),  # AuthenticationOk: no proof
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
)
async def test_what_libpq_itself_does_not_take_is_said_at_once(answer: bytes) -> None:
    async with listening(answer, then_wait=True) as (_, storage):
        with anyio.fail_after(WAIT_S), pytest.raises(NotAdmitted):
            await storage.run(own_pid, deadline_s=600)


async def test_a_missing_password_is_said_at_once(server: LocalPostgres, tmp_path: Path) -> None:
    passfile = tmp_path / "pgpass"
    passfile.write_text("another.example.org:5432:*:*:x\n")
    passfile.chmod(0o600)
    nothing = Credentials(user=ROLE, dbname="postgres", passfile=passfile)
    async with storage_on(server, credentials=nothing, settings=QUICK) as (storage, _):
        with anyio.fail_after(WAIT_S), pytest.raises(NotAdmitted):
            await storage.run(own_pid, deadline_s=600)


async def test_a_read_of_a_server_that_lets_nobody_in_says_so() -> None:
    async with listening(b"") as (stub, storage):
        with pytest.raises(ReadFailed):
            await storage.read(own_pid, deadline_s=2)
    assert stub.connects < 20


IN_PYTHON = """
import asyncio, sys
from psycopg import pq
from replication import Credentials
from replication.wire import Address, Refused, connect

async def main():
    address = Address(node="db-a", host="127.0.0.1", port=int(sys.argv[1]))
    try:
        await connect(address, Credentials(user="nobody", password="x", dbname="postgres"))
    except Refused as refused:
        print(pq.__impl__, refused.sqlstate)

asyncio.run(main())
"""


async def test_psycopg_in_python_tells_the_sqlstate_too(server: LocalPostgres) -> None:
    """The binary package brings a libpq of its own; psycopg in Python takes the one it finds."""
    libpq = str(bindir().parent / "lib")
    environment = {**os.environ, "PSYCOPG_IMPL": "python", "LD_LIBRARY_PATH": libpq}
    command = [sys.executable, "-c", IN_PYTHON, str(server.port)]
    with anyio.fail_after(WAIT_S):
        done = await anyio.run_process(command, env=environment)
    assert done.stdout.split() == [b"python", b"28P01"]


async def test_without_any_sqlstate_the_sessions_that_are_there_serve_all_the_same(
    server: LocalPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where libpq cannot be asked to be verbose: what the server's Patroni says decides."""
    monkeypatch.setattr(starting, "_verbosity_function", lambda: None)
    events: list[Event] = []
    async with storage_on(server, settings=QUICK, events=events) as (storage, _):
        await warm(storage, 1)
        workers = [Worker(work=partial(storage.run, own_pid)) for _ in range(3)]
        with full(server):
            async with anyio.create_task_group() as group:
                for worker in workers:
                    group.start_soon(worker.run, time.monotonic() + 1)
    assert [worker.errors for worker in workers] == [[], [], []]
    assert not [event for event in events if isinstance(event, PrimaryLost)]
