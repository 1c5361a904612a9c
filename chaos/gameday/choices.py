"""From a test's options to a topology and a substrate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from chaos.gameday.errors import OptionError
from chaos.gameday.handle import Backend
from chaos.gameday.requests import Mode
from cluster.topology.load import find_topology
from cluster.topology.model import Topology

TOPOLOGY_OF_SITES: Mapping[int, str] = {3: "three-sites", 2: "two-sites-witness"}
MODES: tuple[Mode, ...] = get_args(Mode)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Options that only one of the backends has."""

    reuse: bool = False
    tenant: str = ""
    """With ``reuse``: for whom a cluster is kept."""
    pg_bindir: Path | None = None


def choose_topology(sites: int, topology: str | Path | Topology | None) -> Topology:
    """The topology that was asked for, else the built-in one with that many sites.

    Raises:
        OptionError: there is none with that many sites.
        TopologyError: there is none of that name, or it is wrong.
    """
    if isinstance(topology, Topology):
        return topology
    if topology is not None:
        return find_topology(str(topology))
    if sites not in TOPOLOGY_OF_SITES:
        known = " or ".join(str(number) for number in sorted(TOPOLOGY_OF_SITES))
        words = f"sites={sites}: expected {known}; for others give a topology"
        raise OptionError(f"{words} (docs/use/topologies.md)")
    return find_topology(TOPOLOGY_OF_SITES[sites])


def choose_backend(mode: str, topology: Topology, settings: Settings) -> Backend:
    """What the cluster will stand on; nothing is started.

    Raises:
        OptionError: the mode does not exist, or cannot do what the settings ask for.
    """
    # Each is imported where it is asked for: the lab must not need Docker's client.
    if mode == "lab":
        from chaos.gameday.lab_handle import LabBackend  # noqa: PLC0415

        if settings.reuse:
            raise OptionError("reuse=True: only mode='docker' can; a lab ends with its owner")
        return LabBackend(topology, pg_bindir=settings.pg_bindir)
    if mode == "docker":
        from chaos.gameday.docker_handle import DockerBackend  # noqa: PLC0415

        return DockerBackend(topology, reuse=settings.reuse, tenant=settings.tenant)
    raise OptionError(f"there is no mode {mode!r}; there are {', '.join(MODES)}")
