"""The faults of etcd and of the operator bite, and healing ends them: all on one real lab."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator

import pytest
from support.commands.commands import wait_until

from chaos.testing import FaultError, PatroniCluster

DEADLINE_S = 60.0


@pytest.fixture(scope="module")
def raised() -> Iterator[PatroniCluster]:
    """One cluster for the module: a primary without etcd keeps the lead for 10 s."""
    with PatroniCluster(ttl_s=30, retry_timeout_s=10) as cluster:
        yield cluster


@pytest.fixture
def cluster(raised: PatroniCluster) -> Iterator[PatroniCluster]:
    """The cluster, whole at the beginning of a test."""
    raised.wait_healthy()
    yield raised
    raised.heal()


def is_healthy(endpoint: str, *, timeout_s: float = 2.5) -> bool:
    """What a member of etcd says of itself, asked from outside of the lab."""
    try:
        with urllib.request.urlopen(f"{endpoint}/health", timeout=timeout_s) as answer:
            return bool(json.load(answer)["health"] == "true")
    except (OSError, ValueError):
        return False


def wait_healthy_members(cluster: PatroniCluster, count: int) -> None:
    """Wait until so many members of etcd are healthy: the others have to elect a leader first."""

    def there_are() -> bool:
        return sum(is_healthy(endpoint) for endpoint in cluster.dcs().endpoints) == count

    wait_until(there_are, timeout_s=DEADLINE_S, what=f"{count} healthy members of etcd")


def test_a_stopped_member_of_etcd_stays_down_until_it_is_healed(cluster: PatroniCluster) -> None:
    done = cluster.strike("dcs-stop", "dcs-leader")
    assert "its client port is closed" in done.detail
    wait_healthy_members(cluster, 2)
    assert cluster.state().broken == (f"etcd on {done.hosts[0]} is stopped",)
    # Who leads is asked anew: it is another one.
    assert cluster.strike("dcs-stop", "dcs-leader").hosts != done.hosts
    wait_healthy_members(cluster, 0)  # one member of three is no majority
    cluster.heal()
    cluster.wait_healthy()
    wait_healthy_members(cluster, 3)


def test_a_host_that_came_back_brought_its_etcd_along(cluster: PatroniCluster) -> None:
    [host] = cluster.strike("dcs-stop", "dcs-member", seed=1).hosts
    cluster.kill_host(host)
    cluster.start_host(host)
    assert cluster.undo("dcs-stop", host).endswith("etcd runs already")
    cluster.wait_healthy()


def test_a_paused_etcd_is_silent_and_the_primary_keeps_the_lead(cluster: PatroniCluster) -> None:
    before = cluster.wait_healthy()
    done = cluster.strike("dcs-pause", "dcs-all")
    # Briefly: all of this has to fit into Patroni's retry_timeout.
    assert not any(is_healthy(one, timeout_s=0.5) for one in cluster.dcs().endpoints)
    for host in done.hosts:
        assert "etcd answers again" in cluster.undo("dcs-pause", host)
    after = cluster.wait_healthy()
    assert after.primary == before.primary
    assert after.members == before.members, "the timeline is the same"


def test_a_pause_of_etcd_on_a_host_that_lost_its_power_is_over(cluster: PatroniCluster) -> None:
    [host] = cluster.strike("dcs-pause", "dcs-leader").hosts
    cluster.kill_host(host)
    assert "has ended meanwhile" in cluster.undo("dcs-pause", host)


def test_a_wiped_member_of_etcd_is_replaced_by_a_new_one(cluster: PatroniCluster) -> None:
    done = cluster.strike("dcs-wiped", "dcs-leader")
    assert done.detail.endswith("/etcd deleted")
    wait_healthy_members(cluster, 2)
    assert "removed from the cluster and added" in cluster.heal()
    cluster.wait_healthy()
    wait_healthy_members(cluster, 3)


def test_etcd_comes_back_from_a_snapshot_of_before_a_switchover(cluster: PatroniCluster) -> None:
    cluster.strike("dcs-snapshot", "dcs")
    primary = cluster.switchover()
    cluster.wait_healthy()
    done = cluster.strike("dcs-restored", "dcs")
    assert done.detail.startswith("etcd restored from a snapshot: it was at revision ")
    assert done.victims == ("dcs",)
    wait_healthy_members(cluster, 3)
    cluster.heal()
    timelines = {one.timeline for one in cluster.wait_healthy().members.values() if one}
    assert len(timelines) == 1
    assert primary in cluster.topology.nodes


def test_in_maintenance_mode_a_dead_primary_is_not_replaced(cluster: PatroniCluster) -> None:
    assert "say so" in cluster.strike("pause", "cluster").detail
    primary = cluster.wait_primary()
    cluster.kill_process(primary, "postgres")
    wait_until(lambda: cluster.primary is None, timeout_s=DEADLINE_S, what="the end of the primary")
    assert cluster.state().broken[0] == "the cluster is in maintenance mode"
    cluster.heal()
    cluster.wait_healthy()


def test_a_restarted_and_a_reinitialised_member_run_anew(cluster: PatroniCluster) -> None:
    assert "a new postmaster runs" in cluster.strike("patroni-restart", "replica").detail
    assert "clone" in cluster.strike("patroni-reinitialize", "replica").detail
    cluster.wait_healthy()
    with pytest.raises(FaultError, match="I am the leader, can not reinitialize"):
        cluster.strike("patroni-reinitialize", cluster.wait_primary())


def test_a_change_that_needs_a_restart_is_put_in_force_and_taken_back(
    cluster: PatroniCluster,
) -> None:
    done = cluster.strike("config-change", "cluster", more=7)
    assert "pending everywhere, then restarted" in done.detail
    cluster.wait_healthy()
    assert "again, restarted" in cluster.heal()
    cluster.wait_healthy()


@pytest.mark.parametrize("wrong", ["no-value", "no-start"])
def test_a_wrong_configuration_is_survived(cluster: PatroniCluster, wrong: str) -> None:
    before = cluster.wait_primary()
    done = cluster.strike("config-wrong", "cluster", wrong=wrong)
    assert cluster.primary == before, done.detail
    cluster.heal()
    cluster.wait_healthy()


def test_a_failover_by_hand_is_done_or_refused(cluster: PatroniCluster) -> None:
    old = cluster.wait_primary()
    [candidate, cut] = [node for node in cluster.topology.nodes if node != old]
    cluster.strike("link-cut", cut)
    refused = cluster.strike("failover-by-hand", "cluster", candidate=cut, refused=True)
    assert refused.detail.startswith(f"the failover to {cut} was refused: ")
    cluster.undo("link-cut", cut)
    cluster.wait_healthy()
    done = cluster.strike("failover-by-hand", "cluster", candidate=candidate)
    assert done.detail.startswith(f"{candidate} was made the primary by hand")
    assert cluster.wait_primary() == candidate


def test_a_rolling_restart_walks_through_all_members(cluster: PatroniCluster) -> None:
    old = cluster.wait_primary()
    done = cluster.strike("rolling-restart", "cluster")
    assert done.detail.endswith(f"restarted {old}")
    assert cluster.wait_primary() != old


def test_a_fault_of_etcd_refuses_a_host_without_it(cluster: PatroniCluster) -> None:
    with pytest.raises(FaultError, match='a dcs-stop needs "dcs-leader" or'):
        cluster.strike("dcs-stop", "primary")
    with pytest.raises(FaultError, match="etcd does not run on db-paris"):
        cluster.strike("dcs-stop", "db-paris")
    with pytest.raises(FaultError, match="PostgreSQL does not run on dcs-paris"):
        cluster.strike("patroni-restart", "dcs-paris")
