"""Containers as a kind of substrate: a compose project of this machine's engine."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from cluster.errors import TopologyError
from cluster.substrates.docker.beside import is_beside, run_beside
from cluster.substrates.docker.images import prepare_images
from cluster.substrates.docker.leftovers import sweep
from cluster.substrates.docker.look import how_to_look, way_in
from cluster.substrates.docker.prerequisites import check_engine
from cluster.substrates.docker.project import problems_of_containers
from cluster.substrates.docker.raiser import ContainerRaiser
from cluster.substrates.kind import ONE_MACHINE, Place, Say, SubstrateKind, versions_here
from cluster.topology.model import Topology


def check_topology(topology: Topology) -> None:
    """Refuse what containers cannot be.

    Raises:
        TopologyError: a host would be more than one container.
    """
    if problems := tuple(problems_of_containers(topology)):
        raise TopologyError(f"{topology.name} on containers", problems)


def prepare(pg_bindir: Path | None, say: Say) -> Place:
    """Containers of this machine's engine.

    Args:
        pg_bindir: None; the images have PostgreSQL.
        say: told of what takes long, and of what an earlier drill left behind.

    Raises:
        PrerequisiteError: there is no engine, or none that is fit, or an image is missing.
    """
    engine = check_engine()
    remove_left(say)
    say("building the images; quick when nothing has changed")
    images = prepare_images()
    run = f"drill-{secrets.token_hex(4)}"
    # The source may change while the drill runs: it keeps to the images that it began with.
    these = ["env", *(f"{name}={tag}" for name, tag in images.variables.items())]
    return Place(
        enter=lambda command, started, fds: run_beside(
            [*these, *command], run=run, started=started, pass_fds=fds
        ),
        options=(run,),
        substrate={
            "data": engine.storage,
            "engine": engine.version,
            "compose": engine.compose,
            **{f"image {short}": id_ for short, id_ in images.ids.items()},
        },
        versions={**versions_here(), **images.versions, "bascule": version("bascule")},
    )


def remove_left(say: Say) -> None:
    """Remove what drills have left whose processes were killed.

    Raises:
        EngineError: the engine does not answer.
    """
    if left := len(sweep(say)):
        leftovers = "1 leftover" if left == 1 else f"{left} leftovers"
        say(f"removed {leftovers} (containers, networks, volumes) of a drill that was killed")


def make_raiser(folder: Path, options: Sequence[str]) -> ContainerRaiser:
    """Raises the sites; ``options``: the id of the drill."""
    [run] = options
    return ContainerRaiser(folder, run)


COMPOSE = SubstrateKind(
    key="compose",
    sites="containers (docs/operate/compose.md)",
    own_postgres="containers have PostgreSQL in their image",
    check_topology=check_topology,
    prepare=prepare,
    raiser=make_raiser,
    how_to_look=how_to_look,
    has_sites=is_beside,
    way_in=way_in,
    remove_left=remove_left,
    limits=(
        "The hosts were containers of one engine on one kernel. A cut link took the host's "
        "interfaces away: a client that opened a connection to it was told after about 3 s that "
        "no host has its address (ARP); between real sites there may be silence for much longer. "
        "Sites shared one WAN network.",
        ONE_MACHINE,
    ),
)
