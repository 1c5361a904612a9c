"""Raises a cluster in containers: the project, then its services."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from cluster.boot import raise_services
from cluster.errors import ClusterError
from cluster.patroni.config import Passwords
from cluster.raised import RaisedCluster
from cluster.services import StepReport
from cluster.substrates.base import ProcessExit, Substrate
from cluster.substrates.docker.hosts import ContainerHosts
from cluster.topology.model import HostRole, Topology


class ContainerServices:
    """Services that are the main processes of their hosts' containers.

    Args:
        sites: the containers.
        credentials: of a cluster that is there already; made anew if None.
    """

    def __init__(self, sites: ContainerHosts, credentials: Passwords | None = None) -> None:
        self.credentials = credentials or Passwords()
        self._sites = sites

    async def start(self, host: str, only: HostRole | None = None) -> tuple[str, ...]:
        """Start the host's container, its passwords on standard input."""
        roles = [role for role in self._sites.topology.host(host).roles if only in (None, role)]
        if "postgres" in roles:
            ours = self.credentials
            secrets = f"{ours.superuser}\n{ours.replication}\n{ours.rewind}\n"
            return (await self._sites.start_service(host, secrets),)
        if "etcd" in roles:
            return (await self._sites.start_service(host, None),)
        return ()

    def forget_etcd(self) -> None:
        """No effect: the configuration of a member without data says ``new`` here at all times."""

    def reconfigure(self, topology: Topology) -> None:
        """No topology with a standby cluster is raised in containers."""
        raise ClusterError(f"containers have no standby cluster: {topology.name}")

    async def configure(
        self, host: str, role: HostRole, changes: Mapping[str, object | None]
    ) -> None:
        """Refused: a container has its configuration from the project that it was made of."""
        words = f"the configuration of {role} on {host} cannot be changed: it is in the container"
        raise ClusterError(words, host=host)


class ContainerRaiser:
    """Needs no privilege but the right to speak to the engine.

    For a drill that ``run_beside`` runs: that removes what the sites could not, and reports it. So
    it is no error of the drill, which is over by then.

    Args:
        folder: the run folder.
        run: the id of the drill.
    """

    def __init__(self, folder: Path, run: str) -> None:
        self._folder = folder
        self._run = run

    def sites(
        self, topology: Topology, *, on_exit: Callable[[ProcessExit], None]
    ) -> ContainerHosts:
        """The hosts: everything is made when the context opens, and runs when it is started."""
        return ContainerHosts(
            topology, folder=self._folder, run=self._run, on_exit=on_exit, at_end="try-to-remove"
        )

    async def cluster(self, substrate: Substrate, done: StepReport) -> RaisedCluster:
        """The cluster on them."""
        assert isinstance(substrate, ContainerHosts)
        return await raise_services(
            substrate, ContainerServices(substrate), logs=self._folder / "logs", done=done
        )
