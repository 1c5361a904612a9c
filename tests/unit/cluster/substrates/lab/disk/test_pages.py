"""Which page is torn, and how: on a folder that looks like PostgreSQL's."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from cluster.substrates.lab.disk.forgetful import ForgetfulFolder
from cluster.substrates.lab.disk.pages import HALF, REDO_AT, tear
from cluster.substrates.lab.disk.pending import PAGE_BYTES


def page(lsn: int, fill: bytes = b"x") -> bytes:
    head = struct.pack("=II", lsn >> 32, lsn & 0xFFFFFFFF)
    return head + fill * (PAGE_BYTES - len(head))


def folder(tmp_path: Path, *, redo: int, tables: dict[str, bytes]) -> ForgetfulFolder:
    data = tmp_path / "pgdata"
    (data / "global").mkdir(parents=True)
    (data / "global" / "pg_control").write_bytes(bytes(REDO_AT) + struct.pack("=Q", redo))
    (data / "base" / "5").mkdir(parents=True)
    for name, content in tables.items():
        (data / "base" / "5" / name).write_bytes(content)
    return ForgetfulFolder(str(tmp_path))


def test_the_first_page_that_recovery_would_not_restore_loses_its_second_half(
    tmp_path: Path,
) -> None:
    new, old = page(3 << 32), page(1 << 32 | 7)
    files = folder(
        tmp_path,
        redo=2 << 32,
        tables={"16384": new + old + old, "1259": old * 9, "16384_fsm": old * 9, "16385": old},
    )
    assert tear(files, "/pgdata") == "page 1 of pgdata/base/5/16384"
    found = (tmp_path / "pgdata/base/5/16384").read_bytes()
    assert found == new + old[:HALF] + bytes(HALF) + old


@pytest.mark.parametrize(
    "content", [page(3 << 32), bytes(PAGE_BYTES), page(1)[:HALF] + bytes(HALF), b""]
)
def test_a_page_that_would_not_stay_torn_is_left_alone(tmp_path: Path, content: bytes) -> None:
    files = folder(tmp_path, redo=2 << 32, tables={"16384": content})
    with pytest.raises(ValueError, match="older than the last checkpoint"):
        tear(files, "/pgdata")
    assert (tmp_path / "pgdata/base/5/16384").read_bytes() == content


def test_a_disk_that_lies_cannot_be_proved_torn(tmp_path: Path) -> None:
    files = folder(tmp_path, redo=2 << 32, tables={"16384": page(1)})
    files.lies = True
    with pytest.raises(ValueError, match="page 0 of /pgdata/base/5/16384 is not torn"):
        tear(files, "/pgdata")
