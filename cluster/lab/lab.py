"""The lab: a topology raised as namespaces of this machine. Runs inside the sealed namespaces.

``cluster.lab.enter`` made those and started us in them; here they are filled with the sites'
network and hosts, and broken. Nothing needs to be undone at the end: the namespaces go with their
init.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import anyio
import anyio.abc
from httpcore import AsyncNetworkBackend

from cluster.errors import HostError
from cluster.lab import network
from cluster.lab.console import ConsoleBackend
from cluster.lab.host import LabHost
from cluster.substrate import Unit, UnitExit
from cluster.topology.model import Topology

STATE = Path("/run/bascule")
"""In the lab's own tmpfs: the hosts' disks. They vanish with the lab, after ``kill -9`` too."""


class Lab:
    """A raised topology. An async context manager; leaving it ends every host.

    Args:
        topology: what to raise.
        logs: the folder for one log file a process.
        on_exit: called for every end of a unit, expected or not.
    """

    def __init__(
        self, topology: Topology, *, logs: Path, on_exit: Callable[[UnitExit], None]
    ) -> None:
        self.topology = topology
        self.python = sys.executable
        self.console: AsyncNetworkBackend = ConsoleBackend()
        self._addresses = network.addresses(topology)
        self._hosts = {
            host.name: LabHost(
                host.name, disk=self.data_folder(host.name), logs=logs, on_exit=on_exit
            )
            for host in topology.hosts
        }
        self._cut_sites: set[str] = set()
        self._tasks: anyio.abc.TaskGroup = anyio.create_task_group()

    async def __aenter__(self) -> Lab:
        await network.run(["mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", "/run"])
        for host in self._hosts:
            self.data_folder(host).mkdir(parents=True, mode=0o700)
        await network.build_network(self.topology)
        await self._tasks.__aenter__()
        async with anyio.create_task_group() as starts:
            for machine in self._hosts.values():
                starts.start_soon(machine.start, self._tasks)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        for host in self._hosts.values():
            host.power_off()
        with anyio.CancelScope(shield=True):
            for host in self._hosts.values():
                await host.wait_down()
        return await self._tasks.__aexit__(kind, error, traceback)

    def address(self, host: str) -> str:
        """The host's address on its site's network."""
        return self._addresses[host]

    def data_folder(self, host: str) -> Path:
        """The host's disk (short: a Unix socket's path may have 107 bytes)."""
        return STATE / host

    def is_up(self, host: str) -> bool:
        """The host has power."""
        return self._hosts[host].is_up

    async def start_unit(self, host: str, unit: Unit) -> None:
        """Start a process on a host."""
        await self._hosts[host].start_unit(unit)

    async def stop_unit(self, host: str, unit: str, *, timeout_s: float) -> int:
        """SIGTERM, wait, SIGKILL; the exit status."""
        return await self._hosts[host].stop_unit(unit, timeout_s=timeout_s)

    async def wait_unit(self, host: str, unit: str) -> int:
        """Wait until a unit ends by itself, which is expected of it; its exit status."""
        return await self._hosts[host].wait_exit(unit)

    async def kill_host(self, host: str) -> None:
        """Power cut. The link goes first, so that no FIN or RST of the dying gets out.

        Shielded: a host is dead or alive, never half of each.
        """
        with anyio.CancelScope(shield=True):
            await network.set_link(self.topology, host, up=False)
            self._hosts[host].power_off()
            await self._hosts[host].wait_down()

    async def start_host(self, host: str) -> None:
        """Power on, link up, no unit running."""
        await self._hosts[host].start(self._tasks)
        await network.set_link(self.topology, host, up=True)

    async def cut_link(self, host: str) -> None:
        """Pull the host's cable."""
        await network.set_link(self.topology, host, up=False)

    async def heal_link(self, host: str) -> None:
        """Plug it in again."""
        await network.set_link(self.topology, host, up=True)

    async def cut_site(self, site: str) -> None:
        """Cut a site off from all others; within it everything goes on."""
        self._cut_sites.add(site)
        await network.set_cuts(self.topology, self._cut_sites)

    async def heal_site(self, site: str) -> None:
        """Join it again with those that are not cut off themselves."""
        self._cut_sites.discard(site)
        await network.set_cuts(self.topology, self._cut_sites)

    async def kill_process(self, host: str, process: str, signal: int) -> int:
        """Signal a unit, or the postmaster (``postgres``), by its pid on the host.

        Raises:
            HostError: no such process runs there.
        """
        machine = self._hosts[host]
        pid = self._postmaster(host) if process == "postgres" else machine.pid_of(process)
        await machine.signal(pid, signal)
        return pid

    def _postmaster(self, host: str) -> int:
        """The postmaster's pid on its host, from its pid file (PostgreSQL manual, 65.1)."""
        try:
            return int(
                (self.data_folder(host) / "pgdata" / "postmaster.pid").read_text().split()[0]
            )
        except (OSError, ValueError, IndexError) as error:
            raise HostError(f"PostgreSQL does not run on {host}", host=host) from error
