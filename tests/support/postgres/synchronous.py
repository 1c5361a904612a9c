"""For tests of synchronous code: REST APIs in their own thread, and two servers to fail over."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString

from anyio.from_thread import start_blocking_portal
from psycopg import sql
from support.postgres.local_postgres import (
    PASSWORD,
    SUPERUSER,
    LocalPostgres,
    local_postgres,
    replica_of,
)
from support.postgres.patroni_answers import Answers, rest_api
from support.postgres.wal_receiver import STANDBYS, wal_receiver

from replication import Credentials, Member, SyncStorage
from replication.units.id_row import SCHEMA_STATEMENTS

CREDENTIALS = Credentials(user=SUPERUSER, password=PASSWORD, dbname="postgres")
DEADLINE_S = 30.0


@contextmanager
def rest_apis(*are_primary: bool) -> Iterator[tuple[Answers, ...]]:
    """As ``rest_api``, served by a thread of its own."""
    with start_blocking_portal("asyncio") as portal, ExitStack() as stack:
        yield tuple(
            stack.enter_context(portal.wrap_async_context_manager(rest_api(primary=is_primary)))
            for is_primary in are_primary
        )


@contextmanager
def sync_storage_on(server: LocalPostgres) -> Iterator[SyncStorage]:
    """A storage whose one member is ``server``."""
    with (
        rest_apis(True) as (answers,),
        SyncStorage([answers.member(server)], CREDENTIALS) as storage,
    ):
        yield storage


def create_tables(server: LocalPostgres) -> None:
    """The id rows, and a table ``entry`` for what the tests write; both empty."""
    for statement in SCHEMA_STATEMENTS:
        server.query(sql.SQL(statement))  # type: ignore[arg-type]
    server.query("CREATE TABLE IF NOT EXISTS entry (id text PRIMARY KEY, n integer NOT NULL)")
    server.query("TRUNCATE bascule.unit_of_work, entry")


def end_sleepers(server: LocalPostgres) -> None:
    """End the statements whose clients have gone: a server does not notice while it sleeps."""
    server.query(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    )


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until ``condition`` is true."""
    until_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < until_s, "it did not come true"
        time.sleep(0.02)


def wait_rows(server: LocalPostgres, query: LiteralString, count: int = 1) -> None:
    """Wait until ``query`` returns ``count`` rows."""
    wait_until(lambda: len(server.query(query)) == count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A primary and its streaming replica, and what their Patroni would say."""

    old: LocalPostgres
    new: LocalPostgres
    old_answers: Answers
    new_answers: Answers

    @property
    def members(self) -> list[Member]:
        """As the storage is told about them."""
        return [self.old_answers.member(self.old), self.new_answers.member(self.new)]

    def wait_replicated(self) -> None:
        """Wait until the replica has everything."""
        lsn = self.old.query("SELECT pg_current_wal_lsn()")[0][0]
        wait_until(
            lambda: self.new.query("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", (lsn,))[0][0]
        )

    def promote(self) -> None:
        """The replica becomes the primary. The old one lives on, and takes writes."""
        assert self.new.query("SELECT pg_promote(true, 20)") == [(True,)]
        self.old_answers.status, self.new_answers.status = 503, 200
        self.new_answers.timeline = 2

    def entries(self, server: LocalPostgres) -> list[str]:
        """The ids of what was written."""
        return [row[0] for row in server.query("SELECT id FROM entry ORDER BY id")]


@contextmanager
def two_servers(folder: Path) -> Iterator[Pair]:
    """A pair, to be broken by one test; both wait for a synchronous standby that is there."""
    with (
        local_postgres(folder) as old,
        replica_of(old, folder) as new,
        wal_receiver(old, folder),
        wal_receiver(new, folder),
        rest_apis(True, False) as (old_answers, new_answers),
    ):
        create_tables(old)
        for server in (old, new):
            server.set("synchronous_standby_names", STANDBYS)
        pair = Pair(old=old, new=new, old_answers=old_answers, new_answers=new_answers)
        pair.wait_replicated()
        yield pair
