"""Containers as a substrate: the same boot, faults and questions as in the lab, over Docker's API.

A host is a container with a network for its site, one for the WAN, and a third over which its ports
are published: the console, which no fault touches. The first two lead nowhere else.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import anyio
import anyio.to_thread
import httpcore
from httpcore import AnyIOBackend, AsyncNetworkBackend, AsyncNetworkStream

from chaos.testing.docker_engine import explain
from cluster import patroni, patroni_daemon
from cluster.errors import HostError
from cluster.substrate import Unit, UnitExit
from cluster.topology.model import Topology

if TYPE_CHECKING:
    from httpcore._backends.base import SOCKET_OPTION

    from chaos.testing.docker_node import HostContainer

T = TypeVar("T")

CONFIG = "/etc/bascule"
SECRETS = f"{CONFIG}/secrets"
DAEMON = f"{CONFIG}/patroni_daemon.py"
"""Patroni, started as in the lab."""
POSTGRES_UID, ETCD_UID = 26, 27
"""As in docker/Dockerfile."""
POSTGRES_DATA, ETCD_DATA = Path("/var/lib/postgresql/data"), Path("/var/lib/etcd-member")
COMMANDS: Mapping[str, str] = {
    "patroni": f"set -a; . {SECRETS}; set +a; exec python {DAEMON} {CONFIG}/patroni.yml",
    "etcd": f"exec etcd --config-file {CONFIG}/etcd.yml",
}
UIDS: Mapping[str, int] = {"patroni": POSTGRES_UID, "etcd": ETCD_UID}
POLL_S = 0.05
DEATH_TIMEOUT_S = 10.0


class ContainerHosts:
    """The hosts of a topology as containers; those that only have clients are left out.

    Args:
        topology: what to raise; a host has one role.
        machines: the containers, by host; made, not started.
        wan: the name of the network that joins the sites.
        config_folder: where the cluster writes the configuration of each host.
    """

    def __init__(
        self,
        topology: Topology,
        machines: Mapping[str, HostContainer],
        *,
        wan: str,
        config_folder: Path,
    ) -> None:
        self.topology = topology
        self.machines = machines
        self.on_exit: Callable[[UnitExit], object] = lambda unit: None
        self.console: AsyncNetworkBackend = PublishedPorts(self)
        self._wan = wan
        self._config_folder = config_folder
        self._ports: dict[tuple[str, int], tuple[str, int]] = {}
        self._cut_sites: set[str] = set()
        self._cut_links: set[str] = set()

    @property
    def python(self) -> str:
        """There are no clients' hosts; a database's host has this one."""
        return "python"

    def address(self, host: str) -> str:
        """The name by which the other hosts find it."""
        return host

    def data_folder(self, host: str) -> Path:
        """A volume of the container: it outlives a power cut."""
        roles = self.topology.host(host).roles
        return POSTGRES_DATA if "postgres" in roles else ETCD_DATA

    async def published(self, host: str, port: int) -> tuple[str, int]:
        """Where a port of a host is published now; another place after each start."""
        if (host, port) not in self._ports:
            self._ports[host, port] = await _call(self.machines[host].published, port)
        return self._ports[host, port]

    async def ended(self) -> dict[tuple[str, str], str]:
        """Hosts, and their units, whose containers do not run, each in words why.

        The ports are asked for anew then: whoever else has started one has moved them.
        """
        self._ports.clear()
        ends = {host: await _call(machine.end) for host, machine in self.machines.items()}
        return {
            (host, unit): end
            for host, end in ends.items()
            if end is not None
            for unit in self._units(host)
        }

    def forget_ports(self, host: str) -> None:
        """Ask for the ports of a host anew, next time."""
        self._ports = {key: value for key, value in self._ports.items() if key[0] != host}

    async def read(self, host: str, path: str) -> str:
        """A file of a host, whoever may read it there."""
        return await _call(self.machines[host].get, path)

    async def start_unit(self, host: str, unit: Unit) -> None:
        """Start the container of a host, which is the process; one that runs is left alone."""
        machine = self.machines[host]
        if await _call(lambda: machine.is_running):
            return
        self.forget_ports(host)
        uid = UIDS[unit.name]
        config = (self._config_folder / f"{unit.name}-{host}.yml").read_text(encoding="utf-8")
        await _call(partial(machine.put, f"{CONFIG}/{unit.name}.yml", config, uid=uid))
        if unit.name == patroni.UNIT:
            source = inspect.getsource(patroni_daemon)
            await _call(partial(machine.put, DAEMON, source, uid=uid))
        if unit.secrets:
            # token_urlsafe: nothing that a shell would take for its own.
            text = "".join(f"{name}={value}\n" for name, value in unit.secrets.items())
            await _call(partial(machine.put, SECRETS, text, uid=uid))
        await _call(machine.get_wrapped_container().start)

    async def stop_unit(self, host: str, unit: str, *, timeout_s: float) -> int:
        """Stop the container; the exit status of its first process."""
        container = self.machines[host].get_wrapped_container()
        await _call(partial(container.stop, timeout=round(timeout_s)))
        return await self.wait_unit(host, unit)

    async def wait_unit(self, host: str, unit: str) -> int:
        """Wait until the container has ended by itself; the exit status of its first process."""
        return await _call(self.machines[host].wait_dead)

    async def kill_host(self, host: str) -> None:
        """Power cut: off the networks first, so that no FIN or RST of the dying gets out."""
        machine = self.machines[host]
        with anyio.CancelScope(shield=True):
            await _call(machine.leave, machine.networks)
            await _call(machine.kill)
            await self._wait_dead(host)
            self.forget_ports(host)

    async def start_host(self, host: str) -> None:
        """Join the networks again; its process is started by ``start_unit``."""
        await self._join(host)

    async def cut_link(self, host: str) -> None:
        """Disconnect the host from its site and the WAN."""
        self._cut_links.add(host)
        machine = self.machines[host]
        await _call(machine.leave, machine.networks)

    async def heal_link(self, host: str) -> None:
        """Connect it again."""
        self._cut_links.discard(host)
        await self._join(host)

    async def cut_site(self, site: str) -> None:
        """Disconnect every host of the site from the WAN; within the site everything goes on."""
        self._cut_sites.add(site)
        async with anyio.create_task_group() as tasks:
            for host in self._hosts_of(site):
                tasks.start_soon(_call, self.machines[host].leave, (self._wan,))

    async def heal_site(self, site: str) -> None:
        """Connect them again."""
        self._cut_sites.discard(site)
        async with anyio.create_task_group() as tasks:
            for host in self._hosts_of(site):
                tasks.start_soon(self._join, host)

    def _hosts_of(self, site: str) -> Iterable[str]:
        return (host for host in self.machines if self.topology.site_of(host).name == site)

    async def _join(self, host: str) -> None:
        """Connect a host to what it may be on now."""
        if host in self._cut_links:
            return
        machine = self.machines[host]
        apart = self.topology.site_of(host).name in self._cut_sites
        networks = [name for name in machine.networks if not (apart and name == self._wan)]
        await _call(machine.join, networks)

    async def kill_process(self, host: str, process: str, signal: int) -> int:
        """Signal the postmaster, or the container's first process; its pid in the container.

        Raises:
            HostError: no such process runs there.
        """
        machine = self.machines[host]
        if process != "postgres":
            if process not in self._units(host):
                raise HostError(f"no {process} runs on {host}", host=host)
            await _call(partial(machine.get_wrapped_container().kill, signal=signal))
            if signal == 9:
                await self._wait_dead(host)
                self.on_exit(
                    UnitExit(
                        host=host, unit=process, status=-9, expected=False, t_s=time.monotonic()
                    )
                )
            return 1
        pid_file = self.data_folder(host) / "pgdata" / "postmaster.pid"
        script = f'read pid <{pid_file} && kill -{signal} "$pid" && echo "$pid"'
        code, words = await _call(machine.run_in, ["bash", "-c", script])
        if code != 0:
            raise HostError(f"PostgreSQL does not run on {host}: {words.strip()}", host=host)
        return int(words)

    def _units(self, host: str) -> tuple[str, ...]:
        return ("patroni",) if "postgres" in self.topology.host(host).roles else ("etcd",)

    async def _wait_dead(self, host: str) -> None:
        try:
            with anyio.fail_after(DEATH_TIMEOUT_S):
                while await _call(lambda: self.machines[host].is_running):
                    await anyio.sleep(POLL_S)
        except TimeoutError as error:
            raise HostError(f"the container of {host} did not die", host=host) from error


class PublishedPorts(AnyIOBackend):
    """Lets httpcore reach ``http://<host>:<port>`` where the host's port is published."""

    def __init__(self, hosts: ContainerHosts) -> None:
        self._hosts = hosts

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (httpcore's signature)
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> AsyncNetworkStream:
        """Connect to ``port`` of the container of ``host``."""
        try:
            address, published = await self._hosts.published(host, port)
        except HostError as error:
            raise httpcore.ConnectError(str(error)) from error
        try:
            return await super().connect_tcp(
                address, published, timeout, local_address, socket_options
            )
        except httpcore.ConnectError:
            self._hosts.forget_ports(host)  # somebody else may have started it again
            raise


async def _call(function: Callable[..., T], *arguments: object) -> T:
    """A call of the engine's API, in a thread.

    Raises:
        HostError: what the engine said.
    """
    # Here: the lab is used without these packages.
    import docker.errors  # noqa: PLC0415
    import requests.exceptions  # noqa: PLC0415

    try:
        return await anyio.to_thread.run_sync(lambda: function(*arguments))
    except (
        *(docker.errors.DockerException, requests.exceptions.RequestException),
        *(ConnectionError, TimeoutError),
    ) as error:
        raise HostError(explain(f"Docker: {error}")) from error
