"""The folder of a served cluster: private, locked while it is in use, swept when its owner is gone.

The lock is on the folder itself (flock(2)) and shared by every process that inherits its
descriptor, so it lasts exactly as long as the cluster, also if no process is left to delete the
folder.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

PREFIX = "bascule-lab-"


class Folder:
    """A new folder below the directory for temporary files, with mode 0700."""

    def __init__(self) -> None:
        self.lock_fd = -1
        while self.lock_fd < 0:
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
            self.lock_fd = _lock(self.path)

    def remove(self) -> None:
        """Delete it, with all that is in it. Idempotent."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self.lock_fd >= 0:
            os.close(self.lock_fd)
            self.lock_fd = -1


def _lock(path: Path) -> int:
    """A descriptor that locks a new folder; -1 where another cluster has swept it before."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return -1
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    if path.exists():
        return descriptor
    os.close(descriptor)
    return -1


def sweep() -> list[Path]:
    """Delete what clusters that are gone have left; returns what was deleted."""
    swept = []
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if os.fstat(descriptor).st_uid != os.getuid():
                    continue
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while it is in use
                shutil.rmtree(path, ignore_errors=True)
                swept.append(path)
            finally:
                os.close(descriptor)
    return swept
