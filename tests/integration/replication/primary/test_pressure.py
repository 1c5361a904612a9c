"""Under pressure: what is refused, with which words, and what is not retried into the ground."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import anyio
import anyio.lowlevel
import psycopg
import pytest
from support.postgres.ledger_units import (
    CREDENTIALS,
    ROLE,
    ROLE_PASSWORD,
    adding,
    entries,
    prepare_ledger,
    running,
    storage_on,
    wait_true,
)
from support.postgres.local_postgres import LocalPostgres, free_port, local_postgres
from support.postgres.patroni_answers import rest_api
from support.postgres.synchronous import end_sleepers

from replication import (
    Applied,
    CircuitOpen,
    Credentials,
    DeadlineExceeded,
    Member,
    NoPrimary,
    NotAdmitted,
    NotApplied,
    PoolExhausted,
    ServerFull,
    StatementTimeout,
    Storage,
    StorageSettings,
    Transaction,
    UnitOfWork,
    Unknown,
)
from replication.observability.events import (
    CircuitClosed,
    CircuitOpened,
    Event,
    PoolWaited,
    UnitEnded,
)

pytestmark = pytest.mark.anyio

LOCAL = StorageSettings(durability="local")


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPostgres]:
    """A server of our own, to be filled up and to be stopped."""
    with local_postgres(tmp_path_factory.mktemp("pressure")) as server:
        yield server


@pytest.fixture
async def server(own_server: LocalPostgres) -> LocalPostgres:
    await prepare_ledger(own_server)
    return own_server


async def test_all_sessions_in_use(server: LocalPostgres) -> None:
    release, busy = anyio.Event(), anyio.Event()

    async def holds(transaction: Transaction) -> None:
        await adding("a")(transaction)
        busy.set()
        await release.wait()

    settings = StorageSettings(durability="local", sessions_max=1)
    async with (
        storage_on(server, settings=settings) as (storage, _),
        running(storage, holds, deadline_s=60) as ends,
    ):
        await busy.wait()
        with pytest.raises(PoolExhausted) as caught:
            await storage.run(adding("b"), unit_id="b", deadline_s=0.2)
        assert (caught.value.attempts, caught.value.unit_id) == (0, "b")
        assert "every session (1) was in use" in str(caught.value)
        assert "sessions_max" in str(caught.value)
        release.set()
    assert isinstance(ends[0], Applied)
    assert entries(server, "b") == 0


async def test_waiting_units_are_served_in_order(server: LocalPostgres) -> None:
    release, busy = anyio.Event(), anyio.Event()
    order: list[int] = []
    events: list[Event] = []

    async def holds(_: Transaction) -> None:
        busy.set()
        await release.wait()

    settings = StorageSettings(durability="local", sessions_max=1)
    async with (
        storage_on(server, settings=settings, events=events) as (storage, _),
        running(storage, holds, deadline_s=60),
        anyio.create_task_group() as group,
    ):

        async def write(number: int) -> None:
            async def notes(transaction: Transaction) -> None:
                order.append(number)
                await adding(str(number))(transaction)

            await storage.run(notes, deadline_s=60)

        await busy.wait()
        for number in range(8):
            group.start_soon(write, number)
            await anyio.lowlevel.checkpoint()
        release.set()
    assert order == list(range(8))
    assert sum(isinstance(event, PoolWaited) for event in events) == 8


@pytest.mark.parametrize("limit", ["role", "server"])
async def test_a_full_server(server: LocalPostgres, limit: str) -> None:
    """Those who are in stay in; the next one waits for room, and says so at the deadline."""
    in_the_way: list[psycopg.Connection] = []

    async def holds(transaction: Transaction) -> None:
        await adding("a")(transaction)
        busy.set()
        await release.wait()

    release, busy = anyio.Event(), anyio.Event()
    settings = StorageSettings(durability="local", sessions_max=4)
    async with storage_on(server, settings=settings) as (storage, answers):
        async with running(storage, holds, deadline_s=120) as ends:
            await busy.wait()
            primary = storage.primary
            fill(server, limit, in_the_way)
            try:
                with pytest.raises(ServerFull) as caught:
                    await storage.run(adding("b"), unit_id="b", deadline_s=2)
                assert (caught.value.sqlstate, storage.primary) == ("53300", primary)
                assert "max_connections" in str(caught.value)
                asked = answers.asked
                # The session that is there is used, whoever asks, and its server is not doubted.
                release.set()
                await wait_true(lambda: bool(ends))
                for n in range(5):
                    await storage.run(adding(f"c{n}"), deadline_s=60)
                assert answers.asked <= asked + 3
            finally:
                make_room(server, limit, in_the_way)
        await storage.run(adding("b"), unit_id="b", deadline_s=60)
    assert isinstance(ends[0], Applied)
    assert ends[0].attempts == 1
    assert (entries(server, "a"), entries(server, "b")) == (1, 1)


def fill(server: LocalPostgres, limit: str, in_the_way: list[psycopg.Connection]) -> None:
    if limit == "role":
        server.query("ALTER ROLE bascule_app CONNECTION LIMIT 1")
        return
    conninfo = psycopg.conninfo.make_conninfo(
        "",
        host="127.0.0.1",
        port=server.port,
        user=ROLE,
        password=ROLE_PASSWORD,
        dbname="postgres",
    )
    while True:
        try:
            in_the_way.append(psycopg.connect(conninfo))
        except psycopg.OperationalError:
            break
    assert "remaining connection slots are reserved" in server.log_text()


def make_room(server: LocalPostgres, limit: str, in_the_way: list[psycopg.Connection]) -> None:
    if limit == "role":
        server.query("ALTER ROLE bascule_app CONNECTION LIMIT -1")
    for connection in in_the_way:
        connection.close()


async def test_a_wrong_password_is_said_at_once(
    server: LocalPostgres, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "a-wrong-secret"
    wrong = Credentials(user=ROLE, password=secret, dbname="postgres")
    with caplog.at_level(logging.DEBUG):
        async with storage_on(server, credentials=wrong, settings=LOCAL) as (storage, _):
            with anyio.fail_after(30), pytest.raises(NotAdmitted) as caught:
                await storage.run(adding("a"), unit_id="a", deadline_s=600)
    assert (caught.value.sqlstate, caught.value.attempts) == ("28P01", 0)
    assert secret not in caplog.text
    assert secret not in str(caught.value)


async def test_a_database_that_is_not_there_is_said_at_once(server: LocalPostgres) -> None:
    wrong = Credentials(user=ROLE, password=CREDENTIALS.password, dbname="no-such")
    async with storage_on(server, credentials=wrong, settings=LOCAL) as (storage, _):
        with anyio.fail_after(30), pytest.raises(NotAdmitted) as caught:
            await storage.run(adding("a"), unit_id="a", deadline_s=600)
    assert caught.value.sqlstate == "3D000"


async def test_a_statement_that_takes_too_long(server: LocalPostgres) -> None:
    async def sleeps(transaction: Transaction) -> None:
        await adding("a")(transaction)
        await transaction.execute("SELECT pg_sleep(600)")

    async with storage_on(server, settings=LOCAL) as (storage, _):
        with pytest.raises(StatementTimeout) as caught:
            await storage.run(sleeps, unit_id="a", deadline_s=60, statement_timeout_s=0.05)
        assert (caught.value.sqlstate, caught.value.attempts) == ("57014", 1)
        assert "statement_timeout_s" in str(caught.value)

        # It holds for that unit only.
        async def waits(transaction: Transaction) -> None:
            await transaction.execute("SELECT pg_sleep(0.1)")

        await storage.run(waits, deadline_s=60)
    assert entries(server, "a") == 0


# The circuit. ------------------------------------------------------------------------------------


async def test_the_circuit_opens_refuses_at_once_and_closes_when_a_primary_is_found(
    server: LocalPostgres,
) -> None:
    events: list[Event] = []
    settings = StorageSettings(durability="local", circuit_after=3, circuit_open_s=600)
    async with rest_api(primary=False) as answers:
        members = [answers.member(server)]
        async with Storage(
            members, CREDENTIALS, settings=settings, observers=[events.append]
        ) as storage:
            for n in range(3):
                with pytest.raises(NoPrimary):
                    await storage.run(adding(f"x{n}"), deadline_s=0.2)
            with pytest.raises(CircuitOpen) as caught:
                await storage.run(adding("a"), unit_id="a", deadline_s=600)
            assert caught.value.attempts == 0
            assert 0 < caught.value.retry_after_s <= 600
            assert sum(isinstance(event, CircuitOpened) for event in events) == 1
            answers.status = 200
            await wait_true(lambda: any(isinstance(event, CircuitClosed) for event in events))
            await storage.run(adding("a"), unit_id="a", deadline_s=60)
    assert entries(server, "a") == 1


async def test_the_circuit_opens_though_a_member_claims_what_nobody_can_use() -> None:
    """Its Patroni says that it is the primary, and its PostgreSQL takes no connection."""
    settings = StorageSettings(durability="local", circuit_after=3, circuit_open_s=600)
    events: list[Event] = []
    async with rest_api(primary=True) as answers:
        member = Member(
            name="db-a",
            rest_url=f"http://127.0.0.1:{answers.port}",
            host="127.0.0.1",
            port=free_port(),
        )
        async with Storage(
            [member], CREDENTIALS, settings=settings, observers=[events.append]
        ) as storage:
            for n in range(3):
                with pytest.raises(NoPrimary):
                    await storage.run(adding(f"x{n}"), deadline_s=0.5)
    assert sum(isinstance(event, CircuitOpened) for event in events) == 1


async def test_half_open_lets_one_through(server: LocalPostgres) -> None:
    now_s = [0.0]
    events: list[Event] = []
    settings = StorageSettings(durability="local", circuit_after=1, circuit_open_s=10)
    async with rest_api(primary=False) as answers:
        storage = Storage(
            [answers.member(server)],
            CREDENTIALS,
            settings=settings,
            observers=[events.append],
            clock=lambda: now_s[0],
        )
        async with storage:
            with pytest.raises(NoPrimary):
                await storage.run(adding("x"), deadline_s=0.2)
            now_s[0] = 4.0
            with pytest.raises(CircuitOpen) as caught:
                await storage.run(adding("x"), deadline_s=600)
            assert caught.value.retry_after_s == 6.0
            now_s[0] = 10.0
            async with running(storage, adding("a"), deadline_s=60) as ends:
                await anyio.wait_all_tasks_blocked()
                with pytest.raises(CircuitOpen):
                    await storage.run(adding("x"), deadline_s=600)
                answers.status = 200
            assert isinstance(ends[0], Applied)
            await storage.run(adding("b"), unit_id="b", deadline_s=60)
    assert [event.outcome for event in events if isinstance(event, UnitEnded)] == [
        "not-applied",
        "applied",
        "applied",
    ]


async def test_a_slow_function_opens_no_circuit(server: LocalPostgres) -> None:
    async def sleeps(_: Transaction) -> None:
        await anyio.sleep_forever()

    settings = StorageSettings(durability="local", circuit_after=1, circuit_open_s=600)
    async with storage_on(server, settings=settings) as (storage, _):
        for _ in range(3):
            with pytest.raises(DeadlineExceeded) as caught:
                await storage.run(sleeps, deadline_s=0.5)
            assert type(caught.value) is DeadlineExceeded
        await storage.run(adding("a"), unit_id="a", deadline_s=60)


async def test_units_that_are_too_long_open_no_circuit(server: LocalPostgres) -> None:
    """All sessions are held by functions; the primary is well."""
    release, busy = anyio.Event(), anyio.Event()

    async def holds(_: Transaction) -> None:
        busy.set()
        await release.wait()

    settings = StorageSettings(
        durability="local", sessions_max=1, circuit_after=1, circuit_open_s=600
    )
    async with (
        storage_on(server, settings=settings) as (storage, _),
        running(storage, holds, deadline_s=60),
    ):
        await busy.wait()
        for _ in range(3):
            with pytest.raises(PoolExhausted):
                await storage.run(adding("a"), deadline_s=0.1)
        release.set()
        await storage.run(adding("b"), unit_id="b", deadline_s=60)


@pytest.mark.parametrize("sqlstate", ["53100", "53200", "53300", "57014", "08006", "57P01"])
async def test_what_a_function_raises_opens_no_circuit(
    server: LocalPostgres, sqlstate: str
) -> None:
    raise_it = psycopg.sql.SQL("DO $$ BEGIN RAISE 'mine' USING ERRCODE = {}; END $$").format(
        psycopg.sql.Literal(sqlstate)
    )

    async def raises(transaction: Transaction) -> None:
        await transaction.execute(raise_it)

    settings = StorageSettings(durability="local", circuit_after=1, circuit_open_s=600)
    async with storage_on(server, settings=settings) as (storage, _):
        for _ in range(2):
            with pytest.raises(NotApplied) as caught:
                await storage.run(raises, deadline_s=0.3)
            assert caught.value.sqlstate == sqlstate
        await storage.run(adding("a"), unit_id="a", deadline_s=60)


async def test_a_deadline_that_a_function_used_up_opens_no_circuit(server: LocalPostgres) -> None:
    """It passes while COMMIT is on its way; the cluster is not slow."""
    held = anyio.Event()
    settings = StorageSettings(durability="local", circuit_after=1, circuit_open_s=600)

    async def sleeps_at_commit(transaction: Transaction) -> None:
        await transaction.execute("CREATE TEMP TABLE d (n int) ON COMMIT DROP")
        await transaction.execute(
            "CREATE FUNCTION pg_temp.late() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN PERFORM pg_sleep(600); RETURN NULL; END $$"
        )
        await transaction.execute(
            "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON d DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION pg_temp.late()"
        )
        await transaction.execute("INSERT INTO d VALUES (1)")
        held.set()

    async with storage_on(server, settings=settings) as (storage, _):
        with pytest.raises(Unknown):
            await storage.run(sleeps_at_commit, deadline_s=0.7)
        assert held.is_set()
        await storage.run(adding("a"), unit_id="a", deadline_s=60)
    end_sleepers(server)


# Functions that run themselves. ------------------------------------------------------------------


async def test_a_function_as_a_unit_of_work(server: LocalPostgres) -> None:
    async with storage_on(server, settings=LOCAL) as (storage, _):

        @storage.unit_of_work(deadline_s=60)
        async def add(transaction: Transaction, name: str, *, twice: bool = False) -> int:
            """Adds an entry."""
            await adding(name)(transaction)
            if twice:
                await add.fn(transaction, name)
            return 1 + twice

        assert isinstance(add, UnitOfWork)
        assert (add.__name__, add.__doc__) == ("add", "Adds an entry.")
        assert await add("a") == 1
        applied = await add.run("order-17", "b", twice=True)
        assert (applied.value, applied.unit_id) == (2, "order-17")
        assert (await storage.outcome("order-17", deadline_s=60)).applied
    assert (entries(server, "a"), entries(server, "b")) == (1, 2)


async def test_a_decorated_function_keeps_its_promises(server: LocalPostgres) -> None:
    calls: list[str] = []
    async with storage_on(server, settings=LOCAL) as (storage, _):

        @storage.unit_of_work(statement_timeout_s=0.05, repeatable=False, deadline_s=60)
        async def slow(transaction: Transaction) -> None:
            calls.append("slow")
            await transaction.execute("SELECT pg_sleep(600)")

        with pytest.raises(StatementTimeout):
            await slow()
    assert calls == ["slow"]
