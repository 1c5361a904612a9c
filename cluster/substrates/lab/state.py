"""Where the lab keeps what lasts as long as it does."""

from __future__ import annotations

from pathlib import Path

STATE = Path("/run/bascule")
"""In the lab's own tmpfs: the hosts' disks. They vanish with the lab, after ``kill -9`` too."""


def disk_of(host: str) -> Path:
    """A host's disk (short: a Unix socket's path may have 107 bytes)."""
    return STATE / host
