"""Names a process so that any other one of this machine can tell later whether it still lives.

Of what cannot be seen, nobody says that it is gone: a process of another PID namespace (a container
that has the engine's socket), or one that ``/proc`` hides (``hidepid``).
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
PARTS = 4
DEAD = "ZX"
"""States of a process that has ended and was not waited for yet (proc(5), field 3)."""


def this_process() -> str:
    """A name that no other process ever has: boot, PID namespace, pid, and when it began."""
    pid = os.getpid()
    _, began = _stat(pid) or ("", "")
    return ":".join((_boot(), pid_namespace(), str(pid), began))


def is_of_another_boot(name: str) -> bool:
    """Whether a name was given before this machine came up, or on another machine."""
    parts = name.split(":")
    return len(parts) == PARTS and "" not in (parts[0], _boot()) and parts[0] != _boot()


def is_gone(name: str) -> bool:
    """Whether the process of that name is certainly gone; False for what is no such name."""
    if is_of_another_boot(name):
        return True
    parts = name.split(":")
    if len(parts) != PARTS or "" in parts or parts[1] != pid_namespace():
        return False
    try:
        pid = int(parts[2])
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # somebody else's, and there
    except (ValueError, OverflowError):
        return False
    found = _stat(pid)
    return found is not None and (found[0] in DEAD or found[1] != parts[3])


def pid_namespace() -> str:
    """The number of this process's PID namespace; "" where ``/proc`` does not say."""
    with suppress(OSError):
        return os.readlink("/proc/self/ns/pid").strip("pid:[]")
    return ""


def _boot() -> str:
    with suppress(OSError):
        return BOOT_ID.read_text().strip()
    return ""


def _stat(pid: int) -> tuple[str, str] | None:
    """The state of a process, and when it began in clock ticks (proc(5), fields 3 and 22); None
    where that cannot be read."""
    with suppress(OSError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return fields[0], fields[19]
    return None
