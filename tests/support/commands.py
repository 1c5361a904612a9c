"""Runs the command as a user does, and looks for what it leaves behind."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

BASCULE = (sys.executable, "-m", "chaos")
PHASE_TIMEOUT_S = 120.0
GONE_TIMEOUT_S = 15.0
POLL_S = 0.05


def bascule(*arguments: str, timeout_s: float = 180.0) -> subprocess.CompletedProcess[str]:
    """Run ``bascule`` to its end."""
    return subprocess.run(
        [*BASCULE, *arguments], capture_output=True, text=True, timeout=timeout_s, check=False
    )


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """``bascule`` while it runs; killed on the way out if it still does."""
    process = subprocess.Popen(
        [*BASCULE, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def wait_until(condition: Callable[[], bool], *, timeout_s: float, what: str) -> None:
    """Wait for a condition; AssertionError when the time is up."""
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, f"{what}: not within {timeout_s:g} s"
        time.sleep(POLL_S)


def events(folder: Path, kind: str) -> list[dict[str, object]]:
    """The events of one kind that are in the run folder by now; a line cut short is none."""
    path = folder / "events.jsonl"
    found = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if event["kind"] == kind:
            found.append(event)
    return found


def wait_phase(process: subprocess.Popen[str], folder: Path, phase: str) -> None:
    """Wait until a drill is in a phase; AssertionError, with its words, when it ends before."""
    wait_while_running(
        process,
        lambda: any(event["phase"] == phase for event in events(folder, "phase")),
        timeout_s=PHASE_TIMEOUT_S,
        what=f"phase {phase} of {folder}",
    )


def wait_while_running(
    process: subprocess.Popen[str], condition: Callable[[], bool], *, timeout_s: float, what: str
) -> None:
    """``wait_until``; AssertionError, with what a command said, when it ends before."""

    def met() -> bool:
        over = process.poll() is not None
        if condition():
            return True
        assert not over, f"{what}: it ended before: {process.communicate()}"
        return False

    wait_until(met, timeout_s=timeout_s, what=what)


OF_DOCKER = re.compile(
    r"docker0$|veth[0-9a-f]{7}$|br-[0-9a-f]{12}$"
    r"|.*(/overlay2/|/containers/[0-9a-f]{64}/|/netns/[0-9a-f]{12} )"
)
"""Interfaces and mounts of an engine, which come and go with anybody's containers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a command in the lab could leave behind on a machine."""

    temporary: frozenset[str]
    namespaces: frozenset[str]
    mounts: tuple[str, ...]
    interfaces: frozenset[str]


def surroundings() -> Surroundings:
    """As they are now."""
    netns = Path("/run/netns")
    return Surroundings(
        temporary=frozenset(os.listdir(tempfile.gettempdir())),
        namespaces=frozenset(path.name for path in netns.iterdir())
        if netns.exists()
        else frozenset(),
        mounts=tuple(_not_dockers(Path("/proc/self/mounts").read_text().splitlines())),
        interfaces=frozenset(_not_dockers(os.listdir("/sys/class/net"))),
    )


def _not_dockers(names: Iterable[str]) -> list[str]:
    return [name for name in names if not OF_DOCKER.match(name)]


def descendants(pid: int) -> list[psutil.Process]:
    """Every process below one; psutil knows them again even when a pid is used anew."""
    return psutil.Process(pid).children(recursive=True)


def wait_gone(processes: Sequence[psutil.Process], *, timeout_s: float = GONE_TIMEOUT_S) -> None:
    """Wait until none of them runs any more."""
    wait_until(
        lambda: not any(process.is_running() for process in processes),
        timeout_s=timeout_s,
        what="the end of every process",
    )
