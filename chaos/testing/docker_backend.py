"""The cluster in containers: raised over Docker's API, served by a thread of this process."""

from __future__ import annotations

import concurrent.futures
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import anyio
import anyio.abc
import anyio.to_thread

from chaos.errors import ChaosError
from chaos.testing import docker_engine as engine
from chaos.testing import docker_leftovers as leftovers
from chaos.testing.caretaker import Caretaker
from chaos.testing.docker_hosts import COMMANDS, SECRETS, ContainerHosts
from chaos.testing.docker_serving import End, Serving
from chaos.testing.docker_slots import Name, new_name, take_slot
from chaos.testing.errors import (
    NOT_RUNNING,
    ClusterInTestsError,
    FaultError,
    NotRunningError,
    OptionError,
    StartError,
    words_of,
)
from chaos.testing.model import Place, Ready, Request
from cluster.binaries import Binaries, Program
from cluster.boot import raise_cluster
from cluster.cluster import POLL_S, PatroniCluster
from cluster.errors import BootError, ClusterError
from cluster.etcd import CLIENT_PORT, PEER_PORT
from cluster.patroni import POSTGRES_PORT, REST_PORT, SUPERUSER, Credentials
from cluster.relay import relay
from cluster.services import UnitServices
from cluster.topology.load import to_toml
from cluster.topology.model import Host, Role, Topology

if TYPE_CHECKING:
    from testcontainers.core.docker_client import DockerClient

    from chaos.testing.docker_node import HostContainer

T = TypeVar("T")

IMAGES: Mapping[Role, str] = {
    "postgres": "bascule/postgres:0.1.0",
    "etcd": "bascule/etcd:0.1.0",
}
"""Those of docker-compose.yml."""
UNITS: Mapping[Role, str] = {"postgres": "patroni", "etcd": "etcd"}
PORTS: Mapping[Role, tuple[int, ...]] = {
    "postgres": (POSTGRES_PORT, REST_PORT),
    "etcd": (CLIENT_PORT, PEER_PORT),
}
IN_THE_IMAGE = Binaries(
    pg_bindir=Path("/opt/patroni/pgsql/bin"),
    postgres=Program(path=Path("/opt/patroni/pgsql/bin/postgres"), version="18"),
    etcd=Program(path=Path("etcd"), version="3.4"),
)
ADOPT_TIMEOUT_S = 90.0
"""For a cluster that an earlier run has left as it was, its primary lost: a failover, and its
rejoining. A new one takes less, but has not what the earlier run wrote."""
NUDGE_S = 0.5


class DockerBackend:
    """A cluster of containers.

    Args:
        topology: what to raise.
        images: by role of a host.
        reuse: leave it up at the end, and take the one that an earlier run has left. Each process
            has one of its own: what another one uses at the moment is not taken.
        tenant: with ``reuse``: for whom it is; what another one has left is not taken.
    """

    def __init__(
        self,
        topology: Topology,
        *,
        images: Mapping[Role, str] = IMAGES,
        reuse: bool = False,
        tenant: str = "",
    ) -> None:
        self.topology = _without_clients(topology)
        self._images = images
        self._reuse = reuse
        self._tenant = tenant
        self._client: DockerClient | None = None
        self._hosts: ContainerHosts | None = None
        self._caretaker: Caretaker | None = None
        self._serving: Serving | None = None
        self._ports: dict[tuple[str, int], int] = {}
        self._running = ExitStack()
        self._owner = os.getpid()

    @property
    def places(self) -> tuple[Place, ...]:
        """Where the nodes' doors are; nothing is seen from a site."""
        return tuple(
            Place(
                node=node,
                site=self.topology.site_of(node).name,
                postgres_port=self._ports[node, POSTGRES_PORT],
                rest_port=self._ports[node, REST_PORT],
            )
            for node in self.topology.nodes
        )

    @property
    def etcd_ports(self) -> dict[str, int]:
        """The doors of etcd's members, by host."""
        hosts = self.topology.hosts_with("etcd")
        return {host.name: self._ports[host.name, CLIENT_PORT] for host in hosts}

    def start(self, *, timeout_s: float) -> Ready:
        """Make the networks and the containers, raise the cluster; see ``Backend.start``."""
        self._owner = os.getpid()
        client = self._client = engine.connect()
        try:
            with engine.docker_words():
                engine.need_images(client, tuple(self._images.values()))
                leftovers.try_to_sweep(client)
                name = self._choose_name()
                folder = Path(self._running.enter_context(tempfile.TemporaryDirectory()))
                ready = self._take_over(client, name, folder, timeout_s)
                return ready or self._make_anew(client, name, folder, timeout_s)
        except BaseException:
            try:
                self.stop()
            except ClusterInTestsError as error:
                engine.tell(f"what was made of it stays until the next start: {error}")
            raise

    def _choose_name(self) -> Name:
        """A new name; or, to be used again, the first of this kind that no process is using."""
        if not self._reuse:
            return new_name()
        kind = f"{to_toml(self.topology)}{sorted(self._images.items())}{self._tenant}"
        return take_slot(kind, self._running)

    def _take_over(
        self, client: DockerClient, name: Name, folder: Path, timeout_s: float
    ) -> Ready | None:
        """Serve what an earlier run has left; None when there is nothing, or it does not get
        whole."""
        if not name.kept:
            return None
        with ExitStack() as attempt:
            try:
                with engine.docker_words():
                    if (machines := self._adopt(client, name)) is None:
                        return None
                hosts = self._hosts_of(machines, name, folder)
                ready = self._serve(attempt, hosts, folder, timeout_s, is_up=True)
            except StartError as error:
                words = str(error).partition("\n")[0]
                engine.tell(f"the kept cluster is of no use, and is made anew: {words}")
                return None
            self._running.push(attempt.pop_all())
        return ready

    def _make_anew(self, client: DockerClient, name: Name, folder: Path, timeout_s: float) -> Ready:
        leftovers.remove(client, name.cluster)
        made = self._running.enter_context(ExitStack())
        made.callback(self._remove, client, name.cluster)
        hosts = self._hosts_of(self._make(client, name), name, folder)
        ready = self._serve(self._running, hosts, folder, timeout_s, is_up=False)
        if name.kept:
            made.pop_all()  # from now on it stays
        return ready

    def _remove(self, client: DockerClient, cluster: str) -> None:
        """Remove all of a cluster; where that fails, the next ``stop`` tries again."""
        try:
            leftovers.remove(client, cluster)
        except BaseException:
            self._running.callback(self._remove, client, cluster)
            raise

    def _hosts_of(
        self, machines: Mapping[str, HostContainer], name: Name, folder: Path
    ) -> ContainerHosts:
        return ContainerHosts(
            self.topology, machines, wan=name.of("wan"), config_folder=folder / "config"
        )

    def _make(self, client: DockerClient, name: Name) -> dict[str, HostContainer]:
        """The networks and the containers."""
        from chaos.testing.docker_node import session_labels, start_ryuk  # noqa: PLC0415

        if not name.kept:
            start_ryuk()
        labels = session_labels(
            "", leftovers.labels_of(name.cluster, kept=name.kept), kept=name.kept
        )
        networks = client.client.networks
        # No container reaches another one over the console, and nothing outside over the others.
        quiet = {"com.docker.network.bridge.enable_icc": "false"}
        networks.create(name.of("console"), labels=labels, options=quiet)
        for network in ("wan", *(site.name for site in self.topology.sites)):
            networks.create(name.of(network), labels=labels, internal=True)
        machines = {host.name: self._machine(host, name) for host in self.topology.hosts}
        with concurrent.futures.ThreadPoolExecutor() as makers:
            for made in [makers.submit(machine.create) for machine in machines.values()]:
                made.result()
        return machines

    def _adopt(self, client: DockerClient, name: Name) -> dict[str, HostContainer] | None:
        """The containers that an earlier run has left, on all their networks and started; None
        when one is missing."""
        found = {
            leftovers.labels_on(container).get(leftovers.HOST_LABEL, ""): container
            for container in leftovers.containers_of(
                client, f"{leftovers.CLUSTER_LABEL}={name.cluster}"
            )
        }
        if set(found) != {host.name for host in self.topology.hosts}:
            return None
        machines = {host.name: self._machine(host, name) for host in self.topology.hosts}
        for host, machine in machines.items():
            machine.adopt(found[host])
            machine.join(machine.networks)  # it may have been left cut off, or dead
            if not machine.is_running:
                found[host].start()
        return machines

    def _machine(self, host: Host, name: Name) -> HostContainer:
        from chaos.testing.docker_node import HostContainer  # noqa: PLC0415

        role = host.roles[0]
        machine = HostContainer(
            self._images[role],
            host=host.name,
            name=name.of(host.name),
            console=name.of("console"),
            networks=[name.of(self.topology.site_of(host.name).name), name.of("wan")],
            labels={
                **leftovers.labels_of(name.cluster, kept=name.kept),
                leftovers.HOST_LABEL: host.name,
            },
            kept=name.kept,
        )
        self._running.callback(machine.close)
        machine.with_exposed_ports(*PORTS[role])
        machine.with_command(["bash", "-c", COMMANDS[UNITS[role]]])
        return machine

    def _serve(
        self,
        running: ExitStack,
        hosts: ContainerHosts,
        folder: Path,
        timeout_s: float,
        *,
        is_up: bool,
    ) -> Ready:
        """Raise the cluster, and begin to serve it from a thread of its own.

        Args:
            running: gets what ends it.
            hosts: their containers.
            folder: for the configuration and the logs.
            timeout_s: until it is whole.
            is_up: the cluster is there already.
        """
        self._hosts = hosts

        async def served(end: End, *, task_status: anyio.abc.TaskStatus[Ready]) -> None:
            async with AsyncExitStack() as closing:
                cluster = None
                with end.booting, anyio.fail_after(timeout_s):
                    cluster = await (self._find if is_up else self._raise)(hosts, folder)
                if cluster is None:
                    raise NotRunningError("the cluster was stopped while it was raised")
                closing.push_async_callback(cluster.aclose)
                await self._open(cluster, hosts, closing)
                password = cluster.credentials.superuser
                task_status.started(Ready(superuser=SUPERUSER, superuser_password=password))
                await end.wait()

        self._serving = running.enter_context(Serving())
        try:
            return self._serving.start(served, Ready)
        except (ClusterError, OSError, ExceptionGroup) as error:
            said = "; ".join(words_of(error)) if str(error) else f"not in {timeout_s:g} s"
            words = f"the cluster could not be raised: {said}"
            raise StartError(words, logs=self._all_logs()) from error

    async def _open(
        self, cluster: PatroniCluster, hosts: ContainerHosts, closing: AsyncExitStack
    ) -> None:
        """The doors, and who breaks and heals it."""
        caretaker = Caretaker(cluster, ended=hosts.ended)
        hosts.on_exit = caretaker.unit_exited
        for host in self.topology.hosts:
            for port in PORTS[host.roles[0]]:
                door = relay(hosts.console, host.name, port)
                self._ports[host.name, port] = await closing.enter_async_context(door)
        self._caretaker = caretaker

    async def _raise(self, hosts: ContainerHosts, folder: Path) -> PatroniCluster:
        return await raise_cluster(
            hosts,
            IN_THE_IMAGE,
            config_folder=folder / "config",
            logs=folder,
            done=lambda step: None,
        )

    async def _find(self, hosts: ContainerHosts, folder: Path) -> PatroniCluster:
        """The cluster that runs in these containers, once it is whole.

        Raises:
            BootError: it does not get whole; says what it lacks.
        """
        known = _credentials(await hosts.read(self.topology.nodes[0], SECRETS))
        services = UnitServices(hosts, IN_THE_IMAGE, folder / "config", credentials=known)
        async with AsyncExitStack() as closing:
            cluster = PatroniCluster(hosts, services)
            closing.push_async_callback(cluster.aclose)
            caretaker = Caretaker(cluster)
            end_s, nudge_s = time.monotonic() + ADOPT_TIMEOUT_S, 0.0
            while (missing := await cluster.missing_of_whole()) is not None:
                if (now_s := time.monotonic()) > end_s:
                    raise BootError(f"it was not whole after {ADOPT_TIMEOUT_S:g} s: {missing}")
                if now_s > nudge_s + NUDGE_S:
                    await caretaker.do(Request(op="nudge"))
                    nudge_s = now_s
                await anyio.sleep(POLL_S)
            closing.pop_all()
        return cluster

    def do(self, request: Request, answer: type[T], *, timeout_s: float) -> T:
        """Ask the caretaker, in the thread that serves the cluster; see ``Backend.do``."""
        if self._caretaker is None or self._serving is None:
            raise NotRunningError(NOT_RUNNING)
        try:
            done = self._serving.do(request.op, self._caretaker.do, request, timeout_s=timeout_s)
        except ClusterInTestsError:
            raise
        except (ChaosError, ClusterError, OSError, ExceptionGroup) as error:
            raise FaultError("; ".join(words_of(error))) from error
        assert isinstance(done, answer)
        return done

    def logs(self, host: str, *, lines: int) -> str:
        """The last lines of a container's log, below its name."""
        if self._hosts is None or host not in self._hosts.machines:
            return ""
        with suppress(Exception):  # it may be what is broken
            container = self._hosts.machines[host].get_wrapped_container()
            text = container.logs(tail=lines).decode(errors="replace")
            return "\n".join([f"{host}:", *(f"  {line}" for line in text.splitlines())])
        return ""

    def streams(self) -> dict[str, tuple[bytes, bytes]]:
        """What each container has written to stdout and to stderr, by host.

        Raises:
            NotRunningError: there are none.
            StartError: the engine refused.
        """
        if self._hosts is None:
            raise NotRunningError(NOT_RUNNING)
        with engine.docker_words():
            return {host: machine.get_logs() for host, machine in self._hosts.machines.items()}

    def _all_logs(self) -> str:
        texts: Iterator[str] = (self.logs(host.name, lines=8) for host in self.topology.hosts)
        return "\n".join(text for text in texts if text)

    def stop(self) -> None:
        """Remove everything, or leave it up to be used again; may be called again where it fails.

        Raises:
            ClusterInTestsError: it could not; says why.
        """
        if self._owner != os.getpid():  # a forked child does not own it
            return
        self._caretaker, self._hosts = None, None
        if self._client is not None:
            with engine.docker_words():
                self._running.pop_all().close()  # what fails is registered anew
            self._client.client.close()
            self._client = None


def _without_clients(topology: Topology) -> Topology:
    """The topology's hosts that are containers.

    Raises:
        OptionError: a host has two roles.
    """
    sites = []
    for site in topology.sites:
        hosts = tuple(host for host in site.hosts if host.roles != ("client",))
        for host in hosts:
            if len(host.roles) != 1:
                words = f"{host.name} has the roles {', '.join(host.roles)}"
                raise OptionError(f"mode='docker': {words}; a container has one")
        sites.append(replace(site, hosts=hosts))
    return replace(topology, sites=tuple(sites))


def _credentials(text: str) -> Credentials:
    """The passwords, from the file in a container.

    Raises:
        BootError: they are not in it.
    """
    found = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    try:
        return Credentials(
            superuser=found["PATRONI_SUPERUSER_PASSWORD"],
            replication=found["PATRONI_REPLICATION_PASSWORD"],
            rewind=found["PATRONI_REWIND_PASSWORD"],
        )
    except KeyError as error:
        raise BootError(f"the container does not know {error.args[0]}") from error
