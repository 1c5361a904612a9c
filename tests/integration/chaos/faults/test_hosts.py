"""The faults of processes and of whole hosts bite, and healing ends them, in one lab.

What a fault says that it did is looked at a second time, from outside: by a client of PostgreSQL,
Patroni's answers, and the signals' effect on what they were sent to.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg
import pytest
from support.commands.commands import wait_until

from chaos.testing import FaultError, PatroniCluster

DEADLINE_S = 60.0
SILENCE_S = 1.0


@pytest.fixture(scope="module")
def raised() -> Iterator[PatroniCluster]:
    """One cluster for the module."""
    with PatroniCluster() as cluster:
        yield cluster


@pytest.fixture
def cluster(raised: PatroniCluster) -> Iterator[PatroniCluster]:
    """The cluster, whole at the beginning of a test."""
    raised.heal()
    raised.wait_healthy()
    yield raised
    raised.heal()


def a_replica(cluster: PatroniCluster) -> str:
    primary = cluster.wait_primary()
    return next(node for node in cluster.topology.nodes if node != primary)


def client_of(cluster: PatroniCluster, node: str) -> psycopg.Connection:
    """A client's connection to one node."""
    [place] = [place for place in cluster._places(None) if place.node == node]
    return psycopg.connect(cluster._url([place], None), autocommit=True, connect_timeout=10)


def answers(cluster: PatroniCluster, node: str) -> bool:
    """Patroni's REST interface says something within the time of a look."""
    return cluster.state().members[node] is not None


def test_a_stopped_postgresql_is_silent_and_goes_on(cluster: PatroniCluster) -> None:
    node = a_replica(cluster)
    with client_of(cluster, node) as client:
        assert "are stopped (state T)" in cluster.strike("process-stop", node).detail
        assert cluster.state().broken == (f"postgres on {node} is stopped",)
        client.pgconn.send_query(b"SELECT 1")
        client.pgconn.flush()
        time.sleep(SILENCE_S)
        client.pgconn.consume_input()
        assert client.pgconn.is_busy()
        with pytest.raises(FaultError, match="is stopped already"):
            cluster.strike("process-stop", node)
        assert "go on" in cluster.heal()
        assert client.pgconn.get_result() is not None
        while client.pgconn.get_result() is not None:
            pass


@pytest.mark.parametrize(("process", "host"), [("patroni", ""), ("etcd", "dcs-orsay")])
def test_a_stopped_program_stands_still(cluster: PatroniCluster, process: str, host: str) -> None:
    host = host or a_replica(cluster)
    detail = cluster.strike("process-stop", host, process=process).detail
    assert detail.startswith("SIGSTOP: 1 of 1 processes of ")
    # Where it was etcd's leader, the others are not healthy either until they have elected one.
    missing = "no answer from " if process == "patroni" else "etcd is not healthy on "
    found = str(cluster.state().missing)
    assert found.startswith(missing)
    assert host in found
    assert "1 processes" in cluster.undo("process-stop", host)
    cluster.wait_healthy()


@pytest.mark.parametrize(("process", "host"), [("patroni", ""), ("etcd", "dcs-orsay")])
def test_a_killed_program_stays_dead_until_it_is_undone(
    cluster: PatroniCluster, process: str, host: str
) -> None:
    host = host or a_replica(cluster)
    done = cluster.strike("process-kill", host, process=process)
    assert done.detail.startswith("kill -9 ")
    assert cluster.state().broken == (f"{process} on {host} is dead",)
    assert cluster.state().missing is not None
    if process == "patroni":
        assert "processes of PostgreSQL live on" in done.detail
        with client_of(cluster, host) as client:
            assert client.execute("SELECT pg_is_in_recovery()").fetchone() == (True,)
    # Started with its host's power, it is not started a second time.
    cluster.kill_host(host)
    assert f"{process} runs on {host} already" in cluster.heal()
    cluster.wait_healthy()


def test_a_start_of_the_host_starts_a_killed_program(cluster: PatroniCluster) -> None:
    cluster.strike("process-kill", "dcs-paris", process="etcd")
    cluster.start_host("dcs-paris")
    assert cluster.state().broken == ()
    cluster.wait_healthy()


def test_a_backend_that_is_killed_takes_all_others_with_it(cluster: PatroniCluster) -> None:
    primary = cluster.wait_primary()
    with client_of(cluster, primary) as one, client_of(cluster, primary) as other:
        assert "the postmaster ended the other" in cluster.strike("backend-kill").detail
        for client in (one, other):
            with pytest.raises(psycopg.OperationalError):
                client.execute("SELECT 1")
    cluster.wait_healthy()
    assert cluster.wait_primary() == primary, "a crash recovery is no failover"


def test_without_a_client_there_is_no_backend_to_kill(cluster: PatroniCluster) -> None:
    with pytest.raises(FaultError, match="no client is connected to PostgreSQL"):
        cluster.strike("backend-kill", a_replica(cluster))


def test_the_largest_backend_is_killed(cluster: PatroniCluster) -> None:
    node = a_replica(cluster)
    with client_of(cluster, node) as client:
        detail = cluster.strike("out-of-memory", node, mb=64).detail
        assert "then as the kernel does: kill -9 " in detail
        assert "[local]" not in detail
        with pytest.raises(psycopg.OperationalError):
            client.execute("SELECT 1")
    cluster.wait_healthy()


def test_a_crash_loop_kills_each_new_postmaster(cluster: PatroniCluster) -> None:
    node = a_replica(cluster)
    cluster.strike("process-crash-loop", node, times=2)
    assert cluster.state().broken == (f"postgres on {node} dies again and again",)
    wait_until(
        lambda: cluster.state().missing is not None, timeout_s=DEADLINE_S, what="the first death"
    )
    cluster.wait_healthy()  # the third one is left alone
    assert "was killed 2 times, and is left alone now" in cluster.heal()


def test_a_crash_loop_ends_with_the_power(cluster: PatroniCluster) -> None:
    node = a_replica(cluster)
    cluster.strike("process-crash-loop", node, every_s=0.5, times=2)
    cluster.kill_host(node)
    cluster.start_host(node)
    assert "left alone" in cluster.heal()
    cluster.wait_healthy()


def test_a_frozen_host_is_silent_and_wakes_up_as_what_it_was(cluster: PatroniCluster) -> None:
    node = a_replica(cluster)
    with client_of(cluster, node) as client:
        assert "processes are stopped (state T)" in cluster.strike("host-freeze", node).detail
        assert not answers(cluster, node)
        with pytest.raises(psycopg.OperationalError, match="timeout"):
            client_of_short(cluster, node)
        assert f"host {node} stands still" in cluster.state().broken
        assert "processes go on" in cluster.heal()
        assert client.execute("SELECT 1").fetchone() == (1,)
    cluster.wait_healthy()


def client_of_short(cluster: PatroniCluster, node: str) -> None:
    [place] = [place for place in cluster._places(None) if place.node == node]
    psycopg.connect(cluster._url([place], None), connect_timeout=2).close()


def test_a_frozen_host_may_lose_its_power(cluster: PatroniCluster) -> None:
    node = a_replica(cluster)
    cluster.strike("host-freeze", node)
    cluster.kill_host(node)
    assert "begins anew with its power" in cluster.undo("host-freeze", node)
    cluster.heal()
    cluster.wait_healthy()


def test_a_wiped_host_is_copied_anew(cluster: PatroniCluster) -> None:
    node = a_replica(cluster)
    assert "data is deleted" in cluster.strike("host-wiped", node).detail
    assert not answers(cluster, node)
    assert "power on, started patroni" in cluster.heal()
    cluster.wait_healthy()
    assert "replica has been created using basebackup" in cluster.logs(node, lines=200)


def test_a_replica_that_was_away_for_weeks_is_copied_anew(cluster: PatroniCluster) -> None:
    primary, replica = cluster.wait_primary(), a_replica(cluster)
    with pytest.raises(FaultError, match=f"{primary} leads: only a replica can be forgotten"):
        cluster.strike("host-absent", primary)
    with client_of(cluster, replica) as client:
        before = client.execute("SELECT pg_postmaster_start_time()").fetchone()
    struck = cluster.strike("host-absent", replica)
    assert f"its slot was dropped on {primary}, whose WAL begins with segment" in struck.detail
    healed = cluster.heal()
    assert "it cannot stream" in healed
    assert "cloned" in healed
    cluster.wait_healthy()
    with client_of(cluster, replica) as client:
        assert client.execute("SELECT pg_postmaster_start_time()").fetchone() != before
