"""What a disk forgets with the power, and what it keeps: on a plain folder, without FUSE."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.substrates.lab.disk.forgetful import ForgetfulFolder
from cluster.substrates.lab.disk.pending import PAGE_BYTES, PendingFile

SIZES = st.one_of(st.integers(0, 3 * PAGE_BYTES), st.just(PAGE_BYTES))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), SIZES, st.integers(1, 2 * PAGE_BYTES)),
        st.tuples(st.just("truncate"), SIZES, st.just(0)),
        st.tuples(st.just("flush"), st.just(0), st.just(0)),
    ),
    max_size=12,
)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=2 * PAGE_BYTES), STEPS)
def test_a_file_is_what_an_ordinary_one_would_be_and_below_is_what_was_flushed(
    tmp_path_factory: pytest.TempPathFactory, start: bytes, steps: list[tuple[str, int, int]]
) -> None:
    path = tmp_path_factory.mktemp("below") / "file"
    path.write_bytes(start)
    expected = bytearray(start)
    flushed = start
    pending = PendingFile(os.open(path, os.O_RDWR), len(start))
    try:
        for number, (step, place, count) in enumerate(steps):
            if step == "write":
                content = bytes([number + 1]) * count
                pending.write(content, place)
                expected.extend(bytes(max(0, place - len(expected))))
                expected[place : place + count] = content
            elif step == "truncate":
                pending.truncate(place)
                del expected[place:]
                expected.extend(bytes(place - len(expected)))
            else:
                pending.flush()
                flushed = bytes(expected)
                assert not pending.is_pending
            assert pending.read(len(expected) + 1, 0) == expected
            assert pending.read(100, PAGE_BYTES - 50) == expected[PAGE_BYTES - 50 : PAGE_BYTES + 50]
            assert pending.size == len(expected)
            assert path.read_bytes() == flushed
            assert pending.is_pending or flushed == expected
    finally:
        pending.close()


class Clock:
    """A clock that stands still."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def disk(tmp_path: Path, clock: Clock) -> ForgetfulFolder:
    return ForgetfulFolder(str(tmp_path), monotonic=clock)


def written(disk: ForgetfulFolder, path: str, content: bytes, flags: int = os.O_RDWR) -> int:
    handle = disk.create(path, flags, 0o600)
    assert disk.write(handle, content, 0) == len(content)
    return handle


def test_only_what_was_synced_is_below(disk: ForgetfulFolder, tmp_path: Path) -> None:
    kept, lost = written(disk, "/kept", b"synced"), written(disk, "/lost", b"only written")
    disk.sync(kept)
    assert disk.read(lost, 99, 0) == b"only written"
    assert (tmp_path / "kept").read_bytes() == b"synced"
    assert (tmp_path / "lost").read_bytes() == b"", "its name is there, as after a crash of ext4"
    assert disk.pending_bytes() == PAGE_BYTES


@pytest.mark.parametrize("flag", [os.O_SYNC, os.O_DSYNC])
def test_a_file_opened_for_synchronous_writes_is_written_through(
    disk: ForgetfulFolder, tmp_path: Path, flag: int
) -> None:
    written(disk, "/wal", b"record", os.O_WRONLY | flag)
    assert (tmp_path / "wal").read_bytes() == b"record"


def test_closing_and_renaming_are_not_syncing(disk: ForgetfulFolder, tmp_path: Path) -> None:
    disk.close(written(disk, "/temporary", b"new"))
    disk.rename("/temporary", "/new")
    assert (tmp_path / "new").read_bytes() == b""
    again = disk.open("/new", os.O_RDONLY)
    assert disk.read(again, 99, 0) == b"new"
    assert disk.size_and_time(os.lstat(tmp_path / "new"))[0] == 3
    disk.sync(again)
    assert (tmp_path / "new").read_bytes() == b"new"


def test_what_takes_the_place_of_a_file_is_synced_as_ext4_does(
    disk: ForgetfulFolder, tmp_path: Path
) -> None:
    (tmp_path / "state").write_bytes(b"old")
    disk.close(written(disk, "/temporary", b"new"))
    assert disk.rename("/temporary", "/state") == 3
    assert (tmp_path / "state").read_bytes() == b"new"


def test_a_file_that_is_removed_while_open_lives_until_it_is_closed(
    disk: ForgetfulFolder, tmp_path: Path
) -> None:
    handle = written(disk, "/gone", b"x" * 10)
    assert disk.unlink("/gone") == 10
    assert not (tmp_path / "gone").exists()
    assert disk.read(handle, 99, 0) == b"x" * 10
    disk.close(handle)
    assert disk.pending_bytes() == 0
    with pytest.raises(FileNotFoundError):
        disk.open("/gone", os.O_RDONLY)


def test_what_is_removed_or_truncated_is_not_written_back(
    disk: ForgetfulFolder, tmp_path: Path
) -> None:
    disk.close(written(disk, "/removed", b"x" * 10))
    disk.unlink("/removed")
    handle = written(disk, "/cut", b"x" * 10)
    disk.close(disk.open("/cut", os.O_WRONLY | os.O_TRUNC))
    disk.truncate_path("/cut", 3)
    assert disk.sync_all() == 1
    assert disk.read(handle, 99, 0) == bytes(3)
    assert [path.name for path in tmp_path.iterdir()] == ["cut"]
    assert (tmp_path / "cut").read_bytes() == bytes(3)


def test_what_has_waited_is_written_back_as_the_kernel_does(
    disk: ForgetfulFolder, tmp_path: Path, clock: Clock
) -> None:
    disk.close(written(disk, "/early", b"1"))
    clock.now_s += 20
    disk.close(written(disk, "/late", b"2"))
    clock.now_s += 15
    assert disk.sync_all(older_than_s=30) == 1
    assert (tmp_path / "early").read_bytes() == b"1"
    assert (tmp_path / "late").read_bytes() == b""


def test_a_disk_that_lies_keeps_nothing_until_it_is_honest(
    disk: ForgetfulFolder, tmp_path: Path
) -> None:
    handle = written(disk, "/file", b"believed", os.O_RDWR | os.O_DSYNC)
    disk.sync(handle)
    disk.lies = True
    disk.write(handle, b"deceived", 0)
    disk.sync(handle)
    assert disk.sync_all() == 1
    assert (tmp_path / "file").read_bytes() == b"believed"
    disk.lies = False
    disk.sync(handle)
    assert (tmp_path / "file").read_bytes() == b"deceived"
