"""What the engine has of us, and a drill's own things: for tests that look for leftovers."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from cluster.substrates.docker.leftovers import Thing, things

ENGINE_TIMEOUT_S = 120.0


def docker(*arguments: str) -> str:
    """``docker ARGUMENTS``; what it printed. AssertionError when it failed."""
    done = subprocess.run(
        ["docker", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=ENGINE_TIMEOUT_S,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_of(folder: Path) -> str:
    """The id of the drill whose run folder this is; empty while it has no project."""
    path = folder / "compose.yml"
    if not path.exists():
        return ""
    try:
        name = str(json.loads(path.read_text())["name"])
    except ValueError:
        return ""
    return name.removeprefix("bascule-")


def things_of(folder: Path) -> list[Thing]:
    """The containers, networks and volumes of the drill whose run folder this is."""
    run = run_of(folder)
    return things(run) if run else []


def nothing_left(folder: Path) -> Callable[[], bool]:
    """A condition: the engine has nothing of this drill."""
    return lambda: not things_of(folder)
