"""The disk's files with what is wrong with them: refuses, delays and lies as it was told.

What it does otherwise is ``ForgetfulFolder``'s. Paths, handles and errors are as there.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Mapping

from cluster.substrates.disk import DiskFault, DiskOperation
from cluster.substrates.lab.disk.forgetful import WRITES, ForgetfulFolder


class FaultyFolder:
    """A forgetful folder that can be broken. Its methods may be called from any thread.

    Args:
        files: the folder.
        sleep: waits so many seconds; so does everything else then, as at a disk with one head.
    """

    def __init__(
        self, files: ForgetfulFolder, *, sleep: Callable[[float], object] = time.sleep
    ) -> None:
        self.files = files
        self._sleep = sleep
        self._lock = threading.Lock()
        self._faults: dict[str, DiskFault] = {}
        self._room_bytes = 0

    @property
    def faults(self) -> Mapping[str, DiskFault]:
        """What is wrong now."""
        return dict(self._faults)

    @property
    def room_bytes(self) -> int | None:
        """What a full disk still takes; None while it is not full."""
        return max(0, self._room_bytes) if "full" in self._faults else None

    @property
    def may_be_cached(self) -> bool:
        """What was once read or written may be read again without asking the disk."""
        errors = self._faults.get("errors")
        fails = errors is not None and errors.on == "read"
        return not fails and not self.files.was_torn

    def strike(self, fault: DiskFault) -> None:
        """From now on; a fault of the same name is replaced."""
        with self._lock:
            self._faults[fault.name] = fault
            if fault.name == "full":
                self._room_bytes = fault.room_bytes
        self.files.lies = "lies" in self._faults

    def mend(self, name: str) -> None:
        """No effect where it is not broken so."""
        with self._lock:
            self._faults.pop(name, None)
        self.files.lies = "lies" in self._faults

    # ---- files ----

    def open(self, path: str, flags: int) -> int:
        """Open a file that is there."""
        if flags & WRITES:
            self._refuse_changes()
        return self.files.open(path, flags)

    def create(self, path: str, flags: int, mode: int) -> int:
        """Make and open a file. A full disk has room for a name."""
        self._refuse_changes()
        return self.files.create(path, flags, mode)

    def read(self, handle: int, count: int, offset: int) -> bytes:
        """Bytes of an open file."""
        self._suffer("read", self.files.path_of(handle))
        return self.files.read(handle, count, offset)

    def write(self, handle: int, content: bytes, offset: int) -> int:
        """Write to an open file."""
        path = self.files.path_of(handle)
        self._refuse_changes()
        self._suffer("write", path)
        self._take_room(path, max(0, offset + len(content) - self.files.size(handle)))
        return self.files.write(handle, content, offset)

    def sync(self, handle: int) -> None:
        """Put what is pending of a file onto the disk."""
        self._suffer("sync", self.files.path_of(handle))
        self.files.sync(handle)

    def truncate(self, handle: int, size: int) -> None:
        """Cut an open file off, or lengthen it."""
        self._refuse_changes()
        self._take_room(self.files.path_of(handle), size - self.files.size(handle))
        self.files.truncate(handle, size)

    def truncate_path(self, path: str, size: int) -> None:
        """As ``truncate``, of a file that need not be open."""
        self._refuse_changes()
        known, _ = self.files.size_and_time(os.lstat(self.files.below(path)))
        self._take_room(path, size - known)
        self.files.truncate_path(path, size)

    # ---- names ----

    def unlink(self, path: str) -> None:
        """Remove a name."""
        self._refuse_changes()
        self._give_room(path, self.files.unlink(path))

    def rename(self, old: str, new: str) -> None:
        """Rename."""
        self._refuse_changes()
        self._give_room(new, self.files.rename(old, new))

    def change(self, act: Callable[[], object]) -> None:
        """Any other change of names and modes."""
        self._refuse_changes()
        act()

    # ---- inside ----

    def _refuse_changes(self) -> None:
        if "read-only" in self._faults:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    def _suffer(self, operation: DiskOperation, path: str) -> None:
        """The errors and delays of an operation."""
        errors = self._faults.get("errors")
        if errors is not None and errors.on == operation and errors.concerns(path):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        slow = self._faults.get("slow")
        if slow is not None and operation != "read" and slow.concerns(path):
            self._sleep(slow.delay_s)

    def _take_room(self, path: str, growth: int) -> None:
        with self._lock:
            full = self._faults.get("full")
            if full is None or not full.concerns(path):
                return
            if growth > self._room_bytes:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._room_bytes -= growth

    def _give_room(self, path: str, freed: int) -> None:
        with self._lock:
            full = self._faults.get("full")
            if full is not None and full.concerns(path):
                self._room_bytes += freed
