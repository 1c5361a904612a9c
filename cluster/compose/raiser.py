"""Raises a cluster in containers: the project, then its services."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cluster.boot import raise_services
from cluster.cluster import PatroniCluster
from cluster.compose.sites import ComposeSites
from cluster.patroni import Credentials
from cluster.services import StepReport
from cluster.substrate import Substrate, UnitExit
from cluster.topology.model import Role, Topology


class ContainerServices:
    """Services that are the main processes of their hosts' containers."""

    def __init__(self, sites: ComposeSites) -> None:
        self.credentials = Credentials()
        self._sites = sites

    async def start(self, host: str, only: Role | None = None) -> tuple[str, ...]:
        """Start the host's container, its passwords on standard input."""
        roles = [role for role in self._sites.topology.host(host).roles if only in (None, role)]
        if "postgres" in roles:
            ours = self.credentials
            secrets = f"{ours.superuser}\n{ours.replication}\n{ours.rewind}\n"
            return (await self._sites.start_service(host, secrets),)
        if "etcd" in roles:
            return (await self._sites.start_service(host, None),)
        return ()


class ComposeRaiser:
    """Needs no privilege but the right to speak to the engine.

    For a drill that ``run_beside`` runs: that removes what the sites could not, and says so. So it
    is no error of the drill, which is over by then.

    Args:
        folder: the run folder.
        run: the id of the drill.
    """

    def __init__(self, folder: Path, run: str) -> None:
        self._folder = folder
        self._run = run

    def sites(self, topology: Topology, *, on_exit: Callable[[UnitExit], None]) -> ComposeSites:
        """The hosts: everything is made when the context opens, and runs when it is started."""
        return ComposeSites(
            topology, folder=self._folder, run=self._run, on_exit=on_exit, must_remove=False
        )

    async def cluster(self, substrate: Substrate, done: StepReport) -> PatroniCluster:
        """The cluster on them."""
        assert isinstance(substrate, ComposeSites)
        return await raise_services(
            substrate, ContainerServices(substrate), logs=self._folder / "logs", done=done
        )
