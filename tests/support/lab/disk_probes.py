"""Small experiments with one disk in user space, without PostgreSQL: ``python -m
support.lab.disk_probes NAME DIR``, in namespaces of its own.

Run by ``tests/integration/cluster/substrates/lab/disk/test_mount.py``.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cluster.substrates.disk import DiskFault
from cluster.substrates.lab.disk.control import ask, to_json

PAGE = b"p" * 8192
MOUNT_TIMEOUT_S = 20.0
POLL_S = 0.02
MNT_DETACH = 2
"""umount2(2)."""


class MountedDisk:
    """A disk, the folder that it is mounted over, and what would be left of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "disk"
        self.folder.mkdir()
        self._control = folder / "control"
        # What lies below, by a descriptor: the path leads to the disk.
        self._below = os.open(self.folder, os.O_PATH)
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "cluster.substrates.lab.disk.mount"),
                *(str(self.folder), str(self._control)),
            ]
        )
        end_s = time.monotonic() + MOUNT_TIMEOUT_S
        while not self._is_mounted():
            assert self.process.poll() is None, "the disk could not be mounted"
            assert time.monotonic() < end_s, "the disk was not mounted in time"
            time.sleep(POLL_S)

    def _is_mounted(self) -> bool:
        try:
            return bool(ask(self._control, do="look")["mounted"])
        except OSError:
            return False

    def strike(self, fault: DiskFault) -> None:
        """Break it."""
        ask(self._control, do="strike", fault=to_json(fault))

    def mend(self, name: str) -> None:
        """Mend it."""
        ask(self._control, do="mend", name=name)

    def left(self, name: str) -> bytes:
        """What a power cut would leave of a file now."""
        return Path(f"/proc/self/fd/{self._below}/{name}").read_bytes()

    def cut_power(self) -> None:
        """``kill -9`` of the disk: what only it knew is gone."""
        self.process.kill()
        self.process.wait()
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.umount2(os.fsencode(self.folder), MNT_DETACH) == 0, os.strerror(
            ctypes.get_errno()
        )


@contextmanager
def opened(path: Path, flags: int = os.O_RDWR | os.O_CREAT) -> Iterator[int]:
    """A descriptor of a file of the disk."""
    descriptor = os.open(path, flags, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def refused(number: int, act: Callable[[], object]) -> None:
    """It ends with that error."""
    with pytest.raises(OSError) as caught:  # noqa: PT011 (its number is looked at)
        act()
    assert caught.value.errno == number, caught.value


def power(disk: MountedDisk) -> None:
    """Written and synced survives the kill; written and not synced is gone."""
    for name, ways in {"synced": 1, "written": 0, "through": 2}.items():
        flags = os.O_RDWR | os.O_CREAT | (os.O_DSYNC if ways == 2 else 0)
        with opened(disk.folder / name, flags) as file:
            assert os.write(file, PAGE) == len(PAGE)
            if ways == 1:
                os.fdatasync(file)
    assert (disk.folder / "written").read_bytes() == PAGE
    disk.cut_power()
    left = {path.name: path.read_bytes() for path in disk.folder.iterdir()}
    assert left == {"synced": PAGE, "through": PAGE, "written": b""}


def files(disk: MountedDisk) -> None:
    """It behaves as a file system: names, sizes, links, modes, holes, files removed while open."""
    folder = disk.folder / "a" / "b"
    folder.mkdir(parents=True)
    with opened(folder / "file") as file:
        os.pwrite(file, b"end", 100_000)
        assert os.fstat(file).st_size == os.lseek(file, 0, os.SEEK_END) == 100_003
        assert os.pread(file, 5, 99_998) == b"\0\0end"
        os.ftruncate(file, 10)
        assert os.pread(file, 99, 0) == bytes(10)
    os.chmod(folder / "file", 0o640)
    assert (folder / "file").stat().st_mode & 0o777 == 0o640
    os.utime(folder / "file", (5, 6))
    assert (folder / "file").stat().st_mtime == 6
    os.link(folder / "file", folder / "twin")
    os.symlink("file", folder / "sign")
    os.rename(folder / "file", disk.folder / "moved")
    assert sorted(os.listdir(folder)) == ["sign", "twin"]
    assert os.readlink(folder / "sign") == "file"
    assert (folder / "twin").read_bytes() == (disk.folder / "moved").read_bytes() == bytes(10)
    with opened(disk.folder / "gone") as file:
        os.write(file, PAGE)
        os.unlink(disk.folder / "gone")
        os.ftruncate(file, 5)
        assert os.pread(file, 99, 0) == PAGE[:5]
        os.fsync(file)
    assert sorted(os.listdir(disk.folder)) == ["a", "moved"]
    refused(errno.ENOTEMPTY, lambda: os.rmdir(folder))
    refused(errno.ENOENT, lambda: os.open(disk.folder / "gone", os.O_RDONLY))
    refused(errno.EEXIST, lambda: os.open(disk.folder / "moved", os.O_CREAT | os.O_EXCL))
    with opened(disk.folder / "moved", os.O_WRONLY | os.O_TRUNC):
        assert (disk.folder / "moved").stat().st_size == 0


def full(disk: MountedDisk) -> None:
    """A full disk refuses what grows, and says so when it is asked."""
    with opened(disk.folder / "file") as file:
        os.write(file, PAGE)
        disk.strike(DiskFault(name="full", room_bytes=10_000))
        os.write(file, PAGE)
        refused(errno.ENOSPC, lambda: os.write(file, PAGE))
        os.pwrite(file, PAGE, 0)
        assert os.statvfs(disk.folder).f_bavail * os.statvfs(disk.folder).f_frsize < len(PAGE)
        disk.mend("full")
        os.write(file, PAGE)
        os.fsync(file)
    assert len(disk.left("file")) == 3 * len(PAGE)


def read_only(disk: MountedDisk) -> None:
    """A read-only disk refuses changes, also of files that are open."""
    with opened(disk.folder / "file") as file:
        os.write(file, PAGE)
        disk.strike(DiskFault(name="read-only"))
        refused(errno.EROFS, lambda: os.write(file, PAGE))
        refused(errno.EROFS, lambda: os.open(disk.folder / "new", os.O_CREAT | os.O_WRONLY))
        refused(errno.EROFS, lambda: os.unlink(disk.folder / "file"))
        assert (disk.folder / "file").read_bytes() == PAGE
        disk.mend("read-only")
        os.write(file, PAGE)


def slow(disk: MountedDisk) -> None:
    """A slow disk takes its time for a sync."""
    delay_s = 0.3
    with opened(disk.folder / "file") as file:
        os.write(file, PAGE)
        disk.strike(DiskFault(name="slow", delay_s=delay_s))
        begin_s = time.monotonic()
        os.fdatasync(file)
        assert time.monotonic() - begin_s >= delay_s
        disk.mend("slow")
    assert disk.left("file") == PAGE


def errors(disk: MountedDisk) -> None:
    """A failing disk fails the operation that it was told to fail."""
    path = disk.folder / "file"
    with opened(path) as file:
        os.write(file, PAGE)
        disk.strike(DiskFault(name="errors", on="sync"))
        refused(errno.EIO, lambda: os.fsync(file))
        disk.strike(DiskFault(name="errors", on="write"))
        refused(errno.EIO, lambda: os.write(file, PAGE))
        disk.strike(DiskFault(name="errors", on="read"))
        refused(errno.EIO, path.read_bytes)
        disk.mend("errors")
        assert path.read_bytes() == PAGE


def lies(disk: MountedDisk) -> None:
    """A disk that lies has lost, after a power cut, what it said that it had synced."""
    disk.strike(DiskFault(name="lies"))
    with opened(disk.folder / "file", os.O_RDWR | os.O_CREAT | os.O_DSYNC) as file:
        os.write(file, PAGE)
        os.fsync(file)
    assert (disk.folder / "file").read_bytes() == PAGE
    disk.cut_power()
    assert (disk.folder / "file").read_bytes() == b""


DISK_PROBES: dict[str, Callable[[MountedDisk], None]] = {
    probe.__name__: probe for probe in (power, files, full, read_only, slow, errors, lies)
}


def main() -> int:
    """Run one probe; 0 when all that it asserts holds."""
    disk = MountedDisk(Path(sys.argv[2]))
    try:
        DISK_PROBES[sys.argv[1]](disk)
    finally:
        if disk.process.poll() is None:
            disk.process.send_signal(signal.SIGKILL)
            disk.process.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
