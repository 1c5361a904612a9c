"""The disk's own process: mounts it over the folder below, and serves it until the host dies.

``python -m cluster.substrates.lab.disk.mount FOLDER CONTROL``, inside of the host's mount namespace
and with the lab's root. The host sees the disk at FOLDER; everybody else sees there what a power
cut leaves. What is only in memory is in this process, so a power cut, which ends it with all others
of the host, loses it without further ado.

This is the only module that imports ``mfusepy``, and with it libfuse.
"""

from __future__ import annotations

import logging
import os
import resource
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any, cast

os.environ["FUSE_LIBRARY_NAME"] = "fuse3"  # where libfuse 2 is installed too

import mfusepy

from cluster.substrates.lab.disk.control import DiskServer
from cluster.substrates.lab.disk.faulty import FaultyFolder
from cluster.substrates.lab.disk.forgetful import ForgetfulFolder

WRITE_BACK_S = 5.0
WRITE_BACK_AGE_S = 30.0
"""Linux puts by itself onto the disk, every 5 s, what has waited for 30 s
(vm.dirty_writeback_centisecs, vm.dirty_expire_centisecs)."""

UTIME_NOW, UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2
STAT_FIELDS = ("st_mode", "st_nlink", "st_uid", "st_gid", "st_ino", "st_rdev", "st_blocks")
KNOWN_S = 3600
"""For so long the kernel need not ask again for names and attributes: only it changes them."""
STATVFS_FIELDS = (
    *("f_bavail", "f_bfree", "f_blocks", "f_bsize", "f_favail", "f_ffree"),
    *("f_files", "f_flag", "f_frsize", "f_namemax"),
)


class FuseDisk:
    """What libfuse calls: turns its calls into those of the folder."""

    use_ns = True
    """Times are nanoseconds."""
    flag_nopath = flag_nullpath_ok = True
    """libfuse gives no path where it has a handle: a file that was removed while open has none."""

    def __init__(self, folder: FaultyFolder, server: DiskServer) -> None:
        self._folder = folder
        self._files = folder.files
        self._server = server

    def init(self, path: str) -> None:
        """The disk is mounted."""
        self._server.mounted.set()

    # ---- files ----

    @property
    def may_be_cached(self) -> bool:
        """The kernel may answer reads by itself."""
        return self._folder.may_be_cached

    def open(self, path: str, flags: int) -> int:
        return self._folder.open(path, flags)

    def create(self, path: str, mode: int, flags: int) -> int:
        return self._folder.create(path, flags, mode)

    def read(self, path: str | None, size: int, offset: int, handle: int) -> bytes:
        return self._folder.read(handle, size, offset)

    def write(self, path: str | None, content: bytes, offset: int, handle: int) -> int:
        return self._folder.write(handle, content, offset)

    def fsync(self, path: str | None, is_data_only: int, handle: int) -> int:
        self._folder.sync(handle)
        return 0

    def truncate(self, path: str | None, size: int, handle: int | None) -> int:
        if handle is not None:
            self._folder.truncate(handle, size)
        else:
            self._folder.truncate_path(path or "", size)
        return 0

    def release(self, path: str | None, handle: int) -> int:
        self._files.close(handle)
        return 0

    # ---- folders: their handles are descriptors below ----

    def opendir(self, path: str) -> int:
        return os.open(self._files.below(path), os.O_RDONLY | os.O_DIRECTORY)

    def readdir(self, path: str | None, handle: int) -> list[str]:
        return [".", "..", *os.listdir(handle)]

    def releasedir(self, path: str | None, handle: int) -> int:
        os.close(handle)
        return 0

    def fsyncdir(self, path: str | None, is_data_only: int, handle: int) -> int:
        return 0  # names are on the disk already (``pending``)

    # ---- names ----

    def getattr(self, path: str | None, handle: int | None = None) -> dict[str, Any]:
        found = self._files.stat(path, handle)
        size, changed_ns = self._files.size_and_time(found)
        fields: dict[str, Any] = {name: getattr(found, name) for name in STAT_FIELDS}
        fields["st_size"] = size
        fields["st_atime"] = found.st_atime_ns
        fields["st_mtime"] = changed_ns
        fields["st_ctime"] = max(found.st_ctime_ns, changed_ns)
        return fields

    def readlink(self, path: str) -> str:
        return os.readlink(self._files.below(path))

    def unlink(self, path: str) -> None:
        self._folder.unlink(path)

    def rename(self, old: str, new: str) -> None:
        self._folder.rename(old, new)

    def mkdir(self, path: str, mode: int) -> None:
        self._folder.change(lambda: os.mkdir(self._files.below(path), mode))

    def rmdir(self, path: str) -> None:
        self._folder.change(lambda: os.rmdir(self._files.below(path)))

    def mknod(self, path: str, mode: int, device: int) -> None:
        self._folder.change(lambda: os.mknod(self._files.below(path), mode, device))

    def symlink(self, path: str, leads_to: str) -> None:
        self._folder.change(lambda: os.symlink(leads_to, self._files.below(path)))

    def link(self, path: str, other: str) -> None:
        self._folder.change(lambda: os.link(self._files.below(other), self._files.below(path)))

    def chmod(self, path: str | None, mode: int, handle: int | None) -> None:
        self._folder.change(lambda: os.chmod(self._place(path, handle), mode))

    def chown(self, path: str | None, user: int, group: int, handle: int | None) -> None:
        self._folder.change(lambda: os.chown(self._place(path, handle), user, group))

    def utimens(self, path: str | None, times: tuple[int, int], handle: int | None) -> None:
        self._folder.change(lambda: self._files.set_times(self._place(path, handle), times))

    def _place(self, path: str | None, handle: int | None) -> str:
        return self._files.place(path, handle)

    def statfs(self, path: str) -> dict[str, int]:
        found = os.statvfs(self._files.below(path))
        fields: dict[str, int] = {name: getattr(found, name) for name in STATVFS_FIELDS}
        room = self._folder.room_bytes
        if room is not None:
            fields["f_bavail"] = fields["f_bfree"] = room // found.f_frsize
        return fields


class DiskMount(mfusepy.FUSE):  # type: ignore[misc]
    """The mounted disk; libfuse's calls to which mfusepy does not give the handle, with it."""

    def open(self, path: bytes, info: object) -> int:
        found = cast(Any, info).contents
        found.fh = self.operations.open(os.fsdecode(path), found.flags)
        found.keep_cache = self.operations.may_be_cached
        return 0

    def truncate_fuse_3(self, path: bytes | None, size: int, info: object) -> int:
        self.operations.truncate(_text(path), size, _handle(info))
        return 0

    def chmod_fuse_3(self, path: bytes | None, mode: int, info: object) -> int:
        self.operations.chmod(_text(path), mode, _handle(info))
        return 0

    def chown_fuse_3(self, path: bytes | None, user: int, group: int, info: object) -> int:
        self.operations.chown(_text(path), _id(user), _id(group), _handle(info))
        return 0

    def utimens_fuse_3(self, path: bytes | None, times: object, info: object) -> int:
        both = cast(Any, times).contents
        found = self.operations.getattr(_text(path), _handle(info))
        asked = (
            _time(both.actime, found["st_atime"]),
            _time(both.modtime, found["st_mtime"]),
        )
        self.operations.utimens(_text(path), asked, _handle(info))
        return 0


def _text(path: bytes | None) -> str | None:
    return None if path is None else os.fsdecode(path)


def _handle(info: object) -> int | None:
    return int(cast(Any, info).contents.fh) if info else None


def _time(asked: Any, known_ns: int) -> int:  # noqa: ANN401 (a structure of C)
    """A time in ns; two values stand for "now" and "as it is" (utimensat(2))."""
    if asked.tv_nsec == UTIME_NOW:
        return time.time_ns()
    return known_ns if asked.tv_nsec == UTIME_OMIT else asked.tv_sec * 10**9 + asked.tv_nsec


def _id(number: int) -> int:
    """-1, "leave it as it is", arrives without its sign."""
    return -1 if number == 2**32 - 1 else number


def write_back(files: ForgetfulFolder) -> None:
    """Do what the kernel does by itself, for ever."""
    while True:
        time.sleep(WRITE_BACK_S)
        files.sync_all(older_than_s=WRITE_BACK_AGE_S)


def main() -> int:
    """Serve a disk; returns only when it is unmounted."""
    folder, control = Path(sys.argv[1]), Path(sys.argv[2])
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # one a file that is pending
    os.umask(0)  # the modes that come are final
    # By a descriptor: the path will lead to the disk, and libfuse changes the working directory.
    below = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    files = ForgetfulFolder(f"/proc/self/fd/{below}")
    disk = FaultyFolder(files)
    server = DiskServer(disk)
    listener = socket.socket(socket.AF_UNIX)
    control.unlink(missing_ok=True)
    listener.bind(str(control))
    listener.listen()
    threading.Thread(target=server.serve, args=(listener,), daemon=True).start()
    threading.Thread(target=write_back, args=(files,), daemon=True).start()
    DiskMount(
        FuseDisk(disk, server),
        str(folder),
        foreground=True,
        nothreads=True,  # one operation after another: three times as quick, with Python's lock
        attr_timeout=KNOWN_S,
        entry_timeout=KNOWN_S,
        negative_timeout=KNOWN_S,
        allow_other=True,  # units run in one more user namespace
        default_permissions=True,  # the kernel looks at the modes
        hard_remove=True,  # a file that is removed while open is no ".fuse_hidden" file
        fsname="bascule-disk",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
