"""What a disk in user space needs of the machine: libfuse, and the right to open ``/dev/fuse``.

Only hosts whose ``disk`` is ``layered`` need it. An error says what is missing, and its remedy.
"""

from __future__ import annotations

import os
from ctypes.util import find_library
from pathlib import Path

from cluster.errors import PrerequisiteError
from cluster.topology.model import Topology

DEVICE = Path("/dev/fuse")
LIBRARY = "fuse3"


def check_disks(topology: Topology) -> None:
    """Whether this machine can serve the disks of a topology.

    Raises:
        PrerequisiteError: a host has a layered disk, and something is missing; with the remedy.
    """
    if topology.has_layered_disks and (why := missing()):
        raise PrerequisiteError(f"a layered disk needs what this machine does not have: {why}")


def missing() -> str | None:
    """What this machine lacks for layered disks, with the remedy; None if nothing."""
    if found_library() is None:
        return "libfuse is not installed.\n  Debian, Ubuntu:  sudo apt-get install libfuse3-3"
    if not DEVICE.exists():
        return (
            f"there is no {DEVICE}.\n  sudo modprobe fuse; "
            f"for a container:  docker run --device {DEVICE}"
        )
    if not os.access(DEVICE, os.R_OK | os.W_OK):
        return f"{DEVICE} may not be opened.\n  sudo chmod 0666 {DEVICE}"
    return None


def found_library() -> str | None:
    """The library that will be used."""
    return find_library(LIBRARY)
