"""What is ours: all that we make carries labels, and only what carries them is removed.

The label ``org.bascule.keeper`` names the process that keeps a project: when that process is gone
and the project is not, it was left behind (by ``kill -9`` or a power cut), and may go.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from cluster.errors import EngineError
from cluster.substrates.docker import client as docker
from cluster.substrates.docker import images
from cluster.substrates.docker.labels import DRILL, KEEPER, NOBODY, OWNER, RUN, TESTING
from cluster.substrates.owner import is_gone

REMOVE_TIMEOUT_S = 120.0
DEADLINE_S = 30.0
"""How long to retry the removal of what stays or appears again."""
SWEEP_DEADLINE_S = 10.0
"""Of what others have left; they may be removing it, too."""
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
    """A container, a network or a volume of a drill, or of a cluster for tests."""

    kind: str
    name: str
    run: str
    keeper: str
    owner: str = DRILL


def things(run: str | None = None) -> list[Thing]:
    """What there is of one run, or of all.

    Raises:
        EngineError: the engine does not answer.
    """
    found = []
    ours = f"label={RUN}" if run is None else f"label={RUN}={run}"
    for kind, listing in KINDS.items():
        name = "{{.Names}}" if kind == "container" else "{{.Name}}"
        columns = "\t".join([name, *(f'{{{{.Label "{one}"}}}}' for one in (RUN, KEEPER, OWNER))])
        lines = docker.run_now([*listing, "--filter", ours, "--format", columns])
        for line in lines.splitlines():
            thing, its_run, keeper, owner = line.split("\t")
            found.append(Thing(kind=kind, name=thing, run=its_run, keeper=keeper, owner=owner))
    return found


def remove_run(
    run: str, *, pause_s: float = PAUSE_S, deadline_s: float | None = None
) -> list[Thing]:
    """Remove everything of one run, until two looks in a row find nothing; what there was.

    Args:
        run: the id of the drill.
        pause_s: between the two looks; ``SETTLE_S`` where a client was killed, whose work may still
            appear.
        deadline_s: how long to retry the removal of what stays; ``DEADLINE_S`` if None.

    Raises:
        EngineError: something could not be removed; it is named.
    """
    removed: list[Thing] = []
    end_s = time.monotonic() + (DEADLINE_S if deadline_s is None else deadline_s)
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
            except EngineError as error:  # another process may be removing them too
                words = str(error)
    return words


def sweep(stays: Callable[[str], object] | None = None) -> list[Thing]:
    """Remove what runs left behind whose keeper is gone; what there was, and is gone now.

    What was kept before this machine came up goes only if the engine is on this machine: else its
    keeper may live on the engine's.

    Args:
        stays: told of each run of which something could not be removed, in words: one such network
            (moby issue 43286) must not be in the way of every drill. None: it is an error, once
            the others are removed.

    Raises:
        EngineError: the engine does not answer.
    """
    found = [thing for thing in things() if thing.run]
    left = {thing.run for thing in found if is_gone(thing.keeper)}
    elder = {thing.run for thing in found if is_gone(thing.keeper, same_machine=True)} - left
    if elder and images.is_engine_here():
        left |= elder
    removed, refusals = [], []
    for run in sorted(left):
        try:
            removed += remove_run(run, deadline_s=min(SWEEP_DEADLINE_S, DEADLINE_S))
        except EngineError as error:
            refusals.append(str(error))
    if refusals and stays is None:
        raise EngineError("\n".join(refusals))
    for words in refusals:
        assert stays is not None
        stays(words)
    return removed


def kept_runs() -> list[str]:
    """The clusters for tests that are kept to be used again.

    Raises:
        EngineError: the engine does not answer.
    """
    return sorted({one.run for one in things() if one.owner == TESTING and one.keeper == NOBODY})
