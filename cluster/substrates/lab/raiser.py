"""Raises a cluster in the lab: the hosts as namespaces, the cluster as processes in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cluster.binaries import Binaries
from cluster.boot import raise_cluster
from cluster.raised import RaisedCluster
from cluster.services import StepReport
from cluster.substrates.base import ProcessExit, Substrate
from cluster.substrates.lab.lab import Lab
from cluster.topology.model import Topology


class LabRaiser:
    """Must run inside the sealed namespaces (``cluster.substrates.lab.enter``).

    Args:
        binaries: the programs to run.
        folder: gets ``config/`` and ``logs/``.
    """

    def __init__(self, binaries: Binaries, folder: Path) -> None:
        self._binaries = binaries
        self._folder = folder

    def sites(self, topology: Topology, *, on_exit: Callable[[ProcessExit], None]) -> Lab:
        """The hosts."""
        return Lab(topology, logs=self._folder / "logs", on_exit=on_exit)

    async def cluster(self, substrate: Substrate, done: StepReport) -> RaisedCluster:
        """The cluster on them."""
        return await raise_cluster(
            substrate,
            self._binaries,
            config_folder=self._folder / "config",
            logs=self._folder / "logs",
            done=done,
        )
