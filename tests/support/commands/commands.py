"""Runs the command as a user does, and follows it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

BASCULE: tuple[str, ...] = (sys.executable, "-m", "chaos")
"""A test's own machine puts its way in before it (the fixture ``machine``)."""
TOO_BUSY = {"load-too-low", "stalled-load"}
"""What the checker ``instrument`` says of a machine that could not carry the load."""
LOW_LOAD = ("--rate", "20")
"""Several drills share two cores in ``make test``: with the default load the machine, and not the
cluster, would decide whether it is reached (``load-too-low``). ``make drill`` has the default."""
PHASE_TIMEOUT_S = 120.0
GONE_TIMEOUT_S = 60.0
POLL_S = 0.05


def bascule_drill(
    out: Path, *arguments: str, timeout_s: float = 180.0
) -> subprocess.CompletedProcess[str]:
    """``bascule drill ... --out OUT``; a second time where the machine could not carry the load and
    that is all that was found: such a drill says nothing of the cluster."""
    done = bascule("drill", *arguments, "--out", str(out), timeout_s=timeout_s)
    path = out / "verdict.json"
    findings = json.loads(path.read_text())["findings"] if path.exists() else []
    if findings and {one["kind"] for one in findings} <= TOO_BUSY:
        shutil.rmtree(out)
        done = bascule("drill", *arguments, "--out", str(out), timeout_s=timeout_s)
    return done


def bascule(*arguments: str, timeout_s: float = 180.0) -> subprocess.CompletedProcess[str]:
    """Run ``bascule`` to its end."""
    return subprocess.run(
        [*BASCULE, *arguments], capture_output=True, text=True, timeout=timeout_s, check=False
    )


ENTER = (
    "import sys; from cluster.substrates.lab.enter import run_sealed;"
    " sys.exit(run_sealed(sys.argv[1:])[0])"
)
TESTS = Path(__file__).parents[2]


def sealed(module: str, *arguments: str, timeout_s: float, **environment: str) -> str:
    """Run a module of ``support`` in a lab's namespaces; what it printed. AssertionError, with its
    words, when it fails."""
    done = subprocess.run(
        [sys.executable, "-c", ENTER, sys.executable, "-m", module, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        env={**os.environ, "PYTHONPATH": str(TESTS), **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


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


def wait_until(
    condition: Callable[[], bool],
    *,
    timeout_s: float,
    what: str,
    seen: Callable[[], object] = lambda: "",
) -> None:
    """Wait for a condition; AssertionError, with what is ``seen`` then, when the time is up."""
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, f"{what}: not within {timeout_s:g} s {seen()}"
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


def descendants(pid: int) -> list[psutil.Process]:
    """Every process below one; psutil knows them again even when a pid is used anew."""
    return psutil.Process(pid).children(recursive=True)


def wait_gone(processes: Sequence[psutil.Process], *, timeout_s: float = GONE_TIMEOUT_S) -> None:
    """Wait until none of them runs any more."""
    wait_until(
        lambda: not any(_runs(process) for process in processes),
        timeout_s=timeout_s,
        what="the end of every process",
        seen=lambda: ", ".join(str(process) for process in processes if _runs(process)),
    )


def _runs(process: psutil.Process) -> bool:
    """It has not ended; one that has, and whose parent was not told yet, has."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
