"""What a substrate is, and what can be done to it: the seam between a drill and its machines.

A substrate raises the hosts of a topology and runs processes on them. What it can break, it
declares by the protocols below; a drill that needs more is refused before it starts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from httpcore import AsyncNetworkBackend

from cluster.topology.model import Topology


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A process to run on a host. ``secrets`` join its environment and are never written down."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    stdin: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitExit:
    """A unit ended. ``status`` is its exit code, or minus the signal; ``expected`` says whether it
    was asked to, or went down with its host."""

    host: str
    unit: str
    status: int
    expected: bool
    t_s: float


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

    async def start_unit(self, host: str, unit: Unit) -> None:
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


ABILITIES: Mapping[str, type] = {
    "kill-host": Killable,
    "cut-link": Cuttable,
    "cut-site": SiteCuttable,
    "kill-process": ProcessKillable,
}


def missing_abilities(substrate: object, needed: Sequence[str]) -> list[str]:
    """Those of ``needed`` (keys of ``ABILITIES``) that the substrate does not have."""
    return [name for name in needed if not isinstance(substrate, ABILITIES[name])]
