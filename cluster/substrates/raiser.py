"""Raises a drill's hosts and the cluster on them: the interface that the director uses."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from cluster.raised import RaisedCluster
from cluster.services import StepReport
from cluster.substrates.base import ProcessExit, Substrate
from cluster.topology.model import Topology


class Raiser(Protocol):
    """Raises the hosts of a topology, and then a Patroni cluster on them."""

    def sites(
        self, topology: Topology, *, on_exit: Callable[[ProcessExit], None]
    ) -> AbstractAsyncContextManager[Substrate]:
        """The hosts, up while the context is open; it has the substrate's abilities before."""
        ...

    async def cluster(self, substrate: Substrate, done: StepReport) -> RaisedCluster:
        """The cluster, once its data is protected.

        Raises:
            BootError: a step did not end in time; says what was missing, and what the logs say.
        """
        ...
