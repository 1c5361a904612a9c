"""A kind of substrate: the value that a drill, the command line and a report use.

Each substrate has one value of ``SubstrateKind`` in its own folder, and ``registry`` one line for
it. Code elsewhere never asks which substrate it is.
"""

from __future__ import annotations

import platform
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from cluster.raised import RaisedCluster
from cluster.substrates.raiser import Raiser
from cluster.topology.model import Topology

Enter = Callable[
    [list[str], Callable[[int], object], Sequence[int]], tuple[int, signal.Signals | None]
]
"""Runs a command at the place, tells its pid, and has it inherit descriptors; the exit code, and
the signal that stopped it. A command may be given ``--lifeline FD`` at its end."""
Say = Callable[[str], object]
HowToLook = Callable[[RaisedCluster, Path], list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What somebody wants to run inside of sites that are up."""

    pid: int
    """Of the process that has the sites."""
    folder: Path
    """The run folder."""
    topology: Topology
    host: str
    command: tuple[str, ...]
    access: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Variables that let ``psql`` in, where they are known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WayIn:
    """The command that does it."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Joins the caller's."""


ONE_MACHINE = (
    "All sites ran on one machine. They share its processors and one clock: times of different "
    "sites can be compared, but rates say little about real hardware."
)
"""For ``SubstrateKind.limits``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A place that is fit for one drill."""

    enter: Enter
    options: tuple[str, ...]
    """For ``SubstrateKind.raiser``, in the process that is entered."""
    substrate: Mapping[str, str]
    """What ``run.json`` says of it beside its name: ``data``, versions."""
    versions: Mapping[str, str]
    """Of the programs that take part."""
    warnings: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class SubstrateKind:
    """One kind of substrate."""

    key: str
    """The word for ``--substrate``; ``run.json`` calls it so."""
    sites: str
    """What its sites are, for ``--help``."""
    own_postgres: str = ""
    """Why ``--pg-bindir`` cannot choose the programs of PostgreSQL; empty where it does."""
    check_topology: Callable[[Topology], object] = lambda topology: None
    """Raises TopologyError for one that it cannot raise."""
    check_folder: Callable[[Path], object] = lambda folder: None
    """Raises ClusterError for a run folder that its hosts would not see."""
    prepare: Callable[[Path | None, Say], Place]
    """Makes sure that a drill can begin: given ``--pg-bindir``, and told of what takes long. Raises
    PrerequisiteError, with the remedy, before anything is begun."""
    raiser: Callable[[Path, Sequence[str]], Raiser]
    """For the run folder, with the options of the place."""
    how_to_look: HowToLook
    """What to tell a user whose cluster stays up; given the run folder."""
    wan: Callable[[Topology], str] = lambda topology: "no delay"
    """What ``run.json`` says of the links between its sites."""
    has_sites: Callable[[int], bool]
    """Whether the process of this pid has sites of this kind, and is not one that got the pid
    later."""
    way_in: Callable[[Visit], WayIn]
    """Leads into them. Raises ClusterError where the host cannot be entered; says why."""
    remove_left: Callable[[Say], object] = lambda say: None
    """Removes what is left where every process of a drill was killed; empty where the kernel does.
    Raises ClusterError."""
    limits: tuple[str, ...] = ()
    """What no run on it can prove, in sentences for the report."""


def versions_here() -> dict[str, str]:
    """Of this process and its machine."""
    found = {
        "psycopg": version("psycopg"),
        "python": platform.python_version(),
        "kernel": platform.release(),
    }
    with suppress(OSError):
        found["system"] = platform.freedesktop_os_release()["PRETTY_NAME"]
    return found
