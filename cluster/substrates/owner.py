"""Names processes of this machine uniquely, so that an ended one can be recognized.

A name is ``<boot>:<PID namespace>:<pid>:<start>``. It is for labels of what outlives a process: a
name that cannot be judged from here counts as alive, so no process removes what another one has.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
DEAD = "ZX"
"""States of a process that has ended, and whose parent was not told yet (proc(5), field 3)."""


def this_process() -> str:
    """The name of the calling process."""
    began = read_start(os.getpid()) or ""
    return ":".join((boot_id(), pid_namespace(), str(os.getpid()), began))


def is_gone(name: str, *, same_machine: bool = False) -> bool:
    """Whether the process of that name has certainly ended.

    Args:
        name: as ``this_process`` gives it; another text counts as alive.
        same_machine: it is known to be of this machine. Only then does another boot mean that the
            process is gone; else it may live on another machine.
    """
    try:
        boot, namespace, pid, began = name.split(":")
        number = int(pid)
    except ValueError:
        return False
    if boot != boot_id():
        return same_machine
    if namespace != pid_namespace() or number <= 0:
        return False  # what runs there cannot be seen from here
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        pass  # it is another user's, or it cannot be a pid; there may be one
    # Where /proc hides other users' processes (hidepid) the start cannot be read: it may be ours.
    now = read_start(number)
    return now is not None and (not now or began not in {"", now})


def boot_id() -> str:
    """Of this machine since it came up."""
    return BOOT_ID.read_text(encoding="ascii").strip()


def pid_namespace() -> str:
    """The inode of the calling process's PID namespace (pid_namespaces(7))."""
    return os.readlink("/proc/self/ns/pid").strip("pid:[]")


def read_start(pid: int) -> str | None:
    """When a process began, in clock ticks since boot (proc(5), field 22); "" when it has ended and
    waits for its parent; None when it cannot be read."""
    with suppress(OSError, IndexError):
        if os.readlink("/proc/self") == str(os.getpid()):  # else /proc shows another namespace
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
            fields = stat.rpartition(")")[2].split()
            return "" if fields[0] in DEAD else fields[19]
    return None
