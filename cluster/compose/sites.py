"""Sites in containers: a topology as one compose project, which is broken through the engine.

A host is a container, and its service the container's main process. Clients' hosts are places
only: each unit that runs there is a container of its own, on the site's network and the WAN, with
the run folder at its own path.
"""

from __future__ import annotations

import csv
import io
import json
import os
import random
import signal
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from types import TracebackType

import anyio
import anyio.abc
from httpcore import AsyncNetworkBackend

from cluster import patroni
from cluster.compose import addresses, docker, keeper, project
from cluster.compose.console import ConsoleBackend
from cluster.compose.container import Container
from cluster.compose.images import image_name
from cluster.compose.labels import label_options, labels
from cluster.errors import EngineError, HostError
from cluster.processes import this_process
from cluster.services import write_configs
from cluster.substrate import Unit, UnitExit
from cluster.topology.model import Topology

CREATE_TIMEOUT_S = 180.0
DETACH_TIMEOUT_S = 5.0
"""The clients see in milliseconds that their containers were removed."""
CREATE_ATTEMPTS = 5
"""Somebody else may take the addresses between the look and the creation."""
OVERLAP = "overlaps"
PROJECT_FILE = "compose.yml"
FIND_POSTMASTER = 'read -r pid <"$1/pgdata/postmaster.pid" && kill -0 "$pid" && echo "$pid"'
"""PostgreSQL manual, 65.1: its pid file."""
FIND_MAIN = 'read -r pid rest </proc/1/task/1/children; echo "$pid"'
"""The first child of the container's init (proc(5))."""
SIGNAL = """
kill -"$1" "$2" || exit 1
while test "$1" = 9 && kill -0 "$2" 2>/dev/null; do sleep 0.02; done
"""
"""After SIGKILL it waits until the process is gone."""


class ComposeSites:
    """A raised topology. An async context manager; leaving it removes everything that it made.

    Args:
        topology: what to raise; without ``problems_of_containers``.
        folder: the run folder; gets ``config/``, ``logs/`` and the project's file.
        run: the id of the drill: what its containers, networks and volumes are labelled with.
        on_exit: called for every end of a container, expected or not.
        must_remove: leaving raises EngineError when something of it stays; else somebody else
            removes that, and says so (``run_beside``).
    """

    def __init__(
        self,
        topology: Topology,
        *,
        folder: Path,
        run: str,
        on_exit: Callable[[UnitExit], None],
        must_remove: bool = True,
    ) -> None:
        self.topology = topology
        self.python = project.PYTHON
        self._folder = folder
        self.run = run
        self._on_exit = on_exit
        self._must_remove = must_remove
        self._keeper = this_process()
        self._plan: addresses.AddressPlan | None = None
        self._units: dict[str, dict[str, Container]] = {host.name: {} for host in topology.hosts}
        self._cut: set[str] = set()
        self._tasks: anyio.abc.TaskGroup = anyio.create_task_group()

    async def __aenter__(self) -> ComposeSites:
        (self._folder / "logs").mkdir(exist_ok=True)
        write_configs(self, project.PG_BINDIR, self._config)
        try:
            await self._create()
        except BaseException:
            await self._remove(keeper.SETTLE_S)
            raise
        for host in self.topology.hosts:
            if unit := project.unit_of(host):
                self._units[host.name][unit] = self._container(host.name, unit)
        await self._tasks.__aenter__()
        return self

    @property
    def _config(self) -> Path:
        return self._folder / "config"

    async def _create(self) -> None:
        """Networks, volumes and containers, none of them started."""
        path = self._folder / PROJECT_FILE
        for attempt in range(1, CREATE_ATTEMPTS + 1):
            taken = await anyio.to_thread.run_sync(addresses.taken_networks)
            block = addresses.draw_block(taken, random.SystemRandom())
            self._plan = addresses.plan_addresses(self.topology, block)
            document = project.render_project(
                self.topology,
                self._plan,
                run=self.run,
                labels=labels(self.run, self._keeper),
                config=self._config,
            )
            for host in self.topology.hosts:
                hosts = addresses.hosts_file(self.topology, self._plan, host.name)
                project.hosts_path(self._config, host.name).write_text(hosts)
            for one in self._config.iterdir():
                one.chmod(0o644)  # the containers' users are others; there is no secret in it
            path.write_text(json.dumps(document, indent=1), encoding="utf-8")
            try:
                await docker.run(
                    *docker.compose(project.project_name(self.run), self._folder, path),
                    "create",
                    timeout_s=CREATE_TIMEOUT_S,
                )
            except EngineError as error:
                if OVERLAP not in str(error) or attempt == CREATE_ATTEMPTS:
                    raise
                await self._remove(keeper.PAUSE_S)
            else:
                return

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        containers = [one for units in self._units.values() for one in units.values()]
        for container in containers:
            container.expected = True
        try:
            await self._remove(keeper.PAUSE_S)
            with anyio.move_on_after(DETACH_TIMEOUT_S, shield=True):
                for container in containers:
                    await container.wait()
        except EngineError:
            if self._must_remove:
                self._abandon(containers)
                await self._tasks.__aexit__(kind, error, traceback)
                raise
        self._abandon(containers)
        return await self._tasks.__aexit__(kind, error, traceback)

    async def _remove(self, pause_s: float) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(partial(keeper.remove_run, self.run, pause_s=pause_s))

    @staticmethod
    def _abandon(containers: Iterable[Container]) -> None:
        """A client that does not see that its container is gone must not hold us up."""
        for container in containers:
            container.abandon()

    @property
    def console(self) -> AsyncNetworkBackend:
        """Connects to a port of a host over its console network."""
        return ConsoleBackend(self.plan.at_console)

    @property
    def plan(self) -> addresses.AddressPlan:
        """The addresses; known once the project is made."""
        assert self._plan is not None
        return self._plan

    def address(self, host: str) -> str:
        """The host's name, which every other host knows by its ``/etc/hosts``."""
        return host

    def data_folder(self, host: str) -> Path:
        """Where the host's data is, inside its container."""
        roles = self.topology.host(host).roles
        return Path(project.ETCD_DATA if "etcd" in roles else project.POSTGRES_DATA)

    async def start_service(self, host: str, stdin: str | None) -> str:
        """Start the container that is a host; the name of its service.

        Raises:
            HostError: the host is cut off from its power, or the engine did not start it.
        """
        unit = project.unit_of(self.topology.host(host))
        container = self._units[host][unit]
        await container.start(self._tasks, stdin)
        return unit

    async def start_unit(self, host: str, unit: Unit) -> None:
        """Start a process on a client's host, in a container of its own.

        Raises:
            HostError: the host has services, or one of that name.
            EngineError: the container cannot be made, or a secret has the name of a variable that
                the docker client heeds.
        """
        container = self._container(host, unit.name)
        if project.unit_of(self.topology.host(host)) or unit.name in self._units[host]:
            raise HostError(f"{unit.name} cannot be started on {host}", host=host)
        site = self.topology.site_of(host).name
        hosts = project.hosts_path(self._config, host)
        plain = {"HOME": "/tmp", **unit.env}
        await docker.run(
            *("create", "--name", container.name, "--hostname", host, "--init", "--interactive"),
            *label_options(self.run, self._keeper),
            *("--user", f"{os.getuid()}:{os.getgid()}", "--read-only", "--tmpfs", "/tmp"),
            *("--cap-drop", "ALL", "--security-opt", "no-new-privileges:true"),
            *("--mount", bind_mount(self._folder, self._folder)),
            *("--mount", f"{bind_mount(hosts, project.HOSTS)},readonly"),
            *("--network", project.network_name(self.run, site)),
            *("--ip", self.plan.at_site[host], "--no-healthcheck"),
            *(f"--env={name}={value}" for name, value in plain.items()),
            *(f"--env={name}" for name in unit.secrets),  # the client takes the value from its own
            *("--entrypoint", unit.argv[0], image_name("bascule"), *unit.argv[1:]),
            secrets=unit.secrets,
        )
        await self._connect(container.name, host, addresses.WAN, self.plan.at_wan[host])
        self._units[host][unit.name] = container
        await container.start(self._tasks, unit.stdin or "")

    async def stop_unit(self, host: str, unit: str, *, timeout_s: float) -> int:
        """SIGTERM, wait, SIGKILL; the exit status."""
        container = self._unit(host, unit)
        status = await container.end(timeout_s=timeout_s)
        await self._forget(container)
        return status

    async def wait_unit(self, host: str, unit: str) -> int:
        """Wait until a process ends by itself, which is expected of it; its exit status."""
        container = self._unit(host, unit)
        container.expected = True
        status = await container.wait()
        await self._forget(container)
        return status

    async def kill_host(self, host: str) -> None:
        """Power cut. The links go first, so that no FIN or RST of the dying gets out.

        Shielded: a host is dead or alive, never half of each.
        """
        with anyio.CancelScope(shield=True):
            await self.cut_link(host)
            async with anyio.create_task_group() as deaths:
                for container in self._units[host].values():
                    deaths.start_soon(container.cut_power)

    async def start_host(self, host: str) -> None:
        """Power on, with the same addresses; the service is not started."""
        await self.heal_link(host)

    async def cut_link(self, host: str) -> None:
        """Take the host off its site's network and the WAN; its addresses go with them.

        Shielded, as ``heal_link``: a link is cut or whole, never half.
        """
        if host in self._cut:
            return
        self._cut.add(host)
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as cuts:
                for container in self._units[host].values():
                    for network in (self.topology.site_of(host).name, addresses.WAN):
                        cuts.start_soon(self._disconnect, container.name, network)

    async def heal_link(self, host: str) -> None:
        """Put it back on both, with the addresses that it had."""
        if host not in self._cut:
            return
        site = self.topology.site_of(host).name
        with anyio.CancelScope(shield=True):
            for container in self._units[host].values():
                for network, address in (
                    (site, self.plan.at_site[host]),
                    (addresses.WAN, self.plan.at_wan[host]),
                ):
                    await self._connect(container.name, host, network, address)
        self._cut.discard(host)

    async def kill_process(self, host: str, process: str, number: int) -> int:
        """Signal the postmaster (``postgres``), or the main process of a unit's container, which
        ends with it.

        Raises:
            HostError: no such process runs there.
        """
        is_postmaster = process == "postgres"
        container = self._unit(host, patroni.UNIT if is_postmaster else process)
        find = FIND_POSTMASTER if is_postmaster else FIND_MAIN
        try:
            pid = (await container.execute(find, str(self.data_folder(host)))).strip()
        except EngineError as error:
            raise HostError(f"{process} does not run on {host}: {error}", host=host) from error
        try:
            await container.execute(SIGNAL, str(int(number)), pid)
        except EngineError as error:
            # With its main process a container ends, and with it the shell that waits inside.
            if is_postmaster or number != signal.SIGKILL or not await container.is_gone():
                words = f"{process} on {host} was not signalled: {error}"
                raise HostError(words, host=host) from error
        return int(pid)

    def _unit(self, host: str, unit: str) -> Container:
        if unit not in self._units[host]:
            raise HostError(f"no unit {unit} on {host}", host=host)
        return self._units[host][unit]

    def _container(self, host: str, unit: str) -> Container:
        return Container(
            project.container_name(self.run, host, unit),
            host=host,
            unit=unit,
            log=self._folder / "logs" / f"{host}.{unit}.log",
            on_exit=self._on_exit,
        )

    async def _forget(self, container: Container) -> None:
        """The unit may be started again, and the next one may have the host's addresses."""
        del self._units[container.host][container.unit]
        await docker.run("rm", "--force", "--volumes", container.name)

    async def _connect(self, container: str, host: str, network: str, address: str) -> None:
        name = project.network_name(self.run, network)
        at = ["--ip", address, "--alias", host]
        try:
            await docker.run("network", "connect", *at, name, container)
        except EngineError as error:
            if "already exists in network" not in str(error):  # a cut that failed left it there
                raise

    async def _disconnect(self, container: str, network: str) -> None:
        name = project.network_name(self.run, network)
        try:
            await docker.run("network", "disconnect", name, container)
        except EngineError as error:
            if "is not connected" not in str(error):
                raise


def bind_mount(source: Path, target: Path | str) -> str:
    """The value of ``--mount`` that binds a path of this machine; the client reads it as a line of
    CSV."""
    line = io.StringIO()
    fields = ["type=bind", f"source={source}", f"target={target}"]
    csv.writer(line, lineterminator="").writerow(fields)
    return line.getvalue()
