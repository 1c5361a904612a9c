"""The content of one file, part of it on the disk and part of it only in memory.

What was written stays in memory, page by page, until ``flush`` puts it into the file below. Whoever
dies before that has lost it, as a disk's volatile cache is lost with the power.

Only content and size wait here. Names do not: creating, renaming and removing take effect below at
once, as on a file system whose journal is committed at every step (ext4 commits it every 5 s and
with every fsync, Documentation/filesystems/ext4). So a file that was made and never synced is there
after a power cut, and empty.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

PAGE_BYTES = 8192
"""PostgreSQL's own page (manual, 73.6): most writes are whole ones, and need no read."""


class PendingFile:
    """One file below, and what it does not have yet.

    Args:
        descriptor: of the file below, open for what is to be done with it; owned from now on.
        size: of the file below.
    """

    def __init__(self, descriptor: int, size: int) -> None:
        self.descriptor = descriptor
        self.size = size
        """Bytes of the file, as its users see it."""
        self._kept = self.size  # beyond this, what lies below was cut off and reads as zeros
        self._below = self.size
        self._pages: dict[int, bytearray] = {}

    @property
    def is_pending(self) -> bool:
        """A power cut would lose something of it."""
        return bool(self._pages) or self._kept < self._below or self.size != self._below

    @property
    def pending_bytes(self) -> int:
        """How much of it is only in memory."""
        return PAGE_BYTES * len(self._pages)

    def read(self, count: int, offset: int) -> bytes:
        """At most ``count`` bytes from ``offset`` on; fewer at the end of the file."""
        end = min(offset + count, self.size)
        if offset >= end:
            return b""
        if not self._pages and end <= self._kept:
            return os.pread(self.descriptor, end - offset, offset)
        found = bytearray(end - offset)
        if offset < self._kept:
            below = os.pread(self.descriptor, min(end, self._kept) - offset, offset)
            found[: len(below)] = below
        for number in range(offset // PAGE_BYTES, (end - 1) // PAGE_BYTES + 1):
            page = self._pages.get(number)
            if page is not None:
                start = number * PAGE_BYTES
                begin, stop = max(start, offset), min(start + PAGE_BYTES, end)
                found[begin - offset : stop - offset] = page[begin - start : stop - start]
        return bytes(found)

    def write(self, content: bytes, offset: int) -> None:
        """Keep ``content`` in memory, at ``offset``."""
        end = offset + len(content)
        position = offset
        while position < end:
            number, within = divmod(position, PAGE_BYTES)
            stop = min(end, (number + 1) * PAGE_BYTES)
            part = content[position - offset : stop - offset]
            if len(part) == PAGE_BYTES:
                self._pages[number] = bytearray(part)
            else:
                self._page(number)[within : within + len(part)] = part
            position = stop
        self.size = max(self.size, end)

    def truncate(self, size: int) -> None:
        """Cut the file off, or lengthen it with zeros; in memory too."""
        if size < self.size:
            first_gone = -(-size // PAGE_BYTES)
            for number in [one for one in self._pages if one >= first_gone]:
                del self._pages[number]
            number, within = divmod(size, PAGE_BYTES)
            if within and number in self._pages:
                self._pages[number][within:] = bytes(PAGE_BYTES - within)
            self._kept = min(self._kept, size)
        self.size = size

    def flush(self) -> None:
        """Put everything into the file below: from now on a power cut does not lose it."""
        below = self._below
        if self._kept < below:
            os.ftruncate(self.descriptor, self._kept)
            below = self._kept
        for offset, content in self._runs():
            write_whole(self.descriptor, content, offset)
            below = max(below, offset + len(content))
        if below != self.size:
            os.ftruncate(self.descriptor, self.size)
        self._pages.clear()
        self._kept = self._below = self.size

    def close(self) -> None:
        """Let go of the file below. What is pending is lost."""
        os.close(self.descriptor)

    def _page(self, number: int) -> bytearray:
        """A page in memory, read from below where it is not there yet."""
        if number not in self._pages:
            page = bytearray(PAGE_BYTES)
            start = number * PAGE_BYTES
            if start < self._kept:
                below = os.pread(self.descriptor, min(PAGE_BYTES, self._kept - start), start)
                page[: len(below)] = below
            self._pages[number] = page
        return self._pages[number]

    def _runs(self) -> Iterator[tuple[int, bytes]]:
        """Offset and content of each run of pages without a gap; none goes beyond the end."""
        run: list[bytes] = []
        first = 0
        for number in sorted(self._pages):
            if run and number != first + len(run):
                yield self._cut(first, run)
                run = []
            if not run:
                first = number
            run.append(bytes(self._pages[number]))
        if run:
            yield self._cut(first, run)

    def _cut(self, first: int, run: list[bytes]) -> tuple[int, bytes]:
        offset = first * PAGE_BYTES
        return offset, b"".join(run)[: max(0, self.size - offset)]


def write_whole(descriptor: int, content: bytes, offset: int) -> None:
    """Write all of it, in as many turns as it takes."""
    view = memoryview(content)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written
