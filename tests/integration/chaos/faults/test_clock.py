"""The faults of clocks bite on a real cluster, and healing ends them. One lab for all of them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import psycopg
import pytest
from support.commands.commands import wait_until

from chaos.testing import FaultError, PatroniCluster
from cluster.topology.load import load_builtin

REPLICA = "replica"
TIMEOUT_S = 10.0
WEEK_S = 7 * 86_400.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[PatroniCluster]:
    """One cluster for the module, with clocks that can be set."""
    with PatroniCluster(topology=load_builtin("three-sites").with_settable_clocks()) as cluster:
        yield cluster


def ahead_s(url: str) -> float:
    """By how much a server's clock is ahead of this machine's."""
    with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
        asked_s = time.time()
        row = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
    return float(row[0]) - asked_s if row else 0.0


def said_s(detail: str) -> list[float]:
    """What Patroni and PostgreSQL said of their clocks."""
    return [float(found) for found in re.findall(r"'s clock is ([+-][0-9.]+) s off", detail)]


def test_a_step_is_seen_by_both_programs_and_undone(cluster: PatroniCluster) -> None:
    leader = cluster.wait_primary()
    struck = cluster.strike("clock-step", step_s=WEEK_S)
    assert said_s(struck.detail) == pytest.approx([WEEK_S, WEEK_S], abs=2.0)
    assert ahead_s(cluster.primary_url()) == pytest.approx(WEEK_S, abs=1.0)
    with pytest.raises(FaultError, match=f"the clock of {leader} is wrong already"):
        cluster.strike("clock-step", step_s=1.0)
    assert said_s(cluster.heal()) == pytest.approx([0.0, 0.0], abs=2.0)
    assert ahead_s(cluster.primary_url()) == pytest.approx(0.0, abs=1.0)
    cluster.wait_healthy()


def test_a_session_that_was_there_before_follows(cluster: PatroniCluster) -> None:
    """A backend asks for the time of its own accord, not only where it begins."""
    with psycopg.connect(cluster.primary_url(), autocommit=True, connect_timeout=5) as connection:

        def is_ahead() -> bool:
            row = connection.execute("SELECT extract(epoch FROM clock_timestamp())").fetchone()
            return row is not None and float(row[0]) - time.time() > 500

        assert not is_ahead()
        cluster.strike("clock-step", step_s=600.0)
        wait_until(is_ahead, timeout_s=TIMEOUT_S, what="the step in an old session")
        cluster.heal()
        wait_until(lambda: not is_ahead(), timeout_s=TIMEOUT_S, what="the step back")
    cluster.wait_healthy()


def test_a_drift_grows_until_it_is_healed(cluster: PatroniCluster) -> None:
    leader = cluster.wait_primary()
    struck = cluster.strike("clock-drift", percent=50.0)
    assert "it gains +50 %" in struck.detail
    url = cluster.primary_url()
    wait_until(lambda: ahead_s(url) > 1.5, timeout_s=TIMEOUT_S, what="a clock that runs ahead")
    assert "set by -" in cluster.undo("clock-drift", leader)
    assert ahead_s(url) == pytest.approx(0.0, abs=1.0)
    cluster.wait_healthy()


def test_postgresql_starts_while_its_clock_is_wrong(cluster: PatroniCluster) -> None:
    """On a replica: its postmaster is killed, and Patroni starts it again."""
    [replica] = cluster.strike("clock-step", REPLICA, step_s=3600.0).hosts
    cluster.strike("process-kill", f"host:{replica}")
    cluster.heal()
    cluster.wait_healthy()


def test_a_host_without_power_finds_its_clock_right_when_it_boots(
    cluster: PatroniCluster,
) -> None:
    [replica] = cluster.strike("clock-step", REPLICA, step_s=-3600.0).hosts
    cluster.strike("host-power-cut", f"host:{replica}")
    with pytest.raises(FaultError, match=f"the clock of {replica} is wrong already"):
        cluster.strike("clock-step", f"host:{replica}")
    with pytest.raises(FaultError, match="has no power"):
        cluster.strike("clock-drift", f"host:{replica}")
    assert "its clock is set" in cluster.undo("clock-step", replica)
    cluster.heal()
    cluster.wait_healthy()


def test_a_host_of_etcd_has_no_clock_of_its_own(cluster: PatroniCluster) -> None:
    with pytest.raises(FaultError, match="the clock of dcs-paris cannot be set"):
        cluster.strike("clock-step", "host:dcs-paris")
