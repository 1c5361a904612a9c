"""A cluster is whole only while every member of its DCS is well."""

from __future__ import annotations

import pytest
from support.commands.commands import wait_until

from chaos.testing import PatroniCluster

pytestmark = pytest.mark.slow

ELECTION_TIMEOUT_S = 15.0


def test_a_cluster_that_lacks_a_member_of_etcd_is_not_whole() -> None:
    """It still serves: the quorum is there, and the next loss would take it."""
    with PatroniCluster() as cluster:
        assert cluster.state().missing is None
        cluster.kill_host("dcs-paris")
        # It may have been the leader: then nobody is healthy until another one is elected.
        wait_until(
            lambda: cluster.state().missing == "etcd is not healthy on dcs-paris",
            timeout_s=ELECTION_TIMEOUT_S,
            what="what the cluster lacks",
        )
        assert cluster.state().primary is not None
        cluster.heal()
        assert cluster.wait_healthy().missing is None
