"""Every fault of a disk bites on a real cluster, and mending ends it. One lab for all of them."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors
from support.commands.commands import wait_until

from chaos.testing import FaultError, PatroniCluster
from cluster.topology.load import load_builtin

TORN_TIMEOUT_S = 60.0
TIMEOUT = "-c statement_timeout=20s"
REPLICA = "replicas"


@pytest.fixture(scope="module")
def raised() -> Iterator[PatroniCluster]:
    """One cluster for the module, on disks that can be broken."""
    with PatroniCluster(topology=load_builtin("three-sites").with_layered_disks()) as cluster:
        yield cluster


@pytest.fixture
def cluster(raised: PatroniCluster) -> Iterator[PatroniCluster]:
    """The cluster, whole at the beginning of a test."""
    raised.heal()
    raised.wait_healthy()
    yield raised
    raised.heal()


def do(cluster: PatroniCluster, *statements: str) -> object:
    """Run statements on the primary; the first value of the last one."""
    with psycopg.connect(
        cluster.primary_url(), autocommit=True, connect_timeout=10, options=TIMEOUT
    ) as connection:
        row = None
        for statement in statements:
            done = connection.execute(statement.encode())
            row = done.fetchone() if done.description else None
        return row[0] if row else None


def test_a_full_disk_refuses_what_must_grow(cluster: PatroniCluster) -> None:
    do(cluster, "CREATE TABLE grown (x text)")
    struck = cluster.strike("disk-full", where="data")
    assert "No space left on device" in struck.detail
    with pytest.raises(errors.DiskFull):
        do(cluster, "INSERT INTO grown SELECT repeat('x', 500) FROM generate_series(1, 1000)")
    assert "synced and read back" in cluster.heal()
    do(cluster, "INSERT INTO grown SELECT repeat('x', 500) FROM generate_series(1, 1000)")


def test_a_slow_disk_makes_a_commit_wait(cluster: PatroniCluster) -> None:
    struck = cluster.strike("disk-slow", delay_ms=300.0)
    assert "a synced write took" in struck.detail
    do(cluster, "CREATE TABLE slow (x int)")
    with psycopg.connect(cluster.primary_url(), autocommit=True, connect_timeout=10) as one:
        one.execute("CREATE TEMP TABLE clock AS SELECT clock_timestamp() AS begun")
        one.execute("INSERT INTO slow VALUES (1)")
        row = one.execute("SELECT extract(epoch FROM clock_timestamp() - begun) FROM clock")
        [waited_s] = row.fetchone() or [0]
    assert waited_s >= 0.3
    assert "synced and read back" in cluster.heal()


def test_a_read_only_disk_and_one_with_errors_refuse_a_probe(cluster: PatroniCluster) -> None:
    """On a replica, which the others do without."""
    [replica, _] = cluster.strike("disk-read-only", REPLICA).hosts
    with pytest.raises(FaultError, match="in force already"):
        cluster.strike("disk-read-only", replica)
    assert cluster.heal().count("synced and read back") == 2
    cluster.wait_healthy()
    for operation in ("read", "write", "sync"):
        struck = cluster.strike("disk-errors", replica, operation=operation)
        assert "Input/output error" in struck.detail
        cluster.heal()


def test_a_disk_that_lies_loses_what_was_acknowledged(cluster: PatroniCluster) -> None:
    """All three lie, and lose their power; mending them while they are off is enough."""
    do(cluster, "CREATE TABLE believed (x int)")
    struck = cluster.strike("disk-lies", "all")
    assert struck.detail.count("not on the disk") == 3
    do(cluster, "INSERT INTO believed VALUES (1)")
    primary = cluster.strike("host-power-cut", "all").hosts[0]
    assert "when the power comes back" in cluster.undo("disk-lies", primary)
    cluster.heal()
    cluster.wait_healthy()
    assert do(cluster, "SELECT count(*) FROM believed") == 0


def is_torn(cluster: PatroniCluster, node: str, table: str) -> bool:
    """A page of the table has been torn; False while recovery would restore every one of it."""
    try:
        return f"{table} has only its first half" in cluster.strike("torn-page", node).detail
    except FaultError:
        return False


def test_a_torn_page_is_seen_by_its_checksum(cluster: PatroniCluster) -> None:
    do(
        cluster,
        "CREATE TABLE torn (x text) WITH (autovacuum_enabled = false)",
        "INSERT INTO torn SELECT repeat('x', 100) FROM generate_series(1, 20000)",
    )
    primary = cluster.wait_primary()
    table = str(do(cluster, "SELECT pg_relation_filepath('torn')"))
    cluster.kill_process(primary)  # recovery ends with a checkpoint, soon after the promotion
    cluster.wait_healthy()
    wait_until(
        lambda: is_torn(cluster, primary, table), timeout_s=TORN_TIMEOUT_S, what="a torn page"
    )
    cluster.kill_process(primary)  # nothing of it is in memory any more
    cluster.wait_healthy()
    with pytest.raises(errors.DataCorrupted, match="invalid page in block"):
        do(cluster, "SELECT count(*) FROM torn")
