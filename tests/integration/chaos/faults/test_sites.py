"""The power of a whole site in a real lab: it goes in one moment, and everything comes back.

That the loss of the primary's site is survived is shown by the drill ``site-loss``.
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from chaos.testing import FaultError, PatroniCluster

RECOVERY_S = 120.0
CONNECT_S = 3


@pytest.fixture(scope="module")
def raised() -> Iterator[PatroniCluster]:
    """One cluster for the module."""
    with PatroniCluster() as cluster:
        yield cluster


@pytest.fixture
def cluster(raised: PatroniCluster) -> Iterator[PatroniCluster]:
    """The cluster, whole at the beginning of a test."""
    raised.heal()
    raised.wait_healthy(RECOVERY_S)
    yield raised
    raised.heal()


def hosts_of(cluster: PatroniCluster, site: str, role: str) -> list[str]:
    """The hosts of a site that have a role."""
    [found] = [one for one in cluster.topology.sites if one.name == site]
    return [host.name for host in found.hosts if role in host.roles]


def reaches_the_primary(cluster: PatroniCluster, site: str) -> bool:
    """The client of a site is answered by the primary."""
    url = cluster.cluster_url(site=site)
    try:
        with psycopg.connect(url, connect_timeout=CONNECT_S) as session:
            return session.execute("SELECT pg_is_in_recovery()").fetchone() == (False,)
    except psycopg.OperationalError:
        return False


def rows_on(cluster: PatroniCluster, node: str) -> int:
    """What a node has of the table of these tests."""
    [place] = [place for place in cluster._places(None) if place.node == node]
    with psycopg.connect(cluster._url([place], None), connect_timeout=CONNECT_S) as session:
        row = session.execute("SELECT count(*) FROM kept").fetchone()
    assert row is not None
    return int(row[0])


def test_a_site_without_power_is_dark_its_client_hears_nobody_and_the_others_go_on(
    cluster: PatroniCluster,
) -> None:
    with psycopg.connect(cluster.primary_url()) as session:
        session.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000)")
    cluster.wait_healthy()
    done = cluster.strike("site-power-cut", "replica-site", seed=1)
    [site] = done.victims
    primary = cluster.wait_primary()
    [node], [dcs] = hosts_of(cluster, site, "postgres"), hosts_of(cluster, site, "etcd")
    [client] = hosts_of(cluster, site, "client")
    assert done.hosts == (node, dcs, client)
    assert f"every process of {node} and {dcs} dead within" in done.detail
    assert f"{client}, where the load runs, keeps its power and is cut off" in done.detail
    state = cluster.state()
    assert state.broken == (f"site {site} has no power",)
    assert state.members[node] is None
    assert state.primary == primary
    elsewhere = cluster.topology.site_of(primary).name
    assert reaches_the_primary(cluster, elsewhere)
    assert not reaches_the_primary(cluster, site)
    with pytest.raises(FaultError, match=f"site {site} has no power already"):
        cluster.strike("site-power-cut", f"site:{site}")
    said = cluster.undo("site-power-cut", site)
    assert f"patroni on {node}" in said
    assert f"etcd on {dcs}" in said
    assert cluster.wait_healthy(RECOVERY_S).primary == primary
    assert reaches_the_primary(cluster, site)
    assert rows_on(cluster, node) == 1000, "it came back with its old data"
    assert f"bootstrap from leader '{primary}'" not in cluster.logs(node, lines=60)


def test_a_host_that_was_dark_before_its_site_comes_back_once(cluster: PatroniCluster) -> None:
    primary = cluster.wait_primary()
    node = next(node for node in cluster.topology.nodes if node != primary)
    site = cluster.topology.site_of(node).name
    cluster.kill_host(node)
    cluster.strike("site-power-cut", f"site:{site}")
    said = cluster.heal()
    assert f"site-power-cut on {site}: power on" in said
    assert f"host-power-cut on {node}: the power was back already" in said
    assert cluster.wait_healthy(RECOVERY_S).broken == ()
