"""Where a drill can be: on the lab or on containers. What each needs, and how it is entered."""

from __future__ import annotations

import platform
import secrets
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from cluster.binaries import Binaries, find_binaries
from cluster.compose.beside import run_beside
from cluster.compose.engine import check_engine
from cluster.compose.images import prepare_images
from cluster.compose.keeper import sweep
from cluster.lab.enter import run_sealed
from cluster.lab.prerequisites import check_prerequisites

SubstrateName = Literal["lab", "compose"]
Enter = Callable[
    [list[str], Callable[[int], object], Sequence[int]], tuple[int, signal.Signals | None]
]
"""Runs a command at the place, tells its pid, and has it inherit descriptors; the exit code, and
the signal that stopped it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A place that is fit for a drill."""

    enter: Enter
    options: tuple[str, ...]
    """For ``chaos.drill.inside``."""
    substrate: Mapping[str, str]
    """What ``run.json`` says of it."""
    versions: Mapping[str, str]
    warnings: tuple[str, ...] = field(default=())


def prepare_lab(pg_bindir: Path | None) -> Place:
    """The lab: namespaces of this machine.

    Raises:
        PrerequisiteError: this machine lacks something; nothing was begun.
    """
    check_prerequisites()
    binaries = find_binaries(pg_bindir)
    return Place(
        enter=lambda command, started, fds: run_sealed(command, started=started, pass_fds=fds),
        options=("--pg-bindir", str(binaries.pg_bindir)),
        substrate={"name": "lab", "wan": "no delay", "data": "tmpfs"},
        versions=lab_versions(binaries),
        warnings=binaries.warnings,
    )


def prepare_compose(say: Callable[[str], object]) -> Place:
    """Containers of this machine's engine.

    Args:
        say: told of what takes long, and of what an earlier drill left behind.

    Raises:
        PrerequisiteError: there is no engine, or none that is fit, or an image is missing.
    """
    engine = check_engine()
    if left := sweep():
        say(f"removed {len(left)} containers, networks and volumes of a drill that was killed")
    say("building the images; quick when nothing has changed")
    images = prepare_images()
    run = secrets.token_hex(4)
    return Place(
        enter=lambda command, _, fds: run_beside(command, run=run, pass_fds=fds),
        options=("--compose", run),
        substrate={
            "name": "compose",
            "wan": "no delay",
            "data": engine.storage,
            "engine": engine.version,
            "compose": engine.compose,
            **{f"image {short}": id_ for short, id_ in images.ids.items()},
        },
        versions={**_versions_here(), **images.versions, "bascule": version("bascule")},
    )


def lab_versions(binaries: Binaries) -> dict[str, str]:
    """Of everything that takes part in a lab."""
    return {
        "bascule": version("bascule"),
        "postgresql": binaries.postgres.version,
        "patroni": version("patroni"),
        "etcd": binaries.etcd.version,
        **_versions_here(),
    }


def _versions_here() -> dict[str, str]:
    """Of this process and its machine."""
    found = {
        "psycopg": version("psycopg"),
        "python": platform.python_version(),
        "kernel": platform.release(),
    }
    with suppress(OSError):
        found["system"] = platform.freedesktop_os_release()["PRETTY_NAME"]
    return found


def say_on_stderr(text: str) -> None:
    """Progress, for people."""
    print(f"bascule: {text}", file=sys.stderr, flush=True)
