"""What is ours: all that a drill makes carries labels, and only what carries them is removed.

The label ``org.bascule.keeper`` names the process that keeps a project: when that process is gone
and the project is not, it was left behind (by ``kill -9`` or a power cut), and may go.
"""

from __future__ import annotations

from dataclasses import dataclass

from cluster.compose import docker
from cluster.errors import EngineError
from cluster.living import is_gone

OWNER = "org.bascule.owner"
RUN = "org.bascule.run"
KEEPER = "org.bascule.keeper"
DRILL = "drill"
REMOVE_TIMEOUT_S = 120.0
KINDS = {
    "container": ("ps", "--all"),
    "network": ("network", "ls"),
    "volume": ("volume", "ls"),
}
"""How the things of each kind are listed, in the order in which they can be removed."""
REMOVALS = {
    "container": ("rm", "--force", "--volumes"),
    "network": ("network", "rm"),
    "volume": ("volume", "rm", "--force"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """A container, a network or a volume of a drill."""

    kind: str
    name: str
    run: str
    keeper: str


def labels(run: str, keeper: str) -> dict[str, str]:
    """What everything of a run is labelled with."""
    return {OWNER: DRILL, RUN: run, KEEPER: keeper}


def things(run: str | None = None) -> list[Thing]:
    """What there is of one run, or of all.

    Raises:
        EngineError: the engine does not answer.
    """
    found = []
    ours = f"label={OWNER}={DRILL}" if run is None else f"label={RUN}={run}"
    for kind, listing in KINDS.items():
        name = "{{.Names}}" if kind == "container" else "{{.Name}}"
        columns = f'{name}\t{{{{.Label "{RUN}"}}}}\t{{{{.Label "{KEEPER}"}}}}'
        lines = docker.run_now([*listing, "--filter", ours, "--format", columns])
        for line in lines.splitlines():
            thing, its_run, keeper = line.split("\t")
            found.append(Thing(kind=kind, name=thing, run=its_run, keeper=keeper))
    return found


def remove_run(run: str) -> list[Thing]:
    """Remove everything of one run; what there was.

    Raises:
        EngineError: something could not be removed; it is named.
    """
    removed, words = [], ""
    for kind, removal in REMOVALS.items():
        # Listed anew for each kind: a client that was killed may have left one that is being made.
        there = [thing for thing in things(run) if thing.kind == kind]
        if there:
            names = [thing.name for thing in there]
            try:
                docker.run_now([*removal, *names], timeout_s=REMOVE_TIMEOUT_S)
            except EngineError as error:  # somebody else may be removing them too
                words = str(error)
        removed += there
    if left := things(run):
        names = [f"{thing.kind} {thing.name}" for thing in left]
        raise EngineError(f"could not be removed: {', '.join(names)}\n{words}")
    return removed


def sweep() -> list[Thing]:
    """Remove what runs left behind whose keeper is gone; what there was.

    Raises:
        EngineError: the engine does not answer, or does not remove it.
    """
    left = {thing.run for thing in things() if thing.run and is_gone(thing.keeper)}
    return [thing for run in sorted(left) for thing in remove_run(run)]
