"""The lab: a topology raised as namespaces of this machine. Runs inside the sealed namespaces.

``cluster.substrates.lab.enter`` made those and started us in them; here they are filled with the
sites' network and hosts, and broken. Nothing needs to be undone at the end: the namespaces go with
their init.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from pathlib import Path
from signal import SIGKILL
from types import TracebackType

import anyio
import anyio.abc
from httpcore import AsyncNetworkBackend

from cluster.binaries import find_etcd_restore_tool
from cluster.errors import ClusterError, HostError, LabError
from cluster.logs import log_tail
from cluster.substrates.base import (
    ClockShift,
    DropRule,
    LinkSeen,
    PacketProbe,
    Process,
    ProcessExit,
)
from cluster.substrates.disk import DiskFault, DiskFaultName
from cluster.substrates.flaps import Flaps
from cluster.substrates.lab import network, probes
from cluster.substrates.lab.clocks import LabClocks, check_clocks
from cluster.substrates.lab.console import LabConsoles
from cluster.substrates.lab.disk.disks import LayeredDisk
from cluster.substrates.lab.disk.prerequisites import check_disks
from cluster.substrates.lab.host import LabHost
from cluster.substrates.lab.host_init import MOUNT_SHARED_MEMORY
from cluster.substrates.lab.packet_filter import PacketFilter
from cluster.substrates.lab.process_faults import LabProcessFaults
from cluster.substrates.lab.state import STATE, disk_of
from cluster.substrates.lab.wan import LabWan
from cluster.topology.model import Topology, socket_folder
from cluster.topology.wan import LinkQuality

DISKS = "mode=0755,size=75%"
"""Of the tmpfs with the hosts' disks: more than the half of memory that the kernel gives by itself,
for a warehouse of 600,000 patients on three nodes, with its backup, on a machine of 24 GB."""
OPEN_FILES = 256
OPEN_FILES_OF_HOST = 16
"""Of the director: its own, and for each host four to its init, and a connection to what runs there
for each concurrent request."""
EDIT_UNIT = "edit-disk"
"""What the short commands on a host's disk are called, one after another."""
SHARED_MEMORY = Path(MOUNT_SHARED_MEMORY[-1])


class Lab(LabProcessFaults):
    """A raised topology. An async context manager; leaving it ends every host.

    Args:
        topology: what to raise.
        logs: the folder for one log file a process.
        on_exit: called for every end of a unit, expected or not.
    """

    def __init__(
        self, topology: Topology, *, logs: Path, on_exit: Callable[[ProcessExit], None]
    ) -> None:
        self.topology = topology
        self.python = sys.executable
        self._logs = logs
        self.console: AsyncNetworkBackend = LabConsoles()
        self._addresses = network.addresses(topology)
        self._clocks = LabClocks(topology)
        self._hosts = {
            host.name: LabHost(
                host.name,
                disk=disk_of(host.name),
                logs=logs,
                on_exit=on_exit,
                environment=self._clocks.environment(host.name),
            )
            for host in topology.hosts
        }
        self._disks = {
            host.name: LayeredDisk(
                self._hosts[host.name],
                folder=disk_of(host.name),
                control=STATE / f"{host.name}.disk",
                logs=logs,
            )
            for host in topology.hosts
            if host.disk == "layered"
        }
        self._cut_sites: set[str] = set()
        self._pulled: set[str] = set()
        """Hosts whose cable is pulled."""
        self._filter = PacketFilter(topology)
        self._named_ports = anyio.Lock()
        self._flaps = Flaps(self._silence, lambda host: self.pass_packets(_flap_of(host)))
        self._wan = LabWan(topology, logs=logs, on_exit=on_exit)
        self._tasks: anyio.abc.TaskGroup = anyio.create_task_group()

    async def __aenter__(self) -> Lab:
        """Raise it.

        Raises:
            LabError: the kernel refused something, or the logs or Python are in ``/dev/shm``,
                or the limit of open files is too low.
            HostError: a host did not come up.
            PrerequisiteError: a host has a disk or a clock that this machine lacks something for.
        """
        check_disks(self.topology)
        check_clocks(self.topology)
        check_visible(self._logs, Path(sys.prefix))
        allow_open_files(OPEN_FILES + OPEN_FILES_OF_HOST * len(self._hosts))
        await network.run(["mount", "-t", "tmpfs", "-o", DISKS, "tmpfs", "/run"])
        await network.run(list(MOUNT_SHARED_MEMORY))
        for host in self._hosts:
            self.data_folder(host).mkdir(parents=True, mode=0o700)
            socket_folder(self.data_folder(host), self.topology.host(host)).mkdir(exist_ok=True)
        await network.build_network(self.topology)
        await self._tasks.__aenter__()
        self._clocks.open(self._tasks)
        await self._wan.open(self._tasks)
        async with anyio.create_task_group() as starts:
            for machine in self._hosts.values():
                starts.start_soon(self._power_on, machine)
        return self

    async def _power_on(self, machine: LabHost) -> None:
        """Start a host, and mount its disk."""
        await machine.start(self._tasks)
        if machine.name in self._disks:
            await self._disks[machine.name].mount()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        self._flaps.cancel()
        self._clocks.close()
        for host in self._hosts.values():
            host.power_off()
        try:
            with anyio.CancelScope(shield=True):
                for host in self._hosts.values():
                    await host.wait_down()
                await self._wan.close()
        except ClusterError as failed:
            kind, error, traceback = type(failed), failed, failed.__traceback__
        return await self._tasks.__aexit__(kind, error, traceback)

    def address(self, host: str) -> str:
        """The host's address on its site's network."""
        return self._addresses[host]

    def data_folder(self, host: str) -> Path:
        """The host's disk."""
        return disk_of(host)

    async def start_unit(self, host: str, unit: Process) -> None:
        """Start a process on a host."""
        await self._hosts[host].start_unit(unit)

    async def feed_unit(self, host: str, unit: str, text: str) -> None:
        """Give a process that was started with ``is_fed`` its standard input."""
        await self._hosts[host].feed_unit(unit, text)

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
        """Power on, no unit running; link up, unless its cable is pulled."""
        await self._power_on(self._hosts[host])
        await network.set_link(self.topology, host, up=host not in self._pulled)

    async def cut_link(self, host: str) -> None:
        """Pull the host's cable."""
        self._pulled.add(host)
        await network.set_link(self.topology, host, up=False)

    async def heal_link(self, host: str) -> None:
        """Plug it in again. A host without power stays silent: its kernel, which is ours, would
        answer for it."""
        self._pulled.discard(host)
        await network.set_link(self.topology, host, up=self._hosts[host].is_up)

    async def cut_site(self, site: str) -> None:
        """Cut a site off from all others; within it everything goes on."""
        self._cut_sites.add(site)
        await network.set_cuts(self.topology, self._cut_sites)

    async def heal_site(self, site: str) -> None:
        """Join it again with those that are not cut off themselves."""
        self._cut_sites.discard(site)
        await network.set_cuts(self.topology, self._cut_sites)

    async def drop_packets(self, name: str, rules: Sequence[DropRule]) -> None:
        """Have the routers drop what these rules say."""
        await self._filter.drop(name, rules)

    async def pass_packets(self, name: str) -> None:
        """Lift the rules of this name."""
        await self._filter.lift(name)

    async def count_arrivals(
        self, sent: Sequence[PacketProbe], *, timeout_s: float
    ) -> tuple[int, ...]:
        """Send test packets; how many of each arrived. Those to named ports take turns: a port
        has one receiver."""
        async with self._named_ports if any(one.port for one in sent) else nullcontext():
            return await anyio.to_thread.run_sync(
                probes.count_arrivals, sent, self.address, timeout_s
            )

    async def flap_link(self, host: str, *, down_s: float, up_s: float) -> None:
        """Let a host's link flap. Its router drops what would pass: the port stays up, so that the
        flapping changes nothing of a cut or a power cut beside it."""
        await self._flaps.begin(self._tasks, host, down_s=down_s, up_s=up_s)

    async def steady_link(self, host: str) -> int:
        """End it; how often the link was out."""
        return await self._flaps.end(host)

    async def _silence(self, host: str) -> None:
        rules = (DropRule(sources=(host,)), DropRule(targets=(host,)))
        await self.drop_packets(_flap_of(host), rules)

    async def disturb_links(self, links: Collection[tuple[str, str]], more: LinkQuality) -> None:
        """Make links between sites worse than they are."""
        await self._wan.disturb(links, more)

    async def restore_links(self, links: Collection[tuple[str, str]], more: LinkQuality) -> None:
        """Take that away again."""
        await self._wan.restore(links, more)

    async def measure_links(self, links: Collection[tuple[str, str]]) -> tuple[LinkSeen, ...]:
        """Echoes from router to router."""
        return await self._wan.measure(links)

    async def kill_process(self, host: str, process: str, signal: int) -> int:
        """Signal a unit, or the postmaster (``postgres``), by its pid on the host.

        Raises:
            HostError: no such process runs there.
        """
        machine = self._hosts[host]
        if process != "postgres" and signal == SIGKILL:
            return await machine.kill_unit(process)
        pid = self._postmaster(host) if process == "postgres" else machine.pid_of(process)
        await machine.signal(pid, signal)
        return pid

    async def halt_unit(self, host: str, unit: str) -> None:
        """SIGKILL of a unit, as asked for; returns once it is gone."""
        await self._hosts[host].halt_unit(unit)

    def runs_unit(self, host: str, unit: str) -> bool:
        """The unit was started there and has not ended."""
        return unit in self._hosts[host].units

    async def edit_disk(self, host: str, argv: Sequence[str], *, stdin: str = "") -> None:
        """Run a short command on a host, as a unit, to its end.

        Raises:
            HostError: it failed; with the words of its log.
        """
        log = self._logs / f"{host}.{EDIT_UNIT}.log"
        edit = Process(name=EDIT_UNIT, argv=tuple(argv), stdin=stdin)
        status = await self._hosts[host].run_unit(edit)
        if status:
            words = f"{argv[0]} on {host} ended with {status}: {log_tail(log)}"
            raise HostError(words, host=host)

    def etcd_restore_tool(self) -> str:
        """One of this machine, which the hosts see at the same path."""
        return str(find_etcd_restore_tool())

    async def break_disk(self, host: str, fault: DiskFault) -> str:
        """Break the disk of a host."""
        return await self._disk(host).strike(fault)

    async def mend_disk(self, host: str, name: DiskFaultName) -> str:
        """Mend the disk of a host."""
        return await self._disk(host).mend(name)

    async def tear_page(self, host: str) -> str:
        """Tear a page on the disk of a host."""
        return await self._disk(host).tear()

    async def shift_clock(self, host: str, shift: ClockShift) -> None:
        """Put the clock of a host wrong."""
        self._clocks.shift(host, shift)

    async def restore_clock(self, host: str, shift: ClockShift) -> None:
        """Take that away again."""
        self._clocks.restore(host, shift)

    def clock_offset_s(self, host: str) -> float:
        """By how much the clock of a host is ahead."""
        return self._clocks.offset_s(host)

    async def sync_disks(self) -> None:
        """Put onto the disks what is only in memory."""
        for disk in self._disks.values():
            await disk.sync()

    def _disk(self, host: str) -> LayeredDisk:
        """The disk of a host.

        Raises:
            HostError: it is an ordinary folder.
        """
        if host not in self._disks:
            words = f'the disk of {host} cannot be broken: in the topology it is not "layered"'
            raise HostError(words, host=host)
        return self._disks[host]

    def _postmaster(self, host: str) -> int:
        """The postmaster's pid on its host, from its pid file (PostgreSQL manual, 65.1)."""
        try:
            return int(
                (self.data_folder(host) / "pgdata" / "postmaster.pid").read_text().split()[0]
            )
        except (OSError, ValueError, IndexError) as error:
            raise HostError(f"PostgreSQL does not run on {host}", host=host) from error


def _flap_of(host: str) -> str:
    """The name of the rules of a flapping link."""
    return f"flapping link of {host}"


def allow_open_files(needed: int) -> None:
    """Let this process open that many files, if it may not yet.

    Raises:
        LabError: the hard limit is below.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise LabError(
            f"a lab of this size opens up to {needed} files, and this process may open {hard}: "
            f"raise the limit (ulimit -Hn {needed}), or take a smaller topology"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def check_visible(*folders: Path) -> None:
    """Every host has a ``/dev/shm`` of its own: what is in the machine's cannot be seen there.

    Raises:
        LabError: a folder is in it.
    """
    for folder in folders:
        if folder.resolve().is_relative_to(SHARED_MEMORY):
            raise LabError(
                f"{folder} is in {SHARED_MEMORY}, which every host of the lab has for itself: "
                "keep it in another folder"
            )
