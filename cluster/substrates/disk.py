"""What can be wrong with a disk, as values. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

DiskFaultName = Literal["full", "read-only", "slow", "errors", "lies"]
DiskArea = Literal["data", "wal"]
"""``wal``: PostgreSQL's folder ``pg_wal`` (manual, 73.1); ``data``: everything else."""
DiskOperation = Literal["read", "write", "sync"]

DISK_AREAS: tuple[DiskArea, ...] = get_args(DiskArea)
DISK_OPERATIONS: tuple[DiskOperation, ...] = get_args(DiskOperation)
WAL_FOLDER = "pg_wal"


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskFault:
    """One thing that is wrong with a disk.

    - ``full``: once ``room_bytes`` more are taken, what would take more is refused (ENOSPC).
    - ``read-only``: every change is refused (EROFS).
    - ``slow``: each write and each sync takes ``delay_s`` longer.
    - ``errors``: the operation ``on`` fails (EIO).
    - ``lies``: a sync is answered at once, and keeps nothing: what was written since is lost with
      the power.
    """

    name: DiskFaultName
    where: DiskArea | None = None
    """Only this part of the disk; None: all of it. A ``read-only`` disk, and one that ``lies``, is
    so everywhere."""
    room_bytes: int = 0
    delay_s: float = 0.0
    on: DiskOperation = "sync"

    def concerns(self, path: str) -> bool:
        """A file lies in its part of the disk."""
        return self.where in (None, area_of(path))


def area_of(path: str) -> DiskArea:
    """The part of the disk that a file of it lies in."""
    return "wal" if WAL_FOLDER in path.split("/") else "data"
