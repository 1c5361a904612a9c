"""The cluster in containers: raised over Docker's API, served by a thread of this process."""

from __future__ import annotations

import concurrent.futures
import fcntl
import hashlib
import os
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import anyio
import anyio.abc
import anyio.from_thread
import anyio.to_thread

from chaos.errors import ChaosError
from chaos.testing import docker_engine as engine
from chaos.testing.caretaker import Caretaker
from chaos.testing.docker_hosts import COMMANDS, SECRETS, ContainerHosts
from chaos.testing.errors import (
    ClusterInTestsError,
    FaultError,
    NotHealthyError,
    NotRunningError,
    OptionError,
    StartError,
)
from chaos.testing.model import Place, Ready, Request
from cluster.binaries import Binaries, Program
from cluster.boot import raise_cluster
from cluster.cluster import PatroniCluster
from cluster.errors import ClusterError
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
SLOTS = 64
STOP_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """What the things of a cluster are called, and whether they stay."""

    cluster: str
    kept: bool

    def of(self, thing: str) -> str:
        """The name of a container or a network."""
        return f"bascule-{self.cluster}-{thing}"


class DockerBackend:
    """A cluster of containers.

    Args:
        topology: what to raise.
        images: by role of a host.
        reuse: leave it up at the end, and take the one that an earlier run has left. Each process
            has one of its own: what another one uses at the moment is not taken.
    """

    def __init__(
        self, topology: Topology, *, images: Mapping[Role, str] = IMAGES, reuse: bool = False
    ) -> None:
        self.topology = _without_clients(topology)
        self._images = images
        self._reuse = reuse
        self._client: DockerClient | None = None
        self._hosts: ContainerHosts | None = None
        self._caretaker: Caretaker | None = None
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
        engine.need_images(client, tuple(self._images.values()))
        try:
            with engine.docker_words():
                engine.sweep(client)
                name = self._choose_name()
                folder = Path(self._running.enter_context(tempfile.TemporaryDirectory()))
                if not self._reuse:
                    self._running.callback(engine.remove, client, name.cluster)
                machines = self._adopt(client, name) or self._make(client, name)
            hosts = ContainerHosts(
                self.topology, machines, wan=name.of("wan"), config_folder=folder / "config"
            )
            return self._serve(hosts, folder, timeout_s)
        except BaseException:
            with suppress(ClusterInTestsError):
                self.stop()
            if self._reuse:
                engine.remove(client, name.cluster)
            raise

    def _choose_name(self) -> Name:
        """A new name; or, to be used again, the first of this kind that no process is using."""
        if not self._reuse:
            return Name(cluster=uuid.uuid4().hex[:10], kept=False)
        kind = f"{to_toml(self.topology)}{sorted(self._images.items())}"
        key = hashlib.sha256(kind.encode()).hexdigest()[:8]
        for slot in range(SLOTS):
            path = Path(tempfile.gettempdir()) / f"bascule-{os.getuid()}-{key}-{slot}.lock"
            lock = path.open("w")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.close()
                continue
            self._running.enter_context(lock)
            return Name(cluster=f"{key}-{slot}", kept=True)
        raise StartError(f"{SLOTS} clusters of this kind are in use on this machine")

    def _make(self, client: DockerClient, name: Name) -> dict[str, HostContainer]:
        """The networks and the containers, anew."""
        engine.remove(client, name.cluster)
        labels = engine.labels_of(name.cluster, kept=name.kept)
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
        """The containers that an earlier run has left, started; None when one is missing."""
        if not name.kept:
            return None
        mine = {"label": f"{engine.CLUSTER_LABEL}={name.cluster}"}
        found = {
            engine.labels_on(container).get(engine.HOST_LABEL, ""): container
            for container in client.client.containers.list(all=True, filters=mine)
        }
        if set(found) != {host.name for host in self.topology.hosts}:
            return None
        machines = {host.name: self._machine(host, name) for host in self.topology.hosts}
        for host, machine in machines.items():
            machine.adopt(found[host])
            if not machine.is_running:
                machine.join(machine.networks)
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
                **engine.labels_of(name.cluster, kept=name.kept),
                engine.HOST_LABEL: host.name,
            },
            kept=name.kept,
        )
        machine.with_exposed_ports(*PORTS[role])
        machine.with_command(["bash", "-c", COMMANDS[UNITS[role]]])
        return machine

    def _serve(self, hosts: ContainerHosts, folder: Path, timeout_s: float) -> Ready:
        """Raise the cluster, and begin to serve it from a thread of its own."""
        self._hosts = hosts
        portal = self._running.enter_context(
            anyio.from_thread.start_blocking_portal(name="bascule-testing")
        )
        ready: Ready
        try:
            served, ready = portal.start_task(self._run, hosts, folder, timeout_s)
        except (ClusterError, TimeoutError, BaseExceptionGroup) as error:
            words = f"the cluster could not be raised: {error or f'not in {timeout_s:g} s'}"
            raise StartError(words, logs=self._all_logs()) from error
        self._portal = portal
        self._running.callback(_end, portal, served, self._over)
        return ready

    async def _run(
        self,
        hosts: ContainerHosts,
        folder: Path,
        timeout_s: float,
        *,
        task_status: anyio.abc.TaskStatus[Ready],
    ) -> None:
        self._over = anyio.Event()
        async with AsyncExitStack() as closing:
            with anyio.fail_after(timeout_s):
                cluster = await self._raise(hosts, folder)
            closing.push_async_callback(cluster.aclose)
            caretaker = Caretaker(cluster)
            hosts.on_exit = caretaker.unit_exited
            for host in self.topology.hosts:
                for port in PORTS[host.roles[0]]:
                    door = relay(hosts.console, host.name, port)
                    self._ports[host.name, port] = await closing.enter_async_context(door)
            self._caretaker = caretaker
            task_status.started(
                Ready(superuser=SUPERUSER, superuser_password=cluster.credentials.superuser)
            )
            await self._over.wait()

    async def _raise(self, hosts: ContainerHosts, folder: Path) -> PatroniCluster:
        """A new cluster, or the one that runs in these containers already."""
        first = hosts.machines[self.topology.nodes[0]]
        if await anyio.to_thread.run_sync(lambda: first.is_running):
            text = await anyio.to_thread.run_sync(first.get, SECRETS)
            known = _credentials(text)
            services = UnitServices(hosts, IN_THE_IMAGE, folder / "config", credentials=known)
            return PatroniCluster(hosts, services)
        return await raise_cluster(
            hosts,
            IN_THE_IMAGE,
            config_folder=folder / "config",
            logs=folder,
            done=lambda step: None,
        )

    def do(self, request: Request, answer: type[T], *, timeout_s: float) -> T:
        """Ask the caretaker, in the thread that serves the cluster; see ``Backend.do``."""
        if self._caretaker is None:
            raise NotRunningError("the cluster is not running: start it, or use it in a with block")
        future = self._portal.start_task_soon(self._caretaker.do, request)
        try:
            done = future.result(timeout_s)
        except concurrent.futures.TimeoutError as error:
            future.cancel()
            words = f"{request.op} took longer than {timeout_s:g} s"
            raise NotHealthyError(words) from error
        except ClusterInTestsError:
            raise
        except (ChaosError, ClusterError, OSError) as error:
            raise FaultError(str(error)) from error
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

    def _all_logs(self) -> str:
        texts: Iterator[str] = (self.logs(host.name, lines=8) for host in self.topology.hosts)
        return "\n".join(text for text in texts if text)

    def stop(self) -> None:
        """Remove everything, or leave it up to be used again."""
        if self._owner != os.getpid():  # a forked child does not own it
            return
        self._caretaker, self._hosts = None, None
        if self._client is not None:
            with engine.docker_words():
                self._running.close()
            self._client.client.close()
            self._client = None


def _end(
    portal: anyio.from_thread.BlockingPortal,
    served: concurrent.futures.Future[None],
    over: anyio.Event,
) -> None:
    portal.call(over.set)
    served.result(STOP_TIMEOUT_S)


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
    """The passwords, from the file in a container."""
    found = dict(line.split("=", 1) for line in text.splitlines())
    return Credentials(
        superuser=found["PATRONI_SUPERUSER_PASSWORD"],
        replication=found["PATRONI_REPLICATION_PASSWORD"],
        rewind=found["PATRONI_REWIND_PASSWORD"],
    )
