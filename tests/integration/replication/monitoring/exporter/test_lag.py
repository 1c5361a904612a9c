"""A replica is cut off for real, and its lag grows; it comes back, and the lag is gone.

The naive measure, received equals replayed, is asked beside it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import psycopg
import pytest
from psycopg import sql
from support.monitoring.scrapes import Scrape, scrape, wait_scrape
from support.postgres.local_postgres import PASSWORD, LocalPostgres, local_postgres, replica_of
from support.postgres.patroni_answers import Answers, rest_api

from replication import Credentials
from replication.monitoring.exporter.service import exporter
from replication.monitoring.exporter.settings import ExporterSettings
from replication.monitoring.lag import heartbeat_row

pytestmark = pytest.mark.anyio

ROLE, ROLE_PASSWORD = "bascule_exporter", "exporter-password"
CREDENTIALS = Credentials(user=ROLE, password=ROLE_PASSWORD, dbname="postgres")
BEHIND_S = 2.0
ALL_SENT = "SELECT pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[LocalPostgres, LocalPostgres]]:
    """A primary and its replica, with the exporter's role and the heartbeat's table."""
    with local_postgres(tmp_path) as primary, replica_of(primary, tmp_path) as replica:
        prepare(primary)
        connect_replica(primary, replica)
        yield primary, replica


def prepare(primary: LocalPostgres) -> None:
    """What ``bascule exporter --setup-sql`` prints, and the role itself."""
    role, password = sql.Identifier(ROLE), sql.Literal(ROLE_PASSWORD)
    primary.query(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, password))
    for statement in heartbeat_row.setup_statements(ROLE):
        primary.query(statement)


def connect_replica(primary: LocalPostgres, replica: LocalPostgres) -> None:
    """The replica streams, under its own name, as Patroni has it."""
    conninfo = f"{primary.conninfo(password=PASSWORD)} application_name={replica.name}"
    replica.set("primary_conninfo", conninfo)


@asynccontextmanager
async def watched(
    pair: tuple[LocalPostgres, LocalPostgres], interval_s: float = 0.2
) -> AsyncIterator[tuple[str, Answers, Answers]]:
    """An exporter of the pair: its URL, and what the two Patronis say."""
    primary, replica = pair
    async with rest_api(primary=True) as first, rest_api(primary=False) as second:
        first.more, second.more = {"role": "primary"}, {"role": "replica"}
        settings = ExporterSettings(
            cluster="patients",
            members=(first.member(primary), second.member(replica)),
            credentials=CREDENTIALS,
            interval_s=interval_s,
        )
        async with exporter(settings, "127.0.0.1", 0) as port:
            yield f"http://127.0.0.1:{port}", first, second


def lag_s(page: Scrape) -> float | None:
    return page.value("bascule_replica_lag_seconds", member="db-b")


def lag_bytes(page: Scrape, stage: str = "replay") -> float | None:
    return page.value("bascule_replica_lag_bytes", member="db-b", stage=stage)


def is_level(page: Scrape) -> bool:
    return lag_s(page) == 0 and all(
        lag_bytes(page, stage) == 0 for stage in ("sent", "write", "flush", "replay")
    )


def receiver_pid(replica: LocalPostgres) -> int:
    rows = replica.query("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walreceiver'")
    pid: int = rows[0][0]
    return pid


def frozen_receiver(pair: tuple[LocalPostgres, LocalPostgres]) -> Callable[[], None]:
    """The receiver stands still, its connection stays: the primary still has a row for it."""
    pid = receiver_pid(pair[1])
    os.kill(pid, signal.SIGSTOP)
    return lambda: os.kill(pid, signal.SIGCONT)


def no_connection(pair: tuple[LocalPostgres, LocalPostgres]) -> Callable[[], None]:
    """The replica lives, and has no connection to the primary, which has no row for it."""
    primary, replica = pair
    replica.set("primary_conninfo", "")
    return lambda: connect_replica(primary, replica)


def stopped_server(pair: tuple[LocalPostgres, LocalPostgres]) -> Callable[[], None]:
    """The replica is gone altogether, and comes back with its data."""
    replica = pair[1]
    replica.stop()
    return replica.start


@pytest.mark.parametrize("cut", [frozen_receiver, no_connection, stopped_server])
async def test_a_replica_that_is_cut_off_falls_behind_and_catches_up(
    pair: tuple[LocalPostgres, LocalPostgres],
    cut: Callable[[tuple[LocalPostgres, LocalPostgres]], Callable[[], None]],
) -> None:
    primary, replica = pair
    async with watched(pair) as (url, _, _):
        await wait_scrape(url, is_level, what="a healthy replica is not behind")
        heal = await anyio.to_thread.run_sync(cut, pair)
        try:
            first = await wait_scrape(
                url,
                lambda page: (lag_s(page) or 0) > BEHIND_S and (lag_bytes(page) or 0) > 0,
                what="lag of a replica that was cut off",
            )
            if cut is not stopped_server:
                assert replica.query(ALL_SENT) == [(True,)], "the naive measure says 0"
            primary.query("CREATE TABLE more AS SELECT generate_series(1, 20000)")
            await wait_scrape(
                url,
                lambda page: (
                    (lag_s(page) or 0) > (lag_s(first) or 0) + 1
                    and (lag_bytes(page) or 0) > (lag_bytes(first) or 0) + 500_000
                ),
                what="lag that goes on growing",
            )
        finally:
            await anyio.to_thread.run_sync(heal)
        # Who asks both servers in turn may have asked the primary before the replica was back.
        await wait_scrape(
            url,
            lambda page: (
                is_level(page)
                and page.value("bascule_replica_wal_receiver_up", member="db-b") == 1
                and page.value("bascule_replica_sync_state", member="db-b", state="async") == 1
            ),
            what="the replica has caught up, and is seen again on both sides",
        )


async def test_the_receiver_that_is_missing_is_said(
    pair: tuple[LocalPostgres, LocalPostgres],
) -> None:
    async with watched(pair) as (url, _, _):
        await wait_scrape(url, is_level, what="a healthy replica")
        no_connection(pair)
        page = await wait_scrape(
            url,
            lambda page: page.value("bascule_replica_wal_receiver_up", member="db-b") == 0,
            what="no receiver",
        )
    assert page.value("bascule_member_sql_up", member="db-b") == 1
    assert page.value("bascule_member_in_recovery", member="db-b") == 1


async def test_lag_is_measured_while_commits_wait_for_a_quorum_that_is_gone(
    pair: tuple[LocalPostgres, LocalPostgres],
) -> None:
    primary, _ = pair
    async with watched(pair) as (url, _, _):
        await wait_scrape(url, is_level, what="a healthy replica")
        primary.set("synchronous_standby_names", 'ANY 1 ("db-b")')
        page = await wait_scrape(
            url, lambda page: page.value("bascule_sync_standbys") == 1, what="one counted standby"
        )
        assert page.value("bascule_sync_standbys_required") == 1
        assert page.value("bascule_replica_sync_state", member="db-b", state="quorum") == 1
        no_connection(pair)
        page = await wait_scrape(
            url, lambda page: (lag_s(page) or 0) > BEHIND_S, what="lag without a quorum"
        )
    assert page.value("bascule_sync_standbys") == 0
    assert page.value("bascule_sync_standbys_required") == 1
    assert sum(page.values("bascule_replica_sync_state", member="db-b")) == 0


async def test_two_primaries_are_shown_as_two_and_the_stale_one_measures_nobody(
    pair: tuple[LocalPostgres, LocalPostgres],
) -> None:
    primary, replica = pair
    async with watched(pair) as (url, old, new):
        page = await wait_scrape(url, is_level, what="a healthy replica")
        assert page.value("bascule_primaries") == page.value("bascule_writable_members") == 1
        assert page.value("bascule_member_timeline", member="db-a") == 1
        assert replica.query("SELECT pg_promote(true, 20)") == [(True,)]
        new.status, new.timeline, new.more = 200, 2, {"role": "primary"}
        page = await wait_scrape(
            url,
            lambda page: (
                page.value("bascule_primaries") == page.value("bascule_writable_members") == 2
                and page.value("bascule_member_timeline", member="db-b") == 2
            ),
            what="two primaries",
        )
        assert page.value("bascule_member_role", member="db-a", role="primary") == 1
        assert page.value("bascule_member_role", member="db-b", role="primary") == 1
        # The old one is further than the new one: were it the reference, the new would be behind.
        primary.query("CREATE TABLE lost AS SELECT generate_series(1, 20000)")
        before = await scrape(url)
        page = await wait_scrape(
            url,
            lambda page: (
                (page.value("bascule_heartbeat_last_written_timestamp_seconds") or 0)
                > (before.value("bascule_heartbeat_last_written_timestamp_seconds") or 0) + 0.5
            ),
            what="heartbeats on the new primary",
        )
        assert page.values("bascule_replica_lag_bytes") == []
        heartbeats = "SELECT max(number) FROM bascule.heartbeat"
        stale, fresh = primary.query(heartbeats)[0][0], replica.query(heartbeats)[0][0]
        assert stale < fresh, "the stale primary gets no heartbeat any more"
        old.status = 503
        await anyio.to_thread.run_sync(primary.stop)
        page = await wait_scrape(
            url,
            lambda page: (page.value("bascule_replica_lag_seconds", member="db-a") or 0) > BEHIND_S,
            what="the former primary as a replica that is behind",
        )
    assert page.value("bascule_primaries") == page.value("bascule_writable_members") == 1
    assert page.value("bascule_member_sql_up", member="db-a") == 0


async def test_without_the_right_to_statistics_a_replica_is_measured_by_its_own_word(
    pair: tuple[LocalPostgres, LocalPostgres],
) -> None:
    primary, _ = pair
    primary.query(sql.SQL("REVOKE pg_read_all_stats FROM {}").format(sql.Identifier(ROLE)))
    async with watched(pair) as (url, _, second):
        second.more = {"role": "replica", "replication_state": "streaming"}
        page = await wait_scrape(
            url,
            lambda page: (
                page.value("bascule_exporter_permission_missing", permission="read_stats") == 1
                and lag_s(page) == 0
                and lag_bytes(page) is not None
                and page.value("bascule_replica_wal_receiver_up", member="db-b") == 1
            ),
            what="a replica's own word",
        )
        no_connection(pair)
        await wait_scrape(
            url,
            lambda page: (lag_s(page) or 0) > BEHIND_S and (lag_bytes(page) or 0) > 0,
            what="lag by its own word",
        )
    assert page.value("bascule_exporter_permission_missing", permission="heartbeat") == 0


async def test_queries_that_recovery_cancels_are_counted_by_cause(
    pair: tuple[LocalPostgres, LocalPostgres],
) -> None:
    primary, replica = pair
    replica.set("max_standby_streaming_delay", "0")
    primary.query("CREATE TABLE churn AS SELECT n FROM generate_series(1, 500) AS n")

    def cancelled(page: Scrape) -> float | None:
        return page.value(
            "bascule_member_recovery_conflicts_total", member="db-b", cause="snapshot"
        )

    async with watched(pair) as (url, _, _):
        await wait_scrape(url, lambda page: cancelled(page) == 0, what="nothing was cancelled")
        with psycopg.connect(replica.conninfo(password=PASSWORD), autocommit=True) as reader:
            reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            reader.execute("SELECT txid_current_snapshot()")
            primary.query("UPDATE churn SET n = n + 1")
            primary.query("VACUUM churn")
            page = await wait_scrape(
                url, lambda page: cancelled(page) == 1, what="the reader was in the way"
            )
            with pytest.raises(psycopg.errors.SerializationFailure):
                reader.execute("SELECT 1")
    assert page.value("bascule_member_recovery_conflicts_total", member="db-a", cause="lock") == 0
