"""The lab as a kind of substrate: namespaces of this machine, no root, no engine."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from cluster.binaries import Binaries, find_binaries, proxy_versions
from cluster.raised import RaisedCluster
from cluster.substrates.kind import ONE_MACHINE, Place, Say, SubstrateKind, versions_here
from cluster.substrates.lab.clocks import check_clocks
from cluster.substrates.lab.disk.prerequisites import check_disks
from cluster.substrates.lab.enter import run_sealed
from cluster.substrates.lab.lab import check_visible
from cluster.substrates.lab.look import how_to_look, is_lab, leave_passwords, way_in
from cluster.substrates.lab.prerequisites import check_prerequisites
from cluster.substrates.lab.raiser import LabRaiser
from cluster.topology.model import Topology


def prepare(pg_bindir: Path | None, say: Say) -> Place:
    """A lab of this machine.

    Raises:
        PrerequisiteError: this machine lacks something; nothing was begun.
    """
    check_prerequisites()
    binaries = find_binaries(pg_bindir)
    return Place(
        enter=lambda command, started, fds: run_sealed(command, started=started, pass_fds=fds),
        options=(str(binaries.pg_bindir),),
        substrate={"data": "tmpfs"},
        versions=lab_versions(binaries),
        warnings=binaries.warnings,
    )


def check_hosts(topology: Topology) -> None:
    """Whether this machine has what the hosts of a topology need.

    Raises:
        PrerequisiteError: it lacks something; with the remedy.
    """
    check_disks(topology)
    check_clocks(topology)
    proxy_versions(topology)


def lab_versions(binaries: Binaries) -> dict[str, str]:
    """Of everything that takes part in a lab."""
    return {
        "bascule": version("bascule"),
        "postgresql": binaries.postgres.version,
        "patroni": version("patroni"),
        "etcd": binaries.etcd.version,
        **versions_here(),
    }


def make_raiser(folder: Path, options: Sequence[str]) -> LabRaiser:
    """Raises the sites; ``options``: the folder with PostgreSQL's programs."""
    [pg_bindir] = options
    return LabRaiser(find_binaries(Path(pg_bindir)), folder)


def show_in(cluster: RaisedCluster, folder: Path) -> list[str]:
    """Let ``psql`` in, and say how to get there."""
    leave_passwords(cluster.credentials, cluster.substrate.topology)
    return how_to_look(folder, cluster.substrate.topology)


LAB = SubstrateKind(
    key="lab",
    sites="namespaces of this machine",
    check_topology=check_hosts,
    check_folder=check_visible,
    prepare=prepare,
    raiser=make_raiser,
    how_to_look=show_in,
    has_sites=is_lab,
    way_in=way_in,
    wan=lambda topology: topology.wan.in_words(site.name for site in topology.sites),
    limits=(ONE_MACHINE,),
)
