"""Sites in containers: a topology as one compose project, which is broken through the engine.

A host is a container, and its service the container's main process. What is started beside it (a
witness beside etcd) is a container of its own, with its own addresses; what happens to the host
happens to both (docs/decisions/0034-witnesses-in-containers.md). Clients' hosts are places only:
each unit that runs there is a container of its own, on the site's network and the WAN, with the run
folder at its own path.
"""

from __future__ import annotations

import json
import random
import signal
from collections.abc import Callable, Mapping
from functools import partial
from ipaddress import IPv4Network
from pathlib import Path
from types import TracebackType
from typing import Literal

import anyio
import anyio.abc
from httpcore import AsyncNetworkBackend

from cluster.errors import EngineError, HostError
from cluster.patroni import config
from cluster.services import config_path, write_configs
from cluster.substrates.base import Process, ProcessExit
from cluster.substrates.docker import addresses, leftovers, project
from cluster.substrates.docker import client as docker
from cluster.substrates.docker.consoles import ContainerConsoles, PublishedPorts, by_route
from cluster.substrates.docker.container import SIGNALLED, Container
from cluster.substrates.docker.labels import labels
from cluster.substrates.docker.links import FLAPPING, Attachment, Links
from cluster.substrates.docker.process_faults import ProcessFaults
from cluster.substrates.docker.unit_container import make_container
from cluster.substrates.flaps import Flaps
from cluster.substrates.owner import this_process
from cluster.topology.model import Topology

CREATE_TIMEOUT_S = 180.0
DETACH_TIMEOUT_S = 5.0
"""The clients see in milliseconds that their containers were removed."""
CREATE_ATTEMPTS = 5
"""Another process may take the addresses between the look and the creation."""
OVERLAP = "overlaps"
AtEnd = Literal["remove", "try-to-remove", "leave"]
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


UNABLE: Mapping[str, str] = {
    "edit-disk": "a host is a container with one service, and no command runs there without it",
    "restore-etcd": "a member's disk cannot be worked on while etcd does not run",
    "drop-packets": "links of containers are networks of the engine, which are joined or not; "
    "rules for packets would be in the firewall of its machine",
    "send-probes": "nothing is told of single packets there",
    "break-disk": "data are in volumes of the engine, and no process of ours serves those",
    "set-clock": "its images have no libfaketime, and start Patroni without our module",
    "slow-link": "no relay of ours stands between the networks of the engine",
}
"""Why not, by the keys of ``base.ABILITIES``."""


class ContainerHosts(ProcessFaults):
    """A raised topology. An async context manager; leaving it removes everything that it made.

    Args:
        topology: what to raise; without ``problems_of_containers``.
        folder: the run folder; gets ``config/``, ``logs/`` and the project's file.
        run: what its project is called, and its containers, networks and volumes labelled with.
        on_exit: called for every end of a container, expected or not.
        at_end: ``remove``: leaving removes all of it, or raises EngineError; ``try-to-remove``:
            another process removes what stays, and reports it (``run_beside``); ``leave``:
            another process removes it, or uses it again.
        marks: the labels of everything that is made; those of a drill if None.
        publish: publish the ports of the consoles, where this machine may have no route to them.
        block: where the project is there already, the addresses that it has: it is taken over.
    """

    def __init__(  # noqa: PLR0913 (every one has a default)
        self,
        topology: Topology,
        *,
        folder: Path,
        run: str,
        on_exit: Callable[[ProcessExit], None],
        at_end: AtEnd = "remove",
        marks: Mapping[str, str] | None = None,
        publish: bool = False,
        block: IPv4Network | None = None,
    ) -> None:
        self.topology = topology
        self.unable = UNABLE
        self.python = project.PYTHON
        self._folder = folder
        self.run = run
        self._on_exit = on_exit
        self._at_end = at_end
        self._marks = labels(run, this_process()) if marks is None else marks
        self._publish = publish
        self._taken_over = block is not None
        self.block = block
        self._plan: addresses.AddressPlan | None = None
        self._made_links: Links | None = None
        self._console: ContainerConsoles | None = None
        self._dark: set[str] = set()
        self._flaps = Flaps(
            lambda host: self._links.cut_link(host, FLAPPING),
            lambda host: self._links.heal_link(host, FLAPPING),
        )
        self._units: dict[str, dict[str, Container]] = {host.name: {} for host in topology.hosts}
        self._tasks: anyio.abc.TaskGroup = anyio.create_task_group()

    async def __aenter__(self) -> ContainerHosts:
        (self._folder / "logs").mkdir(exist_ok=True)
        for host in self._served:
            unit = project.unit_of(self.topology.host(host))
            self._units[host][unit] = self._container(host, unit)
        try:
            if self.block is not None:
                self._plan = addresses.plan_addresses(self.topology, self.block)
            else:
                await self._create()
            self._made_links = Links(self.topology, self.run, self._attachments)
            await self._open_console()
        except BaseException:
            if self._at_end != "leave":
                await self._remove(leftovers.SETTLE_S)
            raise
        await self._tasks.__aenter__()
        if self._taken_over:
            try:
                await self._take_over()
            except BaseException as error:
                self._abandon()
                await self._tasks.__aexit__(type(error), error, error.__traceback__)
                raise
        return self

    @property
    def _config(self) -> Path:
        return self._folder / "config"

    @property
    def _served(self) -> list[str]:
        """The hosts that have a service."""
        return [host.name for host in self.topology.hosts if project.unit_of(host)]

    @property
    def names(self) -> dict[str, str]:
        """The containers of the hosts that have a service, by host."""
        return {host: next(iter(self._units[host].values())).name for host in self._served}

    async def _create(self) -> None:
        """Networks, volumes and containers, none of them started."""
        path = self._folder / PROJECT_FILE
        write_configs(self, project.PG_BINDIR, self._config, gate=project.GATE)
        configs = {
            host: config_path(self._config, unit, host).read_text(encoding="utf-8")
            for host in self._served
            for unit in self._units[host]
        }
        publish = await anyio.to_thread.run_sync(_published_at) if self._publish else None
        for attempt in range(1, CREATE_ATTEMPTS + 1):
            taken = await anyio.to_thread.run_sync(addresses.taken_networks)
            self.block = addresses.draw_block(taken, random.SystemRandom())
            self._plan = addresses.plan_addresses(self.topology, self.block)
            document = project.render_project(
                self.topology,
                self._plan,
                run=self.run,
                labels=self._marks,
                configs=configs,
                publish=publish,
            )
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
                await self._remove(leftovers.PAUSE_S)
            else:
                return

    async def _open_console(self) -> None:
        """Choose by route or by published port. A drill has made sure that there is a route. Else
        the block of addresses, which was drawn at random, is routed here only where the engine is.
        """
        routed = addresses.routed_networks(docker.ROUTES.read_text())
        near = {IPv4Network(self.plan.console_networks[host]) for host in self._served}
        if not self._publish or near <= set(routed):
            self._console = ContainerConsoles(by_route(self.plan.at_console))
        else:
            address = await anyio.to_thread.run_sync(docker.address)
            ports = PublishedPorts(address, self.names)
            self._console = ContainerConsoles(ports.where, ports.forget)

    async def _take_over(self) -> None:
        """Put the containers that are there on all their networks, and stand by those that run.

        Raises:
            EngineError: one is missing, or cannot be put there.
        """
        form = (
            "{{.State.Running}} {{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}"
        )
        looks = await docker.run("inspect", "--format", form, *self.names.values())
        for host, look in zip(self._served, looks.splitlines(), strict=True):
            running, *networks = look.split()
            wanted = (self.topology.site_of(host).name, addresses.WAN)
            if not {project.network_name(self.run, name) for name in wanted} <= set(networks):
                await self._links.join(host)
            if running == "true":
                for container in self._units[host].values():
                    container.stand_by(self._tasks)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        self._flaps.cancel()
        containers = self._containers()
        for container in containers:
            container.expected = True
        try:
            if self._at_end != "leave":
                await self._remove(leftovers.PAUSE_S)
                with anyio.move_on_after(DETACH_TIMEOUT_S, shield=True):
                    for container in containers:
                        await container.wait()
        except EngineError:
            if self._at_end == "remove":
                self._abandon()
                await self._tasks.__aexit__(kind, error, traceback)
                raise
        self._abandon()
        return await self._tasks.__aexit__(kind, error, traceback)

    def _containers(self) -> list[Container]:
        return [one for units in self._units.values() for one in units.values()]

    async def _remove(self, pause_s: float) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(partial(leftovers.remove_run, self.run, pause_s=pause_s))

    def _abandon(self) -> None:
        """A client that does not see that its container is gone must not hold us up."""
        for container in self._containers():
            container.abandon()

    @property
    def console(self) -> AsyncNetworkBackend:
        """Connects to a port of a host over its console network; known once the project is made."""
        assert self._console is not None
        return self._console

    @property
    def _links(self) -> Links:
        assert self._made_links is not None
        return self._made_links

    def _attachments(self, host: str) -> list[Attachment]:
        return [
            self._attachment(host, container.unit, container.name)
            for container in self._units[host].values()
        ]

    def _attachment(self, host: str, unit: str, container: str) -> Attachment:
        if self._is_companion(host, unit):
            return Attachment(
                container=container,
                alias=project.companion_name(host, unit),
                at_site=self.plan.witness_at_site[host],
                at_wan=self.plan.witness_at_wan[host],
            )
        return Attachment(
            container=container,
            alias=host,
            at_site=self.plan.at_site[host],
            at_wan=self.plan.at_wan[host],
        )

    def _is_companion(self, host: str, unit: str) -> bool:
        """It stands beside the host's service."""
        return project.unit_of(self.topology.host(host)) not in {"", unit}

    @property
    def plan(self) -> addresses.AddressPlan:
        """The addresses; known once the project is made."""
        assert self._plan is not None
        return self._plan

    def address(self, host: str) -> str:
        """The host's name, which every other host knows by its ``/etc/hosts``."""
        return host

    async def start_service(self, host: str, stdin: str | None) -> str:
        """Start the container that is a host; the name of its service.

        Raises:
            HostError: the host is cut off from its power, or the engine did not start it.
        """
        unit = project.unit_of(self.topology.host(host))
        container = self._units[host][unit]
        await container.start(self._tasks, stdin)
        return unit

    def is_down(self, host: str) -> bool:
        """The service of a host does not run."""
        return not self._main(host).is_up

    async def ended(self) -> dict[tuple[str, str], str]:
        """The services that do not run, by host and unit, each in words why, by the engine."""
        form = "{{.State.Running}} {{.State.OOMKilled}} {{.State.ExitCode}}"
        looks = await docker.run("inspect", "--format", form, *self.names.values())
        found = {}
        for host, look in zip(self._served, looks.splitlines(), strict=True):
            running, of_memory, status = look.split()
            if running != "true":
                unit = project.unit_of(self.topology.host(host))
                found[host, unit] = why_ended(int(status), of_memory=of_memory == "true")
        return found

    async def start_unit(self, host: str, unit: Process) -> None:
        """Start a process in a container of its own: on a client's host, or beside a service, where
        it has nothing but its standard input, and there is one at most.

        Raises:
            HostError: one of that name runs there, or it is the service, or another stands beside
                the service, or nothing can: it is not where a witness would stand.
            EngineError: the container cannot be made, or a secret has the name of a variable that
                the docker client heeds.
        """
        await self._make_room(host, unit.name)
        container = self._container(host, unit.name)
        there = self._attachment(host, unit.name, container.name)
        await make_container(
            unit,
            there,
            network=project.network_name(self.run, self.topology.site_of(host).name),
            known=addresses.host_lines(self.topology, self.plan, host),
            marks=self._marks,
            folder=None if self._is_companion(host, unit.name) else self._folder,
        )
        self._units[host][unit.name] = container
        await self._links.arrive(host, container.name)
        await container.start(self._tasks, unit.stdin or "", ends_input=True)

    async def _make_room(self, host: str, unit: str) -> None:
        """A unit that has ended may be started again. One beside a service that an earlier process
        has left is replaced: its log would not be ours."""
        own = project.unit_of(self.topology.host(host))
        others = {name for name in self._units[host] if name not in {own, unit}} if own else set()
        has_no_place = bool(own) and host not in self.plan.witness_at_site
        if unit == own or others or has_no_place or self.runs_unit(host, unit):
            raise HostError(f"{unit} cannot be started on {host}", host=host)
        if unit in self._units[host] or (own and self._taken_over):
            await self._forget(self._units[host].get(unit) or self._container(host, unit))

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
            self._dark.add(host)
            await self.cut_link(host)
            async with anyio.create_task_group() as deaths:
                for container in self._units[host].values():
                    deaths.start_soon(container.cut_power)

    async def start_host(self, host: str) -> None:
        """Power on, with the same addresses; the service is not started."""
        await self.heal_link(host)
        self._dark.discard(host)

    async def cut_link(self, host: str) -> None:
        """Take the host off its networks; its addresses go with them."""
        await self._links.cut_link(host)

    async def heal_link(self, host: str) -> None:
        """Put it back, with the addresses that it had."""
        await self._links.heal_link(host)

    async def flap_link(self, host: str, *, down_s: float, up_s: float) -> None:
        """Take the host off its networks and put it back, again and again."""
        await self._flaps.begin(self._tasks, host, down_s=down_s, up_s=up_s)

    async def steady_link(self, host: str) -> int:
        """End it; how often the host was off them."""
        return await self._flaps.end(host)

    async def cut_site(self, site: str) -> None:
        """Take the hosts of a site off the WAN; within the site everything goes on."""
        await self._links.cut_site(site)

    async def heal_site(self, site: str) -> None:
        """Put them back."""
        await self._links.heal_site(site)

    async def kill_process(self, host: str, process: str, number: int) -> int:
        """Signal the postmaster (``postgres``), or the main process of a unit's container, which
        ends with it.

        Raises:
            HostError: no such process runs there.
        """
        is_postmaster = process == "postgres"
        container = self._unit(host, config.UNIT if is_postmaster else process)
        find = FIND_POSTMASTER if is_postmaster else FIND_MAIN
        try:
            pid = (await container.execute(find, str(self.data_folder(host)))).strip()
        except EngineError as error:
            raise HostError(f"{process} does not run on {host}: {error}", host=host) from error
        if not is_postmaster and number == signal.SIGKILL:
            container.expected = True
        try:
            await container.execute(SIGNAL, str(int(number)), pid)
        except EngineError as error:
            # With its main process a container ends, and with it the shell that waits inside.
            if is_postmaster or number != signal.SIGKILL or not await container.is_gone():
                words = f"{process} on {host} was not signalled: {error}"
                raise HostError(words, host=host) from error
        return int(pid)

    async def halt_unit(self, host: str, unit: str) -> None:
        """SIGKILL of a service's container, as asked for; it stays, and can be started again."""
        await self._unit(host, unit).cut_power()

    def runs_unit(self, host: str, unit: str) -> bool:
        """The unit was started there and has not ended."""
        return unit in self._units[host] and self._units[host][unit].is_up

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
        self._units[container.host].pop(container.unit, None)
        await docker.run("rm", "--force", "--volumes", container.name)


def why_ended(status: int, *, of_memory: bool) -> str:
    """How a container has ended that we did not end, in words."""
    if of_memory:
        return "it had been killed for want of memory"
    if status == SIGNALLED + signal.SIGKILL:
        return "somebody else had killed it"
    return f"it had ended with status {status}"


def _published_at() -> str:
    """The address at which the engine is to publish: its loopback where that is ours, else every
    one, as Docker does by default."""
    return docker.LOOPBACK if docker.address() == docker.LOOPBACK else "0.0.0.0"
