"""Tears a page of a PostgreSQL data folder: its first half is as last written, its second is not.

That is what a power cut in the middle of a write leaves (PostgreSQL manual, 19.5,
``full_page_writes``). WAL replay puts right what was changed since the last checkpoint's redo
position, so only a page that is older stays torn, until its checksum is looked at.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

from cluster.substrates.lab.disk.forgetful import ForgetfulFolder
from cluster.substrates.lab.disk.pending import PAGE_BYTES

FIRST_USER_OID = 16384
"""``FirstNormalObjectId`` (src/include/access/transam.h): below are PostgreSQL's own tables."""
REDO_AT = 40
"""In ``pg_control``: ``checkPointCopy.redo`` (src/include/catalog/pg_control.h, 11 and later)."""
HALF = PAGE_BYTES // 2


def tear(files: ForgetfulFolder, folder: str) -> str:
    """Tear one page of the largest table that has one that recovery would not restore.

    Args:
        files: the disk.
        folder: the data folder on it.

    Returns:
        The page, in words.

    Raises:
        ValueError: there is no such page.
        OSError: the folder cannot be read.
    """
    files.sync_all()
    redo = redo_position(files, folder)
    for path, size in sorted(tables(files, folder), key=lambda one: -one[1]):
        handle = files.open(path, os.O_RDWR)
        try:
            for number in range(size // PAGE_BYTES):
                page = files.read(handle, PAGE_BYTES, number * PAGE_BYTES)
                if 0 < lsn_of(page) < redo and any(page[HALF:]):
                    files.write(handle, bytes(HALF), number * PAGE_BYTES + HALF)
                    files.sync(handle)
                    files.was_torn = True
                    prove_torn(files, path, number, page)
                    return f"page {number} of {path.removeprefix('/')}"
        finally:
            files.close(handle)
    raise ValueError("no page of a table is older than the last checkpoint: none would stay torn")


def prove_torn(files: ForgetfulFolder, path: str, number: int, whole: bytes) -> None:
    """Look at the page below: it has one half of what it was, and not the other.

    Raises:
        ValueError: it is not so.
    """
    with open(files.below(path), "rb") as table:
        table.seek(number * PAGE_BYTES)
        found = table.read(PAGE_BYTES)
    if found[:HALF] != whole[:HALF] or found[HALF:] == whole[HALF:]:
        raise ValueError(f"page {number} of {path} is not torn on the disk")


def redo_position(files: ForgetfulFolder, folder: str) -> int:
    """Where recovery would begin."""
    with open(files.below(f"{folder}/global/pg_control"), "rb") as control:
        return int(struct.unpack_from("=Q", control.read(REDO_AT + 8), REDO_AT)[0])


def tables(files: ForgetfulFolder, folder: str) -> Iterator[tuple[str, int]]:
    """Path and size of the first segment of each table and index that is not PostgreSQL's own."""
    base = f"{folder}/base"
    for database in os.listdir(files.below(base)):
        for entry in os.scandir(files.below(f"{base}/{database}")):
            if entry.name.isdigit() and int(entry.name) >= FIRST_USER_OID:
                yield f"{base}/{database}/{entry.name}", entry.stat().st_size


def lsn_of(page: bytes) -> int:
    """The WAL position of a page's last change: two words, the high one first (manual, 73.6)."""
    high, low = struct.unpack_from("=II", page)
    return int(high << 32 | low)
