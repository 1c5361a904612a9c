"""What the fixture ``chaos`` gives to a test: the faults, and what the marker's scenario did."""

from __future__ import annotations

from chaos.testing.cluster import PatroniCluster
from chaos.testing.survival import Ordeal


class Chaos:
    """Breaks the cluster of the tests; everything is healed when the test is over.

    Args:
        cluster: the fixture ``patroni_cluster``.
        ordeal: of ``@pytest.mark.survives``, where the test has that.
    """

    def __init__(self, cluster: PatroniCluster, ordeal: Ordeal | None) -> None:
        self.cluster = cluster
        self._ordeal = ordeal
        # As they are: one place documents them.
        self.strike = cluster.strike
        self.kill_primary = cluster.kill_primary
        self.kill_host = cluster.kill_host
        self.start_host = cluster.start_host
        self.kill_process = cluster.kill_process
        self.cut = cluster.cut
        self.switchover = cluster.switchover
        self.heal = cluster.heal
        self.undo = cluster.undo
        self.wait_healthy = cluster.wait_healthy

    @property
    def struck(self) -> bool:
        """The scenario of ``survives`` has struck; without that marker always True.

        Raises:
            ClusterInTestsError: it could not strike; the test need not wait any longer.
        """
        return self._ordeal is None or self._ordeal.struck
