"""``SyncStorage`` against a real PostgreSQL: the promises of ``Storage``, from threads."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest
from support.postgres.local_postgres import LocalPostgres
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
from support.postgres.wal_receiver import no_standby

from replication import (
    AlreadyApplied,
    DeadlineExceeded,
    NotApplied,
    NotOpen,
    StorageSettings,
    SyncStorage,
    SyncTransaction,
)

WAITS_FOR_STANDBY: LiteralString = (
    "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name = 'bascule'"
)
SLEEPS: LiteralString = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
SESSIONS: LiteralString = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'bascule'"


@pytest.fixture
def server(postgres_server: LocalPostgres) -> LocalPostgres:
    end_sleepers(postgres_server)
    create_tables(postgres_server)
    return postgres_server


@pytest.fixture
def storage(server: LocalPostgres) -> Iterator[SyncStorage]:
    with sync_storage_on(server) as storage:
        yield storage


def adding(entry_id: str, n: int = 1) -> Callable[[SyncTransaction], int]:
    def unit_of_work(transaction: SyncTransaction) -> int:
        return transaction.execute("INSERT INTO entry VALUES (%s, %s)", (entry_id, n)).rowcount

    return unit_of_work


def entries(server: LocalPostgres) -> list[str]:
    return [row[0] for row in server.query("SELECT id FROM entry ORDER BY id")]


@contextmanager
def interrupted_when(condition: Callable[[], object]) -> Iterator[None]:
    """Ctrl-C in the main thread as soon as ``condition`` is true."""

    def interrupt() -> None:
        wait_until(condition)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def test_a_unit_of_work_in_the_callers_thread(storage: SyncStorage, server: LocalPostgres) -> None:
    threads = []

    def unit_of_work(transaction: SyncTransaction) -> str:
        threads.append(threading.current_thread())
        adding("a", 1)(transaction)
        rows = transaction.execute("SELECT n FROM entry WHERE id = %s", ("a",)).rows
        return f"{transaction.node} {rows[0][0]}"

    applied = storage.run(unit_of_work, unit_id="a")
    assert (applied.value, applied.attempts, applied.resolved) == ("db-a 1", 1, False)
    assert threads == [threading.current_thread()]
    assert entries(server) == ["a"]
    assert storage.primary == "db-a"
    assert storage.outcome("a").applied
    assert not storage.outcome("b").applied
    with pytest.raises(AlreadyApplied):
        storage.run(unit_of_work, unit_id="a")


def test_reads_and_tokens(storage: SyncStorage) -> None:
    applied = storage.run(adding("a"))

    def count(transaction: SyncTransaction) -> int:
        return int(transaction.execute("SELECT count(*) FROM entry").rows[0][0])

    read = storage.read(count, after=applied.token)
    assert (read.value, read.source) == (1, "primary")


def test_a_decorated_function(storage: SyncStorage, server: LocalPostgres) -> None:
    @storage.unit_of_work(deadline_s=30)
    def add(transaction: SyncTransaction, entry_id: str, n: int = 0) -> int:
        """Add one."""
        return adding(entry_id, n)(transaction)

    assert add("a", n=7) == 1
    assert add.run("unit-b", "b").unit_id == "unit-b"
    assert add.__doc__ == "Add one."
    assert entries(server) == ["a", "b"]


def test_errors_are_what_they_are(storage: SyncStorage, server: LocalPostgres) -> None:
    storage.run(adding("a"))
    with pytest.raises(NotApplied) as refused:
        storage.run(adding("a"))
    assert type(refused.value) is NotApplied
    assert refused.value.sqlstate == "23505"
    own = ValueError("mine")

    def fail(transaction: SyncTransaction) -> None:
        adding("b")(transaction)
        raise own

    with pytest.raises(ValueError, match="mine") as raised:
        storage.run(fail)
    assert raised.value is own
    with pytest.raises(DeadlineExceeded):
        storage.run(lambda transaction: transaction.execute("SELECT pg_sleep(60)"), deadline_s=0.5)
    assert entries(server) == ["a"]


def test_an_asynchronous_function_is_refused(storage: SyncStorage, server: LocalPostgres) -> None:
    async def unit_of_work(transaction: SyncTransaction) -> None:
        adding("a")(transaction)

    with pytest.raises(TypeError, match="asynchronous"):
        storage.run(unit_of_work, unit_id="a")
    assert server.query("SELECT * FROM bascule.unit_of_work") == []


def test_many_threads(storage: SyncStorage, server: LocalPostgres) -> None:
    with ThreadPoolExecutor(24) as pool:
        list(pool.map(lambda n: storage.run(adding(f"{n}")), range(200)))
    assert len(entries(server)) == 200
    assert len(server.query(SESSIONS)) <= StorageSettings().sessions_max


def test_psycopgs_connection_inside_a_unit_of_work(
    storage: SyncStorage, server: LocalPostgres
) -> None:
    def unit_of_work(transaction: SyncTransaction) -> int:
        adding("before")(transaction)
        with transaction.connection() as connection:
            connection.prepare_threshold = 0
            connection.execute("INSERT INTO entry VALUES ('in', 1)")
            with connection.transaction(force_rollback=True):
                connection.execute("INSERT INTO entry VALUES ('undone', 1)")
            with connection.cursor().copy("COPY entry FROM STDIN") as copy:
                copy.write_row(("copied", 2))
            with pytest.raises(psycopg.ProgrammingError, match="not yours"):
                connection.commit()
            with pytest.raises(psycopg.ProgrammingError, match="not yours"):
                connection.rollback()
        with pytest.raises(psycopg.OperationalError, match="closed"):
            connection.execute("INSERT INTO entry VALUES ('late', 1)")
        return adding("after")(transaction)

    assert storage.run(unit_of_work).value == 1
    names = [f"next-{n}" for n in range(7)]  # psycopg prepares some of it
    assert [storage.run(adding(name)).value for name in names] == [1] * 7
    assert entries(server) == ["after", "before", "copied", "in", *names]


def test_the_deadline_ends_a_statement_on_psycopgs_connection(
    storage: SyncStorage, server: LocalPostgres
) -> None:
    seen: list[BaseException] = []

    def unit_of_work(transaction: SyncTransaction) -> None:
        adding("a")(transaction)
        with transaction.connection() as connection:
            try:
                connection.execute("SELECT pg_sleep(60)")
            except psycopg.Error as error:
                seen.append(error)
        end_sleepers(server)
        with pytest.raises(psycopg.OperationalError, match="interrupted"):
            adding("b")(transaction)

    with pytest.raises(DeadlineExceeded):
        storage.run(unit_of_work, deadline_s=0.5)
    assert [type(error) for error in seen] == [psycopg.OperationalError]
    assert entries(server) == []
    storage.run(adding("c"))
    assert entries(server) == ["c"]


def test_an_interrupt_in_the_function(storage: SyncStorage, server: LocalPostgres) -> None:
    def unit_of_work(transaction: SyncTransaction) -> None:
        adding("a")(transaction)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        storage.run(unit_of_work, unit_id="a")
    wait_rows(server, SESSIONS, 0)
    assert not storage.outcome("a").applied
    storage.run(adding("b"))
    assert entries(server) == ["b"]


def test_an_interrupt_during_a_statement(storage: SyncStorage, server: LocalPostgres) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        interrupted_when(lambda: server.query(SLEEPS)),
    ):
        storage.run(lambda transaction: transaction.execute("SELECT pg_sleep(60)"), unit_id="a")
    end_sleepers(server)
    assert not storage.outcome("a").applied
    storage.run(adding("b"))
    assert entries(server) == ["b"]


def test_an_interrupt_during_the_commit(storage: SyncStorage, server: LocalPostgres) -> None:
    """It had been sent, so it may take effect: the outcome says, and that is how it stays."""
    with (
        no_standby(server),
        pytest.raises(KeyboardInterrupt),
        interrupted_when(lambda: server.query(WAITS_FOR_STANDBY)),
    ):
        storage.run(adding("a"), unit_id="a")
    assert storage.outcome("a").applied
    assert entries(server) == ["a"]


def test_open_and_close(server: LocalPostgres) -> None:
    with rest_apis(True) as (answers,):
        storage = SyncStorage([answers.member(server)], CREDENTIALS)
        with pytest.raises(NotOpen):
            storage.run(adding("a"))
        storage.close()
        storage.open()
        storage.open()
        storage.run(adding("a"))
        storage.close()
        storage.close()
        wait_rows(server, SESSIONS, 0)
        with pytest.raises(NotOpen):
            storage.run(adding("b"))
        with storage:
            storage.run(adding("c"))
    assert entries(server) == ["a", "c"]


def test_a_forked_child_is_told_and_harms_nobody(
    storage: SyncStorage, server: LocalPostgres
) -> None:
    storage.run(adding("a"))
    backends = server.query("SELECT pid FROM pg_stat_activity WHERE application_name = 'bascule'")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of such forks
        child = os.fork()
    if child == 0:
        try:
            storage.run(adding("child"))
        except NotOpen:
            storage.close()
            with storage:  # one of its own
                storage.run(adding("own"))
            os._exit(0)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    storage.run(adding("b"))
    assert entries(server) == ["a", "b", "own"]
    assert (
        server.query("SELECT pid FROM pg_stat_activity WHERE application_name = 'bascule'")
        == backends
    )


def test_a_commit_in_doubt_is_resolved_by_the_new_primary(tmp_path: Path) -> None:
    with two_servers(tmp_path) as pair, SyncStorage(pair.members, CREDENTIALS) as storage:
        storage.run(adding("first"))
        pair.old.set("synchronous_standby_names", "ANY 1 (nobody)")
        with ThreadPoolExecutor(1) as thread:
            doubtful = thread.submit(storage.run, adding("a"), unit_id="a")
            wait_rows(pair.old, WAITS_FOR_STANDBY)
            pair.wait_replicated()
            pair.promote()
            applied = doubtful.result()
        assert (applied.node, applied.attempts, applied.resolved) == ("db-a", 1, True)
        assert storage.run(adding("b")).node == "db-b"
        assert pair.entries(pair.new) == ["a", "b", "first"]
