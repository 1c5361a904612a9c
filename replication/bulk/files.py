"""Files as COPY reads them (CSV or text), cut into chunks at the ends of records.

The file is not parsed, and not re-encoded: a chunk is a range of its bytes; only a byte order mark
at the beginning of the file is left out (``marks``). Where a record ends follows from PostgreSQL's
rules (manual, COPY, "File Formats"). In CSV a line break inside quotes belongs to the value, so a
record ends at a line break that an even number of quotes precedes; a doubled quote does not change
that. In text a line break after a backslash belongs to the value.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncGenerator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import anyio.to_thread

from replication.bulk.errors import SourceUnreadable, no_facts
from replication.bulk.marks import HEAD_BYTES, UTF8_MARK, is_escaped, mark_bytes, stray_mark
from replication.bulk.model import Chunk, CopySetting, Start
from replication.bulk.rows import next_start
from replication.wire import BLOCK_BYTES

ENCODINGS = ("UTF8", "LATIN1", "LATIN9", "WIN1252")
"""Those of PostgreSQL in which a line break, a quote and a backslash are one byte that is part of
no other character, and which are in use for the files of hospitals."""

_END_OF_DATA = re.compile(rb"^\\\.\r?$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFormat:
    """How to read a file: the options of COPY by their names. None is COPY's own default.

    ``header``: the first record has the columns' names. ``match`` makes PostgreSQL compare them
    with the columns of the load; ``skip`` ignores them.
    """

    format: Literal["csv", "text"] = "csv"
    header: Literal["none", "skip", "match"] = "none"
    delimiter: str | None = None
    null: str | None = None
    quote: str = '"'
    encoding: str = "UTF8"

    def __post_init__(self) -> None:
        """Refuses what would make the chunks differ from what COPY reads."""
        if self.encoding not in ENCODINGS:
            raise ValueError(f"encoding is one of {', '.join(ENCODINGS)}, not {self.encoding!r}")
        if len(self.quote) != 1 or not self.quote.isascii() or self.quote in "\r\n":
            raise ValueError("quote is one ASCII character that is no line break")


class FileSource:
    """A file. It must not change while it is loaded, and what is loaded must never change.

    Args:
        load: its name, for errors.
        path: a plain file (a pipe cannot be read twice).
        file_format: how to read it.
        chunk_bytes_max: a chunk is the whole records that fit into this.

    Raises:
        OSError: it cannot be opened.
    """

    row_word = "line"

    def __init__(
        self, load: str, path: Path, file_format: FileFormat, *, chunk_bytes_max: int
    ) -> None:
        self._load = load
        self._path = path
        self._format = file_format
        self._quote = file_format.quote.encode() if file_format.format == "csv" else None
        self._chunk_bytes_max = chunk_bytes_max
        self._size = path.stat().st_size
        self._header = b""

    def plan(self) -> Mapping[str, CopySetting]:
        """Without the file's path and size: what is not loaded yet may be corrected."""
        return {"source": "file", **asdict(self._format)}

    def copy_options(self) -> Mapping[str, CopySetting]:
        """With ``match`` every chunk is preceded by the header, so that COPY can check it."""
        options: dict[str, CopySetting] = {
            "format": self._format.format,
            "encoding": self._format.encoding,
            "delimiter": self._format.delimiter,
            "null": self._format.null,
        }
        if self._format.format == "csv":
            options["quote"] = self._format.quote
        if self._format.header == "match":
            options["header"] = "match"
        return {name: value for name, value in options.items() if value is not None}

    def row_of(self, chunk: Chunk, line: int) -> int:
        """A line of the file. A header that was given to COPY counts as a line of the COPY."""
        lines_before = self._header.count(b"\n") if self._format.header == "match" else 0
        return chunk.start.line + line - 1 - lines_before

    async def chunks(self, start: Start | None) -> AsyncGenerator[Chunk, None]:
        """See ``Source``; seeks to ``start``.

        Raises:
            SourceUnreadable: no record ends within ``chunk_bytes_max``, or COPY would end early.
        """
        with self._path.open("rb") as file:
            mark = await self._read_mark(file)
            if self._format.header != "none":
                self._header = await self._read_header(file, mark)
            position = mark + len(self._header)
            first = Start(number=1, position=position, line=1 + self._header.count(b"\n"))
            start = start or first
            while data := await self._read_records(file, start):
                yield (chunk := self._chunk(start, data))
                start = next_start(chunk)

    async def _read_mark(self, file: BinaryIO) -> int:
        """How many bytes precede the first record."""
        head = await self._read(file, 0, at_least=HEAD_BYTES)
        try:
            return mark_bytes(head[:HEAD_BYTES], self._format.encoding)
        except ValueError as error:
            start = Start(number=1, position=0, line=1)
            raise self._unreadable(start, f"{self._path} {error}") from error

    async def _read_header(self, file: BinaryIO, position: int) -> bytes:
        data, start = await self._read(file, position), Start(number=1, position=position, line=1)
        end = first_record_end(data, self._quote)
        if end is None and position + len(data) < self._size:
            raise self._no_end(start)
        header = data if end is None else data[:end]
        self._require_no_mark(start, header)
        return header

    async def _read_records(self, file: BinaryIO, start: Start) -> bytes:
        data = await self._read(file, start.position)
        if start.position + len(data) >= self._size:
            return data
        end = last_record_end(data, self._quote)
        if end is None:
            raise self._no_end(start)
        return data[:end]

    async def _read(self, file: BinaryIO, position: int, *, at_least: int = 0) -> bytes:
        """Reads in a thread: from a network file system a read can take long."""

        def read() -> bytes:
            file.seek(position)
            left_bytes = max(0, self._size - position)
            return file.read(min(max(self._chunk_bytes_max, at_least), left_bytes))

        return await anyio.to_thread.run_sync(read)

    def _chunk(self, start: Start, data: bytes) -> Chunk:
        if (marker := _END_OF_DATA.search(data)) is not None:
            line = start.line + data.count(b"\n", 0, marker.start())
            raise self._unreadable(
                start,
                f"line {line} of {self._path} is \\. and would end COPY there: take the line out"
                " (CSV: put the value into quotes)",
            )
        self._require_no_mark(start, data)
        copied = self._header + data if self._format.header == "match" else data
        return Chunk(
            start=start,
            position_end=start.position + len(data),
            line_end=start.line + data.count(b"\n"),
            bytes_total=len(copied),
            digest=hashlib.sha256(copied).hexdigest(),
            blocks=tuple(
                copied[at : at + BLOCK_BYTES] for at in range(0, len(copied), BLOCK_BYTES)
            ),
        )

    def _require_no_mark(self, start: Start, data: bytes) -> None:
        """Refuse a mark in the middle, where another file was appended to this one.

        Raises:
            SourceUnreadable: there is one.
        """
        # A load that an earlier version began has the mark of the file in its first chunk.
        known = len(UTF8_MARK) if start.position == 0 else 0
        at = stray_mark(data, self._quote, after=known)
        if at is not None:
            line = start.line + data.count(b"\n", 0, at)
            raise self._unreadable(
                start,
                f"line {line} of {self._path} begins with a byte order mark (EF BB BF), which would"
                " become part of its first value: take it out (if it is meant: CSV, put the value"
                " into quotes; text, write \\xEF\\xBB\\xBF)",
            )

    def _no_end(self, start: Start) -> SourceUnreadable:
        return self._unreadable(
            start,
            f"the record at line {start.line} of {self._path} does not end within"
            f" {self._chunk_bytes_max} bytes: a quote is missing, or chunk_bytes_max is too small",
        )

    def _unreadable(self, start: Start, message: str) -> SourceUnreadable:
        return SourceUnreadable(
            message, load=self._load, chunk=start.number, **no_facts(self._load)
        )


def last_record_end(data: bytes, quote: bytes | None) -> int | None:
    """Where the last whole record of ``data`` ends (one past its line break), or None.

    Args:
        data: begins with a record.
        quote: that of CSV; None for text.
    """
    end = data.rfind(b"\n")
    if quote is None:
        while end >= 0 and is_escaped(data, end):
            end = data.rfind(b"\n", 0, end)
        return None if end < 0 else end + 1
    quotes = data.count(quote, 0, max(end, 0))
    while end >= 0 and quotes % 2:
        before = data.rfind(b"\n", 0, end)
        quotes -= data.count(quote, max(before, 0), end)
        end = before
    return None if end < 0 else end + 1


def first_record_end(data: bytes, quote: bytes | None) -> int | None:
    """Where the first record of ``data`` ends (one past its line break), or None."""
    end, quotes, counted = data.find(b"\n"), 0, 0
    while end >= 0:
        if quote is not None:
            quotes += data.count(quote, counted, end)
            counted = end
        if not (quotes % 2 if quote is not None else is_escaped(data, end)):
            return end + 1
        end = data.find(b"\n", end + 1)
    return None
