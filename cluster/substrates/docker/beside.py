"""Runs a command beside us that keeps a project: it ends when we end, and nothing of it is left.

The command holds one end of a pipe, the lifeline, and this process the other: every end of this
process is seen there (``watch_lifeline``), ``kill -9`` included. When the command ends in any way,
this process removes what it left. Only when both are killed at once is something left, which the
next drill or ``bascule compose sweep`` removes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

import anyio
import psutil

from cluster.errors import EngineError, LeftoverError
from cluster.stop_signals import handled
from cluster.substrates.docker.leftovers import PAUSE_S, SETTLE_S, remove_run

LIFELINE = "--lifeline"
POLL_S = 0.02
END_TIMEOUT_S = 10.0
"""The kernel ends a killed process in milliseconds, unless its disk does not answer."""


def run_beside(
    command: Sequence[str],
    *,
    run: str,
    started: Callable[[int], object] = lambda pid: None,
    pass_fds: Sequence[int] = (),
) -> tuple[int, signal.Signals | None]:
    """Run ``command LIFELINE_OPTION`` and wait for its end; nothing of its project is left then.

    The first SIGINT, SIGTERM or SIGHUP asks the command to stop (it gets SIGTERM); the second ends
    it at once.

    Args:
        command: what keeps the project; gets ``--lifeline FD``.
        run: the id of its drill.
        started: told the command's pid.
        pass_fds: descriptors that the command inherits, under the same numbers.

    Returns:
        The command's exit code (128 + n when signal n ended it), and the signal that asked for the
        stop, or None.

    Raises:
        LeftoverError: something of the project could not be removed; with what else would be
            returned, so that the caller can judge the drill first.
    """
    lifeline, hold = os.pipe()
    asked: list[signal.Signals] = []

    def stop(number: int, _: FrameType | None) -> None:
        process.send_signal(signal.SIGKILL if asked else signal.SIGTERM)
        asked.append(signal.Signals(number))

    process = subprocess.Popen(
        [*command, LIFELINE, str(lifeline)],
        pass_fds=(lifeline, *pass_fds),
        start_new_session=True,  # Ctrl-C reaches us alone; we pass it on, once
    )
    os.close(lifeline)
    with handled(stop):
        try:
            started(process.pid)
            process.wait()
        finally:
            process.kill()
            process.wait()
            # Its docker clients too: one that makes the project would go on making it.
            killed = end_session(process.pid) or process.returncode < 0
            os.close(hold)
            code = process.returncode if process.returncode >= 0 else 128 - process.returncode
            stopped_by = asked[0] if asked else None
            try:
                remove_run(run, pause_s=SETTLE_S if killed else PAUSE_S)
            except EngineError as error:
                raise LeftoverError(str(error), code=code, stopped_by=stopped_by) from error
    return code, stopped_by


def is_beside(pid: int) -> bool:
    """Whether a command that keeps a project runs under this pid, and not one that got it later."""
    try:
        argv = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return LIFELINE.encode() in argv


def end_session(leader: int) -> bool:
    """Kill every process of a session, until none is left or the time is up; whether there was one.

    Args:
        leader: the process that began it, and has ended.
    """
    found = False
    end_s = time.monotonic() + END_TIMEOUT_S
    while left := [pid for pid in psutil.pids() if _is_in_session(pid, leader)]:
        found = True
        for pid in left:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > end_s:
            break
        time.sleep(POLL_S)
    return found


def _is_in_session(pid: int, leader: int) -> bool:
    """It is, and has not ended."""
    try:
        return os.getsid(pid) == leader and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except (OSError, psutil.NoSuchProcess):
        return False


async def watch_lifeline(lifeline: int, gone: Callable[[], object]) -> None:
    """Call ``gone`` once the process at the other end is no more."""
    await anyio.wait_readable(lifeline)
    gone()
