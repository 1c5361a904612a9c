"""A cluster is whole only when its replicas have caught up: what was asked of it then is done."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import psycopg
import pytest
from support.commands.commands import wait_until

from chaos.gameday.requests import Ready
from chaos.testing import NotHealthyError, PatroniCluster
from cluster.whole import BEHIND_BYTES_MAX

pytestmark = pytest.mark.slow

DEADLINE_S = 60.0
MEGABYTES = 48


@pytest.fixture(scope="module")
def cluster() -> Iterator[PatroniCluster]:
    """One cluster for the module; each test leaves it whole."""
    with PatroniCluster() as raised:
        yield raised


def as_superuser(cluster: PatroniCluster, node: str) -> psycopg.Connection:
    """A session of the superuser on a node."""
    ready: Ready = cluster._need_running()
    return psycopg.connect(
        host="127.0.0.1",
        port=cluster._place(node).postgres_port,
        user=ready.superuser,
        password=ready.superuser_password,
        dbname=cluster.dbname,
        autocommit=True,
    )


def write(cluster: PatroniCluster, megabytes: int) -> None:
    """Some megabytes of WAL, which no compression makes less."""
    with psycopg.connect(cluster.primary_url(), autocommit=True) as session:
        session.execute("CREATE TABLE IF NOT EXISTS bulk (line text)")
        for _ in range(megabytes):
            session.execute(
                "INSERT INTO bulk SELECT string_agg(md5(random()::text), '')"
                " FROM generate_series(1, 32768) AS part GROUP BY part % 600"
            )


def replica_of(cluster: PatroniCluster) -> str:
    """A node that is not the primary."""
    primary = cluster.wait_primary()
    return next(node for node in cluster.topology.nodes if node != primary)


def test_a_cluster_that_has_just_started_is_whole() -> None:
    """The database of the tests is some megabytes of WAL."""
    with PatroniCluster() as fresh:
        assert fresh.state().missing is None


def test_after_a_heal_the_replica_that_was_away_can_take_over_at_once(
    cluster: PatroniCluster,
) -> None:
    away = replica_of(cluster)
    cluster.kill_host(away)
    write(cluster, MEGABYTES)
    cluster.heal()
    assert cluster.wait_healthy().broken == ()
    assert cluster.switchover(away) == away
    cluster.wait_healthy()


def test_a_primary_that_goes_on_writing_gets_whole_too(cluster: PatroniCluster) -> None:
    """What it has written since it was asked does not count."""
    away = replica_of(cluster)
    over = threading.Event()
    wrote: list[int] = []

    def write_on() -> None:
        while not over.is_set():
            write(cluster, 1)
            wrote.append(1)

    writer = threading.Thread(target=write_on, daemon=True)
    cluster.kill_host(away)
    writer.start()
    try:
        wait_until(lambda: len(wrote) > 8, timeout_s=DEADLINE_S, what="some megabytes")
        cluster.heal()
        cluster.wait_healthy()
        assert writer.is_alive()
    finally:
        over.set()
        writer.join()
    assert cluster.switchover(away) == away
    cluster.wait_healthy()


def test_a_replica_that_streams_and_does_not_replay_is_not_whole(cluster: PatroniCluster) -> None:
    """A query on it holds the replay up, as PostgreSQL lets it for 30 s."""
    write(cluster, 1)
    cluster.wait_healthy()
    behind = replica_of(cluster)
    with as_superuser(cluster, behind) as session, session.transaction():
        session.execute("SELECT count(*) FROM bulk")
        with psycopg.connect(cluster.primary_url(), autocommit=True) as primary:
            primary.execute("TRUNCATE bulk")
        write(cluster, 4)
        with pytest.raises(NotHealthyError, match=f"{behind} has not replayed [45].[0-9] MiB"):
            cluster.wait_healthy(0.5)
        allowed = f"lacks {BEHIND_BYTES_MAX // 1024} KiB at most"
        assert allowed in (cluster.state().missing or "")
    cluster.wait_healthy()
    assert cluster.switchover(behind) == behind
    cluster.wait_healthy()


def test_a_replica_whose_receiver_stands_still_is_not_whole(cluster: PatroniCluster) -> None:
    """The primary's pg_stat_replication still says that it streams: TCP takes some megabytes."""
    behind = replica_of(cluster)
    with as_superuser(cluster, behind) as session:
        row = session.execute("SELECT pid FROM pg_stat_wal_receiver").fetchone()
        assert row is not None
        session.execute(f"COPY (SELECT 1) TO PROGRAM 'cat && kill -STOP {row[0]}'")
        write(cluster, 4)
        wait_until(
            lambda: f"{behind} has not received" in (cluster.state().missing or ""),
            timeout_s=DEADLINE_S,
            what="that the replica is behind",
        )
        session.execute(f"COPY (SELECT 1) TO PROGRAM 'cat && kill -CONT {row[0]}'")
    cluster.wait_healthy()
    assert cluster.switchover(behind) == behind
