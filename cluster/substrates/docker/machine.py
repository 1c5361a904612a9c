"""Whether the engine is on this machine: a container shows the engine's kernel."""

from __future__ import annotations

import time
from pathlib import Path

from cluster.substrates.owner import BOOT_ID, boot_id

ASK = f"echo {BOOT_ID} $(cat {BOOT_ID}) $(cat /proc/uptime)"
"""For a shell in a container: prints one line, for ``is_this_machine``."""
UPTIME_STEP_S = 0.01
"""/proc/uptime has two places (proc(5))."""


def uptime_s() -> float:
    """Of this machine; a container's ``/proc/uptime`` shows the same."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def is_answer(line: str) -> bool:
    """It is the line that ``ASK`` prints."""
    return line.startswith(f"{BOOT_ID} ")


def is_this_machine(answer: str, since_s: float) -> bool:
    """Whether a container that gave this answer runs on the kernel of this process.

    System containers (LXC, systemd-nspawn) show a boot id of their own; there, that the clocks are
    the same must do.

    Args:
        answer: the line that ``ASK`` printed there.
        since_s: ``uptime_s`` before it was asked.
    """
    _, boot, uptime, *_ = answer.split()
    if boot == boot_id():
        return True
    near = since_s - UPTIME_STEP_S <= float(uptime) <= uptime_s() + UPTIME_STEP_S
    return near and has_own_boot_id()


def has_own_boot_id() -> bool:
    """Whether something was mounted over the kernel's boot id (proc(5), ``mountinfo``)."""
    mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    return any(line.split()[4] == str(BOOT_ID) for line in mounts.splitlines())
