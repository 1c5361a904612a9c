"""From outside into a lab: makes the sealed namespaces, runs a command in them, ends them.

``run_sealed`` and ``SealedLab`` are the only ways in. The lab's PID 1 (``lab_init.py``) holds one
end of a pipe, the lifeline, and this process the other: when this process ends, so does the lab.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from weakref import WeakSet

from cluster.stop_signals import handled
from cluster.substrates.lab import lab_init
from cluster.substrates.lab.prerequisites import check_prerequisites, with_system_programs

NAMESPACES = (
    *("unshare", "--user", "--map-root-user", "--net", "--mount", "--ipc", "--pid"),
    *("--fork", "--kill-child", "--mount-proc", "--"),
)
"""User, network, mount, IPC and PID namespaces: no privilege outside, no uplink inside."""

ASK = b"T"
START_POLL_S = 0.002
END_TIMEOUT_S = 10.0
"""The kernel needs milliseconds to end a lab."""


def run_sealed(
    command: Sequence[str],
    *,
    started: Callable[[int], object] = lambda pid: None,
    pass_fds: Sequence[int] = (),
) -> tuple[int, signal.Signals | None]:
    """Run ``command`` in a new lab and wait for its end; nothing of the lab is left then.

    The first SIGINT, SIGTERM or SIGHUP asks the command inside to stop (it gets SIGTERM); the
    second ends the lab at once.

    Args:
        command: what to run inside.
        started: told the pid of the lab's init, as this side knows it (for ``nsenter``).
        pass_fds: descriptors that the command inherits, under the same numbers.

    Returns:
        The command's exit code (128 + n when signal n ended it), and the signal that asked for the
        stop, or None.

    Raises:
        PrerequisiteError: a program is missing, or the kernel forbids the namespaces; the message
            says how to allow them.
    """
    check_prerequisites()
    asked: list[signal.Signals] = []

    def stop(number: int, _: FrameType | None) -> None:
        if asked:
            lab.kill()
        else:
            lab.ask()
        asked.append(signal.Signals(number))

    lab = SealedLab(command, pass_fds=pass_fds)
    with handled(stop):
        try:
            if (init := _init_of(lab.process)) is not None:
                started(init)
            code = lab.process.wait()
        finally:
            lab.let_go()
    return (code if code >= 0 else 128 - code), (asked[0] if asked else None)


class SealedLab:
    """A lab that runs beside this process, until its command ends or ``end`` is called.

    It ends with this process at the latest, however that ends. A child that this process forks does
    not hold it up: it lets go of the lifeline at once.

    Args:
        command: what to run inside.
        pass_fds: descriptors that the command inherits, under the same numbers.
        output: where its standard output and error go; those of this process if None.

    Raises:
        OSError: ``unshare`` cannot be started; ``check_prerequisites`` says more.
    """

    def __init__(
        self, command: Sequence[str], *, pass_fds: Sequence[int] = (), output: int | None = None
    ) -> None:
        lifeline, self._hold = os.pipe()
        try:
            self.process = subprocess.Popen(
                [
                    *(*NAMESPACES, sys.executable, "-I", "-S", str(lab_init.__file__)),
                    *(str(lifeline), *command),
                ],
                env=with_system_programs(os.environ),
                pass_fds=(lifeline, *pass_fds),
                stdin=None if output is None else subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C reaches us alone; we pass it on, once
            )
        except BaseException:
            os.close(self._hold)
            raise
        finally:
            os.close(lifeline)
        _held.add(self)

    def ask(self) -> None:
        """Ask the command inside to stop: it gets SIGTERM. No effect once it has ended."""
        if self in _held:
            with suppress(OSError):  # it is ending, and reads no more
                os.write(self._hold, ASK)

    def kill(self) -> None:
        """End everything at once; ``--kill-child`` takes the lab's init along. Idempotent."""
        self.process.send_signal(signal.SIGKILL)

    def let_go(self) -> None:
        """Close our end of the lifeline: what still runs in the lab ends at once. Idempotent."""
        if self in _held:
            _held.discard(self)
            os.close(self._hold)

    def end(self, *, timeout_s: float = END_TIMEOUT_S) -> None:
        """End the lab, and wait until nothing of it is left. Idempotent."""
        self.let_go()
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            self.process.wait()


_held: WeakSet[SealedLab] = WeakSet()


def _let_go_in_child() -> None:
    """A forked child that outlives us must not keep our labs alive."""
    for lab in list(_held):
        lab.let_go()


os.register_at_fork(after_in_child=_let_go_in_child)


def _init_of(process: subprocess.Popen[bytes]) -> int | None:
    """The child that ``unshare --fork`` makes as soon as it has the namespaces."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while process.poll() is None:
        with suppress(OSError):
            if pids := children.read_text().split():
                return int(pids[0])
        time.sleep(START_POLL_S)
    return None
