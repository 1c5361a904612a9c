"""Files as COPY reads them (CSV or text), cut into chunks at the ends of records.

The file is not parsed, and not re-encoded: a chunk is a stretch of its bytes. Where a record ends
follows from PostgreSQL's rules (manual, COPY, "File Formats"). In CSV a line break inside quotes
belongs to the value, so a record ends at a line break that an even number of quotes precedes; a
doubled quote does not change that. In text a line break after a backslash belongs to the value.
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
from replication.bulk.model import Chunk, Setting, Start
from replication.bulk.rows import next_start
from replication.wire import BLOCK_BYTES

ENCODINGS = ("UTF8", "LATIN1", "LATIN9", "WIN1252")
"""Those of PostgreSQL in which a line break, a quote and a backslash are one byte that is part of
no other character, and which are in use for the files of hospitals."""

_END_OF_DATA = re.compile(rb"^\\\.\r?$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFormat:
    """How to read a file: the options of COPY by their names. None is COPY's own default.

    ``header``: the first record has the columns' names. ``match`` has PostgreSQL hold them against
    the columns of the load; ``skip`` ignores them.
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
    """A file, which must not change while it is loaded; what is loaded must not change at all.

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

    def plan(self) -> Mapping[str, Setting]:
        """Neither where the file lies nor its size: what is not loaded yet may be mended."""
        return {"source": "file", **asdict(self._format)}

    def copy_options(self) -> Mapping[str, Setting]:
        """With ``match`` every chunk is preceded by the header, so that COPY can check it."""
        options: dict[str, Setting] = {
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
        """A line of the file. A header that COPY was given counts as lines of the COPY."""
        lines_before = self._header.count(b"\n") if self._format.header == "match" else 0
        return chunk.start.line + line - 1 - lines_before

    async def chunks(self, start: Start | None) -> AsyncGenerator[Chunk, None]:
        """See ``Source``; seeks to ``start``.

        Raises:
            SourceUnreadable: no record ends within ``chunk_bytes_max``, or COPY would end early.
        """
        with self._path.open("rb") as file:
            if self._format.header != "none":
                self._header = await self._read_header(file)
            first = Start(number=1, position=len(self._header), line=1 + self._header.count(b"\n"))
            start = start or first
            while data := await self._read_records(file, start):
                yield (chunk := self._chunk(start, data))
                start = next_start(chunk)

    async def _read_header(self, file: BinaryIO) -> bytes:
        data = await self._read(file, 0)
        end = first_record_end(data, self._quote)
        if end is None and len(data) == self._size:
            return data
        if end is None:
            raise self._no_end(Start(number=1, position=0, line=1))
        return data[:end]

    async def _read_records(self, file: BinaryIO, start: Start) -> bytes:
        data = await self._read(file, start.position)
        if start.position + len(data) >= self._size:
            return data
        end = last_record_end(data, self._quote)
        if end is None:
            raise self._no_end(start)
        return data[:end]

    async def _read(self, file: BinaryIO, position: int) -> bytes:
        """In a thread: where the file lies on the network, a read can take long."""

        def read() -> bytes:
            file.seek(position)
            return file.read(min(self._chunk_bytes_max, self._size - position))

        return await anyio.to_thread.run_sync(read)

    def _chunk(self, start: Start, data: bytes) -> Chunk:
        if (marker := _END_OF_DATA.search(data)) is not None:
            line = start.line + data.count(b"\n", 0, marker.start())
            raise self._unreadable(
                start,
                f"line {line} of {self._path} is \\. and would end COPY there: take the line out"
                " (CSV: put the value into quotes)",
            )
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
        while end >= 0 and _is_escaped(data, end):
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
        if not (quotes % 2 if quote is not None else _is_escaped(data, end)):
            return end + 1
        end = data.find(b"\n", end + 1)
    return None


def _is_escaped(data: bytes, at: int) -> bool:
    """Whether an odd number of backslashes stands before ``at``."""
    backslashes = at
    while backslashes > 0 and data[backslashes - 1 : backslashes] == b"\\":
        backslashes -= 1
    return (at - backslashes) % 2 == 1
