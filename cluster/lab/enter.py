"""From outside into a lab: makes the sealed namespaces, runs a command in them, ends them.

``run_sealed`` is the only way in. The lab's PID 1 (``lab_init.py``) holds one end of a pipe, the
lifeline, and this process the other: whatever ends this process ends the lab.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from cluster.lab import lab_init
from cluster.lab.prerequisites import check_prerequisites

NAMESPACES = (
    *("unshare", "--user", "--map-root-user", "--net", "--mount", "--ipc", "--pid"),
    *("--fork", "--kill-child", "--mount-proc", "--"),
)
"""User, network, mount, IPC and PID namespaces: no privilege outside, no uplink inside."""

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ASK = b"T"
START_POLL_S = 0.002


def run_sealed(
    command: Sequence[str], *, started: Callable[[int], object] = lambda pid: None
) -> tuple[int, signal.Signals | None]:
    """Run ``command`` in a new lab and wait for its end; nothing of the lab is left then.

    The first SIGINT, SIGTERM or SIGHUP asks the command inside to stop (it gets SIGTERM); the
    second ends the lab at once.

    Args:
        command: what to run inside.
        started: told the pid of the lab's init, as this side knows it (for ``nsenter``).

    Returns:
        The command's exit code (128 + n when signal n ended it), and the signal that asked for the
        stop, or None.

    Raises:
        PrerequisiteError: a program is missing, or the kernel forbids the namespaces; the message
            says how to allow them.
    """
    check_prerequisites()
    lifeline, hold = os.pipe()
    asked: list[signal.Signals] = []

    def stop(number: int, _: FrameType | None) -> None:
        if asked:
            os.kill(process.pid, signal.SIGKILL)  # --kill-child takes the lab's init along
        else:
            os.write(hold, ASK)
        asked.append(signal.Signals(number))

    process = subprocess.Popen(
        [*NAMESPACES, sys.executable, "-I", "-S", str(lab_init.__file__), str(lifeline), *command],
        pass_fds=(lifeline,),
        start_new_session=True,  # Ctrl-C reaches us alone; we pass it on, once
    )
    os.close(lifeline)
    with handled(stop):
        try:
            if (init := _init_of(process)) is not None:
                started(init)
            code = process.wait()
        finally:
            os.close(hold)
    return (code if code >= 0 else 128 - code), (asked[0] if asked else None)


def _init_of(process: subprocess.Popen[bytes]) -> int | None:
    """The child that ``unshare --fork`` makes as soon as it has the namespaces."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while process.poll() is None:
        with suppress(OSError):
            if pids := children.read_text().split():
                return int(pids[0])
        time.sleep(START_POLL_S)
    return None


@contextmanager
def handled(stop: object) -> Iterator[None]:
    """Have the stop signals handled by ``stop``, and restore their handlers afterwards."""
    before = {number: signal.signal(number, stop) for number in STOP_SIGNALS}  # type: ignore[arg-type]
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
