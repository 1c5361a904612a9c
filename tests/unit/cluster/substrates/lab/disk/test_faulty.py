"""What is wrong with a disk: on a plain folder, without FUSE."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.substrates.disk import DiskArea, DiskFault, area_of
from cluster.substrates.lab.disk.faulty import FaultyFolder
from cluster.substrates.lab.disk.forgetful import ForgetfulFolder

PAGE = bytes(range(256)) * 32


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def disk(tmp_path: Path, slept: list[float]) -> FaultyFolder:
    (tmp_path / "pg_wal").mkdir()
    return FaultyFolder(ForgetfulFolder(str(tmp_path)), sleep=slept.append)


def made(disk: FaultyFolder, path: str = "/table") -> int:
    handle = disk.create(path, os.O_RDWR, 0o600)
    disk.write(handle, PAGE, 0)
    return handle


def refused(number: int, act: Callable[[], object]) -> bool:
    with pytest.raises(OSError) as caught:  # noqa: PT011 (its number is looked at)
        act()
    return caught.value.errno == number


@pytest.mark.parametrize(
    ("path", "area"),
    [
        ("/pgdata/pg_wal/000000010000000000000001", "wal"),
        ("/pgdata/pg_wal/archive_status/x.done", "wal"),
        ("/pgdata/base/5/16384", "data"),
        ("/pgdata/pg_walk", "data"),
    ],
)
def test_the_wal_is_what_is_in_its_folder(path: str, area: DiskArea) -> None:
    assert area_of(path) == area
    assert DiskFault(name="slow", where=area).concerns(path)
    assert DiskFault(name="slow").concerns(path)
    assert not DiskFault(name="slow", where="data" if area == "wal" else "wal").concerns(path)


def test_a_full_disk_takes_what_is_written_over_what_is_there(disk: FaultyFolder) -> None:
    handle = made(disk)
    disk.strike(DiskFault(name="full"))
    assert disk.room_bytes == 0
    assert disk.write(handle, PAGE[:9], 0) == 9
    assert disk.room_bytes == 0, "nothing was removed"
    assert refused(errno.ENOSPC, lambda: disk.write(handle, PAGE, 1))
    assert refused(errno.ENOSPC, lambda: disk.truncate(handle, len(PAGE) + 1))
    assert refused(errno.ENOSPC, lambda: disk.truncate_path("/table", len(PAGE) + 1))
    assert disk.files.size(handle) == len(PAGE)
    disk.mend("full")
    assert disk.room_bytes is None
    assert disk.write(handle, PAGE, len(PAGE)) == len(PAGE)


def test_a_disk_fills_up_and_what_is_removed_makes_room(disk: FaultyFolder) -> None:
    other, handle = made(disk, "/other"), disk.create("/new", os.O_RDWR, 0o600)
    disk.strike(DiskFault(name="full", room_bytes=10_000))
    disk.write(handle, PAGE, 0)
    assert disk.room_bytes == 10_000 - len(PAGE)
    assert refused(errno.ENOSPC, lambda: disk.write(handle, PAGE, len(PAGE)))
    disk.files.close(other)
    disk.unlink("/other")
    assert disk.room_bytes == 10_000
    disk.write(handle, PAGE, len(PAGE))
    disk.truncate(handle, 0)
    assert disk.room_bytes == 10_000 + len(PAGE)
    third = made(disk, "/third")
    disk.files.close(third)
    disk.rename("/third", "/new")
    assert disk.room_bytes == 10_000


def test_only_a_part_of_it_is_full(disk: FaultyFolder) -> None:
    disk.strike(DiskFault(name="full", where="wal"))
    made(disk, "/table")
    assert refused(errno.ENOSPC, lambda: made(disk, "/pg_wal/1"))


def test_a_read_only_disk_takes_no_change(disk: FaultyFolder, tmp_path: Path) -> None:
    handle = made(disk)
    disk.strike(DiskFault(name="read-only"))
    for act in (
        lambda: disk.open("/table", os.O_WRONLY),
        lambda: disk.create("/new", os.O_RDWR, 0o600),
        lambda: disk.write(handle, PAGE, 0),
        lambda: disk.truncate(handle, 0),
        lambda: disk.truncate_path("/table", 0),
        lambda: disk.unlink("/table"),
        lambda: disk.rename("/table", "/new"),
        lambda: disk.change((tmp_path / "folder").mkdir),
    ):
        assert refused(errno.EROFS, act)
    assert disk.read(disk.open("/table", os.O_RDONLY), 9, 0) == PAGE[:9]
    assert {path.name for path in tmp_path.iterdir()} == {"pg_wal", "table"}
    disk.mend("read-only")
    disk.change((tmp_path / "folder").mkdir)


def test_a_slow_disk_takes_its_time_for_writes_and_syncs(
    disk: FaultyFolder, slept: list[float]
) -> None:
    handle = made(disk)
    disk.strike(DiskFault(name="slow", delay_s=0.2))
    disk.write(handle, PAGE, 0)
    disk.sync(handle)
    disk.read(handle, 1, 0)
    assert slept == [0.2, 0.2]
    disk.mend("slow")
    disk.sync(handle)
    assert len(slept) == 2


@pytest.mark.parametrize("on", ["read", "write", "sync"])
def test_one_operation_fails_and_no_other(disk: FaultyFolder, on: str) -> None:
    handle = made(disk)
    disk.strike(DiskFault(name="errors", on=on))  # type: ignore[arg-type]
    acts: dict[str, Callable[[], object]] = {
        "read": lambda: disk.read(handle, 1, 0),
        "write": lambda: disk.write(handle, PAGE, 0),
        "sync": lambda: disk.sync(handle),
    }
    for name, act in acts.items():
        if name == on:
            assert refused(errno.EIO, act)
        else:
            act()


def test_faults_go_together_and_are_mended_one_by_one(disk: FaultyFolder, tmp_path: Path) -> None:
    handle = made(disk)
    disk.strike(DiskFault(name="lies"))
    disk.strike(DiskFault(name="full"))
    disk.sync(handle)
    assert set(disk.faults) == {"lies", "full"}
    assert (tmp_path / "table").read_bytes() == b""
    disk.mend("lies")
    disk.sync(handle)
    assert (tmp_path / "table").read_bytes() == PAGE
    assert set(disk.faults) == {"full"}
    disk.mend("lies")
