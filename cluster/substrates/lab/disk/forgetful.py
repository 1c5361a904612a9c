"""A folder whose files forget what was not synced: the semantics of the disk, without FUSE.

Paths begin with ``/`` and are of the disk; below it is an ordinary folder. Files are known by the
inode below, so that what is pending stays with its file when that is renamed, or removed while it
is open. Every error is an ``OSError`` with its number.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from cluster.substrates.lab.disk.pending import PendingFile

WRITES = os.O_WRONLY | os.O_RDWR
SYNCHRONOUS = os.O_SYNC | os.O_DSYNC
Inode = tuple[int, int]


@dataclass(slots=True, kw_only=True)
class HeldFile:
    """A file that is open, or has something pending."""

    inode: Inode
    content: PendingFile
    path: str
    """Where it was opened first."""
    users: int = 0
    is_linked: bool = True
    pending_since_s: float | None = None
    written_at_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenHandle:
    """One opening of a file."""

    file: HeldFile
    is_synchronous: bool
    """Opened with ``O_SYNC`` or ``O_DSYNC``: every write is synced."""


class ForgetfulFolder:
    """The files of a disk. Its methods may be called from any thread.

    Args:
        root: the folder below, by a path that keeps leading there when the disk is mounted over it.
        monotonic: the clock.
    """

    def __init__(self, root: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._root = root
        self._monotonic = monotonic
        self._lock = threading.RLock()
        self._files: dict[Inode, HeldFile] = {}
        self._handles: dict[int, OpenHandle] = {}
        self._last_handle = 0
        self.lies = False
        """It says that it has synced, and keeps all in memory."""
        self.was_torn = False
        """Something on it has changed that nobody wrote."""

    def below(self, path: str) -> str:
        """The path below."""
        return self._root + path

    # ---- files ----

    def open(self, path: str, flags: int) -> int:
        """Open a file that is there; its handle."""
        with self._lock:
            handle = self._hold(path, flags)
            if flags & os.O_TRUNC:
                self.truncate(handle, 0)
            return handle

    def create(self, path: str, flags: int, mode: int) -> int:
        """Make and open a file; its handle. That it is there is not forgotten."""
        with self._lock:
            new = os.open(self.below(path), os.O_CREAT | os.O_RDWR | (flags & os.O_EXCL), mode)
            handle = self._hold(path, flags, new)
            if flags & os.O_TRUNC:
                self.truncate(handle, 0)
            return handle

    def read(self, handle: int, count: int, offset: int) -> bytes:
        """Bytes of an open file, pending ones included."""
        with self._lock:
            return self._handles[handle].file.content.read(count, offset)

    def write(self, handle: int, content: bytes, offset: int) -> int:
        """Write to an open file; how many bytes. On disk only after ``sync``."""
        with self._lock:
            held = self._handles[handle]
            held.file.content.write(content, offset)
            self._note_pending(held.file)
            if held.is_synchronous:
                self.sync(handle)
            return len(content)

    def truncate(self, handle: int, size: int) -> None:
        """Cut an open file off, or lengthen it."""
        with self._lock:
            held = self._handles[handle].file
            held.content.truncate(size)
            self._note_pending(held)

    def sync(self, handle: int) -> None:
        """Put what is pending of a file onto the disk, unless the disk lies."""
        with self._lock:
            self._flush(self._handles[handle].file)

    def close(self, handle: int) -> None:
        """What is pending stays so: closing is not syncing."""
        with self._lock:
            held = self._handles.pop(handle).file
            held.users -= 1
            self._let_go(held)

    def size(self, handle: int) -> int:
        """Bytes of an open file."""
        with self._lock:
            return self._handles[handle].file.content.size

    def path_of(self, handle: int) -> str:
        """Where an open file was opened first."""
        return self._handles[handle].file.path

    # ---- all of it ----

    def sync_all(self, *, older_than_s: float = 0.0) -> int:
        """Put onto the disk what has been pending for so long; how many files had something."""
        with self._lock:
            limit_s = self._monotonic() - older_than_s
            due = [
                held
                for held in self._files.values()
                if held.pending_since_s is not None and held.pending_since_s <= limit_s
            ]
            for held in due:
                self._flush(held)
            return len(due)

    def pending_bytes(self) -> int:
        """What a power cut would lose now."""
        with self._lock:
            return sum(held.content.pending_bytes for held in self._files.values())

    # ---- names ----

    def stat(self, path: str | None, handle: int | None = None) -> os.stat_result:
        """Of a path, or of an open file; ``size_and_time`` has what is pending."""
        if handle is not None and (held := self._handles.get(handle)) is not None:
            return os.fstat(held.file.content.descriptor)
        return os.lstat(self.below(path or ""))

    def place(self, path: str | None, handle: int | None) -> str:
        """A path below that leads to a file, also to one without a name."""
        if handle is not None and (held := self._handles.get(handle)) is not None:
            return f"/proc/self/fd/{held.file.content.descriptor}"
        return self.below(path or "")

    def size_and_time(self, found: os.stat_result) -> tuple[int, int]:
        """Size in bytes and time of the last change in ns, with what is pending."""
        held = self._files.get((found.st_dev, found.st_ino))
        if held is None or held.pending_since_s is None:
            return found.st_size, found.st_mtime_ns
        return held.content.size, held.written_at_ns

    def set_times(self, place: str, times: tuple[int, int]) -> None:
        """Set the times of the last read and the last change, in ns, of a place below."""
        with self._lock:
            os.utime(place, ns=times)
            found = os.stat(place)
            held = self._files.get((found.st_dev, found.st_ino))
            if held is not None:
                held.written_at_ns = times[1]

    def truncate_path(self, path: str, size: int) -> None:
        """As ``truncate``, of a file that need not be open."""
        with self._lock:
            handle = self._hold(path, os.O_RDWR)
            try:
                self.truncate(handle, size)
            finally:
                self.close(handle)

    def unlink(self, path: str) -> int:
        """Remove a name; how many bytes that freed (of a file that is open: when it is closed)."""
        with self._lock:
            found = os.lstat(self.below(path))
            os.unlink(self.below(path))
            return self._lost_a_name(found)

    def rename(self, old: str, new: str) -> int:
        """Rename; how many bytes the file that was replaced held.

        What takes the place of another file is synced first, as ext4 does (``auto_da_alloc``):
        programs count on finding the old content or the new.
        """
        with self._lock:
            replaced: os.stat_result | None = None
            with suppress(FileNotFoundError):
                replaced = os.lstat(self.below(new))
            if replaced is not None:
                self._sync_path(old)
            os.rename(self.below(old), self.below(new))
            moved = os.lstat(self.below(new))
            held = self._files.get((moved.st_dev, moved.st_ino))
            if held is not None:
                held.path = new
            if replaced is None or (replaced.st_dev, replaced.st_ino) == (
                moved.st_dev,
                moved.st_ino,
            ):
                return 0
            return self._lost_a_name(replaced)

    # ---- inside ----

    def _sync_path(self, path: str) -> None:
        found = os.lstat(self.below(path))
        held = self._files.get((found.st_dev, found.st_ino))
        if held is not None:
            self._flush(held)

    def _hold(self, path: str, flags: int, descriptor: int | None = None) -> int:
        if descriptor is None:
            descriptor = self._open_below(path)
        found = os.fstat(descriptor)
        inode = (found.st_dev, found.st_ino)
        held = self._files.get(inode)
        if held is None:
            content = PendingFile(descriptor, found.st_size)
            held = HeldFile(inode=inode, content=content, path=path)
            self._files[inode] = held
        else:
            os.close(descriptor)
        held.users += 1
        self._last_handle += 1
        self._handles[self._last_handle] = OpenHandle(
            file=held, is_synchronous=bool(flags & SYNCHRONOUS and flags & WRITES)
        )
        return self._last_handle

    def _open_below(self, path: str) -> int:
        """For reading and writing where that is allowed: others may open it for more later."""
        try:
            return os.open(self.below(path), os.O_RDWR)
        except PermissionError:
            return os.open(self.below(path), os.O_RDONLY)

    def _note_pending(self, held: HeldFile) -> None:
        held.written_at_ns = time.time_ns()
        if held.pending_since_s is None:
            held.pending_since_s = self._monotonic()

    def _flush(self, held: HeldFile) -> None:
        if self.lies:
            return
        held.content.flush()
        held.pending_since_s = None
        self._let_go(held)

    def _let_go(self, held: HeldFile) -> None:
        """Forget a file that nobody uses and that has nothing pending, or no name any more."""
        if held.users == 0 and (held.pending_since_s is None or not held.is_linked):
            held.content.close()
            del self._files[held.inode]

    def _lost_a_name(self, found: os.stat_result) -> int:
        if stat.S_ISDIR(found.st_mode) or found.st_nlink > 1:
            return 0
        held = self._files.get((found.st_dev, found.st_ino))
        if held is None:
            return found.st_size
        held.is_linked = False
        size = held.content.size
        self._let_go(held)
        return size
