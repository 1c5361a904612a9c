"""A long query holds up the replay on a real replica until it is ended."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg
import pytest

from chaos.gameday.errors import FaultError
from chaos.testing import PatroniCluster

pytestmark = pytest.mark.slow

TIMEOUT_S, POLL_S = 30.0, 0.05
FAULT = "long-query"


@pytest.fixture(scope="module")
def cluster() -> Iterator[PatroniCluster]:
    with PatroniCluster(mode="lab") as cluster:
        yield cluster


def replicas_of(cluster: PatroniCluster) -> list[str]:
    """In the order of the topology, as ``replica_urls``."""
    primary = cluster.state().primary
    return [node for node in cluster.topology.nodes if node != primary]


def url_of(cluster: PatroniCluster, replica: str) -> str:
    return dict(zip(replicas_of(cluster), cluster.replica_urls(), strict=True))[replica]


def replayed(cluster: PatroniCluster, replica: str) -> tuple[bool, int]:
    """Whether a replica has replayed what it received, and how many long queries it answers."""
    [row] = asked(
        cluster,
        replica,
        "SELECT pg_last_wal_replay_lsn() >= pg_last_wal_receive_lsn(), (SELECT count(*) FROM"
        " pg_stat_activity WHERE application_name LIKE 'bascule-long-query-%')",
    )
    return bool(row[0]), int(row[1])


def asked(cluster: PatroniCluster, node: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url_of(cluster, node), autocommit=True) as connection:
        return connection.execute(query.encode()).fetchall()


def wait_replayed(cluster: PatroniCluster, replica: str) -> None:
    end_s = time.monotonic() + TIMEOUT_S
    while replayed(cluster, replica) != (True, 0):
        assert time.monotonic() < end_s, replayed(cluster, replica)
        time.sleep(POLL_S)


def test_the_replay_stands_until_the_query_is_ended(cluster: PatroniCluster) -> None:
    done = cluster.strike(FAULT, "replicas")
    assert sorted(done.victims) == sorted(replicas_of(cluster))
    assert "the replay waits for the query (RecoveryConflictSnapshot)" in done.detail
    for replica in done.victims:
        assert replayed(cluster, replica) == (False, 1)
        cluster.undo(FAULT, replica)
        wait_replayed(cluster, replica)
    assert cluster.wait_healthy().broken == ()


def test_the_primary_replays_nothing(cluster: PatroniCluster) -> None:
    """A fault that does not bite is refused."""
    with pytest.raises(FaultError, match="is the primary, which replays nothing"):
        cluster.strike(FAULT, f"host:{cluster.state().primary}")
    cluster.heal()
    assert cluster.wait_healthy().broken == ()
