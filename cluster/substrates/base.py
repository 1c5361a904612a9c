"""What a substrate is, and what can be done to it: the interface between a drill and its machines.

A substrate raises the hosts of a topology and runs processes on them. What it can break, it
declares by the protocols below; a drill that needs more is refused before it starts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from httpcore import AsyncNetworkBackend

from cluster.substrates.disk import DiskFault, DiskFaultName
from cluster.topology.model import Topology
from cluster.topology.wan import LinkQuality


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process to run on a host. ``secrets`` join its environment and are never written down."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    stdin: str | None = field(default=None, repr=False)
    is_fed: bool = False
    """Its standard input comes later (``Feedable``); ``stdin`` is None then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessExit:
    """A process ended. ``unit`` is its name; ``status`` its exit code, or minus the signal;
    ``expected`` says whether it was asked to, or went down with its host."""

    host: str
    unit: str
    status: int
    expected: bool
    t_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HostProcess:
    """A process of a host, as its ``/proc`` shows it (proc(5)); both pids are the host's."""

    pid: int
    parent: int
    state: str
    """``T``: every thread of it is stopped; ``Z``: it has ended, and was not reaped yet; else the
    state of a thread that goes on."""
    resident_kb: int
    command: str
    """Its command line, or what it has made of it."""


class Substrate(Protocol):
    """Hosts that are up, and processes on them."""

    @property
    def topology(self) -> Topology:
        """What was raised."""
        ...

    @property
    def console(self) -> AsyncNetworkBackend:
        """Connects to a port on a host's loopback, also while its links are cut."""
        ...

    @property
    def python(self) -> str:
        """The Python of the clients' hosts that has this project's packages."""
        ...

    def address(self, host: str) -> str:
        """What the other hosts reach the host by, on the sites' network: a name or an address."""
        ...

    def data_folder(self, host: str) -> Path:
        """Where the host's processes keep their data; outlives a power cut."""
        ...

    async def start_unit(self, host: str, unit: Process) -> None:
        """Start a process; returns when it has been started, not when it is ready."""
        ...

    async def stop_unit(self, host: str, unit: str, *, timeout_s: float) -> int:
        """SIGTERM, wait, SIGKILL after ``timeout_s``; returns the exit status."""
        ...

    async def wait_unit(self, host: str, unit: str) -> int:
        """Wait until a process ends by itself, which is expected of it; its exit status."""
        ...


@runtime_checkable
class Killable(Protocol):
    """Hosts can lose their power, and get it back."""

    async def kill_host(self, host: str) -> None:
        """Power cut: everything on the host ends in one moment, and no packet of it gets out."""
        ...

    async def start_host(self, host: str) -> None:
        """Power on: the host is up again, with its disk and without its processes."""
        ...

    def has_power(self, host: str) -> bool:
        """Its power was not cut, or is back."""
        ...


@runtime_checkable
class Cuttable(Protocol):
    """The link of a host can be cut."""

    async def cut_link(self, host: str) -> None:
        """Pull the cable: packets vanish, both sides see only silence."""
        ...

    async def heal_link(self, host: str) -> None:
        """Plug it in again."""
        ...


@runtime_checkable
class SiteCuttable(Protocol):
    """A site can be cut off from all others."""

    async def cut_site(self, site: str) -> None:
        """Between the site and the others packets vanish; within it everything goes on."""
        ...

    async def heal_site(self, site: str) -> None:
        """Join it again."""
        ...


@runtime_checkable
class ProcessKillable(Protocol):
    """Single processes of a host can be killed or stopped."""

    async def kill_process(self, host: str, process: str, number: int, /) -> int:
        """Signal a unit, or ``postgres`` (the postmaster), with ``number``; its pid on the host.

        After SIGKILL it returns once the process is gone.

        Raises:
            ClusterError: no such process runs there.
        """
        ...


@runtime_checkable
class ProcessSteerable(Protocol):
    """The processes of a host can be seen, and signalled one by one or all at once."""

    def has_power(self, host: str) -> bool:
        """Its power was not cut."""
        ...

    async def processes(self, host: str) -> tuple[HostProcess, ...]:
        """Every process of the host but its first, which is ours; none where it has no power."""
        ...

    async def signal_processes(self, host: str, pids: Sequence[int], number: int, /) -> None:
        """Signal these processes; one that has ended meanwhile is passed over.

        Raises:
            ClusterError: the host has no power.
        """
        ...

    async def signal_all_processes(self, host: str, number: int, /) -> None:
        """Signal every process of the host but its first, in one moment (kill(2), pid -1).

        Raises:
            ClusterError: the host has no power.
        """
        ...


@runtime_checkable
class Feedable(Protocol):
    """A process can be started before it is known what it finds on its standard input."""

    async def feed_unit(self, host: str, unit: str, text: str) -> None:
        """Give a process that was started with ``is_fed`` its standard input, all of it.

        Raises:
            ClusterError: it does not run, or was given it before.
        """
        ...


@runtime_checkable
class CrashLoopable(Protocol):
    """PostgreSQL of a host can be killed again and again, by a process of that host."""

    async def start_crash_loop(self, host: str, every_s: float, times: int | None, /) -> None:
        """Kill the postmaster, and each new one, until told otherwise; it ends with the power.

        Args:
            host: whose PostgreSQL.
            every_s: the least time between two kills.
            times: how many kills; None: no limit.
        """
        ...

    async def crashes(self, host: str) -> int:
        """How often it has killed since it was started."""
        ...

    async def stop_crash_loop(self, host: str) -> None:
        """End it; no effect where there is none."""
        ...


@runtime_checkable
class Wipeable(Protocol):
    """A host can lose PostgreSQL's data."""

    async def wipe_data(self, host: str) -> None:
        """Delete PostgreSQL's data folder; it is gone on return.

        Raises:
            ClusterError: the host has power, or the data is there still.
        """
        ...


@runtime_checkable
class Haltable(Protocol):
    """The services of a host can be ended, one by one, and do not come back by themselves."""

    async def halt_unit(self, host: str, unit: str) -> None:
        """SIGKILL, which is expected of whoever asks; returns once the unit is gone, at once if it
        does not run. ``Services.start`` starts it again."""
        ...

    def runs_unit(self, host: str, unit: str) -> bool:
        """The unit was started there and has not ended."""
        ...


@runtime_checkable
class DiskEditable(Protocol):
    """The disk of a host can be worked on, whether its services run or not."""

    async def edit_disk(self, host: str, argv: Sequence[str], *, stdin: str = "") -> None:
        """Run a short command on the host, as the user of its services, to its end.

        Args:
            host: it has power.
            argv: the command; paths are those that the host sees.
            stdin: what the command finds on its standard input.

        Raises:
            ClusterError: the command failed; with its words.
        """
        ...


@runtime_checkable
class DcsRestorable(Protocol):
    """The hosts have a program that makes a member's data out of a snapshot of etcd."""

    def etcd_restore_tool(self) -> str:
        """``etcdutl`` or ``etcdctl``, as the hosts find it.

        Raises:
            ClusterError: there is neither.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DropRule:
    """Packets that vanish on their way from one host to another. An empty tuple means any.

    A packet must meet all of it. What stays on its own host is not on its way, and never vanishes.
    """

    sources: tuple[str, ...] = ()
    """The hosts that send them. Sources, targets or both must be named."""
    targets: tuple[str, ...] = ()
    """The hosts that they are for."""
    ports: tuple[int, ...] = ()
    """They come from one of these ports or go to one (TCP, UDP): so a connection to a service loses
    what is asked and what is answered."""
    percent: float = 100.0
    """How many of them vanish, drawn at random: 0.1 to 100."""


@runtime_checkable
class Filterable(Protocol):
    """Chosen packets between hosts can be dropped, in silence: nobody is told."""

    async def drop_packets(self, name: str, rules: Sequence[DropRule], /) -> None:
        """Put rules in force, all at once and beside those of other names; in place of those that
        this name had."""
        ...

    async def pass_packets(self, name: str, /) -> None:
        """Lift the rules of this name, if there are any."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketProbe:
    """Test packets from one host to another."""

    source: str
    target: str
    port: int = 0
    """They go to this UDP port; 0: to one that the kernel chooses."""
    packets: int = 1


@runtime_checkable
class Probing(Protocol):
    """Hosts can send each other test packets."""

    async def count_arrivals(
        self, probes: Sequence[PacketProbe], /, *, timeout_s: float
    ) -> tuple[int, ...]:
        """Send them; how many of each arrived within ``timeout_s``. Returns sooner when all have.

        A host that cannot send, for want of power or of a link, sends none: that is no error.
        """
        ...


@runtime_checkable
class Flappable(Protocol):
    """The link of a host can flap."""

    async def flap_link(self, host: str, /, *, down_s: float, up_s: float) -> None:
        """Pull the cable for ``down_s``, plug it in for ``up_s``, and so on; returns once it is out
        for the first time. Ends with ``steady_link``, or with the substrate at the latest."""
        ...

    async def steady_link(self, host: str, /) -> int:
        """End it with the cable in; how often it was out. Idempotent."""
        ...


@runtime_checkable
class DiskBreakable(Protocol):
    """Disks can be broken, of the hosts whose ``disk`` is ``layered``.

    All raise ClusterError: the host has another disk, or it could not be done.
    """

    async def break_disk(self, host: str, fault: DiskFault) -> str:
        """Break it until it is mended, also over a power cut; the proof of it, in words."""
        ...

    async def mend_disk(self, host: str, name: DiskFaultName) -> str:
        """Mend what was broken so, also without power; what it does again, in words."""
        ...

    async def tear_page(self, host: str) -> str:
        """Leave only the first half of a page of a table on the disk; which one, in words."""
        ...

    async def sync_disks(self) -> None:
        """Put onto every such disk what is only in memory, as an idle machine has long done."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockShift:
    """What is wrong with a wall clock."""

    step_s: float = 0.0
    """Seconds that it is ahead at once; below 0: behind."""
    rate: float = 0.0
    """Seconds that it gains in a second; below 0: loses."""


@runtime_checkable
class ClockSettable(Protocol):
    """Wall clocks can be put wrong, of Patroni and PostgreSQL on the hosts whose ``clock`` is
    ``settable``. Clocks that only count (CLOCK_MONOTONIC) go on, as where NTP sets the time.

    All raise ClusterError: the host has another clock.
    """

    async def shift_clock(self, host: str, shift: ClockShift, /) -> None:
        """Put it wrong from now on, on top of what is wrong with it; also over a power cut."""
        ...

    async def restore_clock(self, host: str, shift: ClockShift, /) -> None:
        """Take that away again, in one step; no effect where it is not."""
        ...

    def clock_offset_s(self, host: str) -> float:
        """By how much it is ahead now."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSeen:
    """A link between two sites, as it was measured."""

    between: tuple[str, str]
    asked: LinkQuality
    """What it is to be."""
    carrier: str
    """What carries it."""
    sent: int
    """How many packets were sent; some may be lost."""
    rtts_ms: tuple[float, ...]
    """The round trips of those that came back, the shortest first."""

    @property
    def lost(self) -> int:
        """How many did not come back."""
        return self.sent - len(self.rtts_ms)

    @property
    def median_ms(self) -> float | None:
        """The median round trip; None: nothing came back."""
        return self._rank(0.5)

    @property
    def p95_ms(self) -> float | None:
        """The round trip of 95 in 100, or less."""
        return self._rank(0.95)

    def _rank(self, share: float) -> float | None:
        last = len(self.rtts_ms) - 1
        return self.rtts_ms[round(share * last)] if self.rtts_ms else None

    def __str__(self) -> str:
        name = "-".join(self.between)
        if self.median_ms is None:
            return f"{name}: none of {self.sent} packets came back"
        lost = f", {self.lost} of {self.sent} lost" if self.lost else ""
        return f"{name}: median round trip {self.median_ms:.1f} ms, p95 {self.p95_ms:.1f} ms{lost}"


@runtime_checkable
class Slowable(Protocol):
    """The links between sites can be made slow, unsteady, lossy and narrow; and be measured.

    A link is named by its two sites, in the order of the topology (``Topology.links``).
    """

    async def disturb_links(self, links: Collection[tuple[str, str]], more: LinkQuality, /) -> None:
        """Put a disturbance on top of what the links are (``LinkQuality.worsened``)."""
        ...

    async def restore_links(self, links: Collection[tuple[str, str]], more: LinkQuality, /) -> None:
        """Take it away again; no effect on a link that does not have it."""
        ...

    async def measure_links(self, links: Collection[tuple[str, str]], /) -> tuple[LinkSeen, ...]:
        """Send some packets over each link, and see how long they take."""
        ...
