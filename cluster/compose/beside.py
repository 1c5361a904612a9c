"""Runs a command beside us that keeps a project: it ends when we end, and nothing of it is left.

The command holds one end of a pipe, the lifeline, and this process the other: whatever ends this
process is seen there (``watch_lifeline``), ``kill -9`` included. Whatever ends the command, this
process removes what it left. Only when both are killed at once is something left, which the next
drill or ``bascule compose sweep`` removes.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType

import anyio

from cluster.compose.keeper import remove_run
from cluster.lab.enter import handled


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
        EngineError: something of the project could not be removed.
    """
    lifeline, hold = os.pipe()
    asked: list[signal.Signals] = []

    def stop(number: int, _: FrameType | None) -> None:
        process.send_signal(signal.SIGKILL if asked else signal.SIGTERM)
        asked.append(signal.Signals(number))

    process = subprocess.Popen(
        [*command, "--lifeline", str(lifeline)],
        pass_fds=(lifeline, *pass_fds),
        start_new_session=True,  # Ctrl-C reaches us alone; we pass it on, once
    )
    os.close(lifeline)
    with handled(stop):
        try:
            started(process.pid)
            code = process.wait()
        finally:
            with suppress(ProcessLookupError):
                # Its docker clients too: one that makes the project would go on making it.
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            os.close(hold)
            remove_run(run)
    return (code if code >= 0 else 128 - code), (asked[0] if asked else None)


async def watch_lifeline(lifeline: int, gone: Callable[[], object]) -> None:
    """Call ``gone`` once the process at the other end is no more."""
    await anyio.wait_readable(lifeline)
    gone()
