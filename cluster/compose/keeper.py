"""What is ours: all that a drill makes carries labels, and only what carries them is removed.

The label ``org.bascule.keeper`` names the process that keeps a project: when that process is gone
and the project is not, it was left behind (by ``kill -9`` or a power cut), and may go.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from cluster.compose import docker, images
from cluster.compose.labels import DRILL, KEEPER, OWNER, RUN
from cluster.errors import EngineError
from cluster.processes import is_gone

REMOVE_TIMEOUT_S = 120.0
DEADLINE_S = 30.0
"""How long what does not go, or comes anew, is removed again."""
PAUSE_S = 0.2
SETTLE_S = 2.0
"""An engine goes on with what a killed client asked for; on a loaded machine for about a second."""
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


def remove_run(run: str, *, pause_s: float = PAUSE_S) -> list[Thing]:
    """Remove everything of one run, until two looks in a row find nothing; what there was.

    Args:
        run: the id of the drill.
        pause_s: between the two looks; ``SETTLE_S`` where a client was killed, whose work may still
            appear.

    Raises:
        EngineError: something could not be removed; it is named.
    """
    removed: list[Thing] = []
    end_s = time.monotonic() + DEADLINE_S
    empty_looks = 0
    words = ""
    while empty_looks < 2:
        if there := things(run):
            if time.monotonic() > end_s:
                names = [f"{thing.kind} {thing.name}" for thing in there]
                raise EngineError(f"could not be removed: {', '.join(names)}\n{words}")
            words = _remove(there)
            removed += [thing for thing in there if thing not in removed]
            empty_looks = 0
            if words:
                time.sleep(PAUSE_S)
        else:
            empty_looks += 1
            if empty_looks < 2:
                time.sleep(pause_s)
    return removed


def _remove(there: list[Thing]) -> str:
    """Remove things, as far as the engine does; its last words if it did not."""
    words = ""
    for kind, removal in REMOVALS.items():
        if names := [thing.name for thing in there if thing.kind == kind]:
            try:
                docker.run_now([*removal, *names], timeout_s=REMOVE_TIMEOUT_S)
            except EngineError as error:  # somebody else may be removing them too
                words = str(error)
    return words


def sweep() -> list[Thing]:
    """Remove what runs left behind whose keeper is gone; what there was.

    What was kept before this machine came up goes only if the engine is on this machine: else its
    keeper may live on the engine's.

    Raises:
        EngineError: the engine does not answer, or does not remove it.
    """
    found = [thing for thing in things() if thing.run]
    left = {thing.run for thing in found if is_gone(thing.keeper)}
    elder = {thing.run for thing in found if is_gone(thing.keeper, same_machine=True)} - left
    if elder and images.is_engine_here():
        left |= elder
    return [thing for run in sorted(left) for thing in remove_run(run)]
