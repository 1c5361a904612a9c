"""A cluster is whole only while every member of its DCS is well."""

from __future__ import annotations

import pytest

from chaos.testing import PatroniCluster

pytestmark = pytest.mark.slow


def test_a_cluster_that_lacks_a_member_of_etcd_is_not_whole() -> None:
    """It still serves: the quorum is there, and the next loss would take it."""
    with PatroniCluster() as cluster:
        assert cluster.state().missing is None
        cluster.kill_host("dcs-paris")
        state = cluster.state()
        assert state.primary is not None
        assert state.missing == "etcd is not healthy on dcs-paris"
        cluster.heal()
        assert cluster.wait_healthy().missing is None
