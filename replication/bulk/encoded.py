"""Chunks that the application has encoded itself, as COPY reads them."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import anyio.to_thread

from replication.bulk.model import Chunk, CopySetting, Start
from replication.bulk.rows import next_start
from replication.wire import BLOCK_BYTES

EncodedFormat = Literal["binary", "text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedChunk:
    """The rows of one chunk: all that COPY reads, in ``binary`` with its header and trailer."""

    rows: int
    data: bytes


EncodedFrom = Callable[[int], Iterable[EncodedChunk]]
"""From the number of a chunk, the first being 1, to that chunk and all after it."""


class EncodedSource:
    """Chunks that follow from their number, so that a resumed load makes only what is missing.

    They are made in a thread: one is being made while the one before is sent.

    Args:
        chunks: always the same ones.
        copy_format: of the data; text is UTF-8.
    """

    row_word = "row"

    def __init__(self, chunks: EncodedFrom, copy_format: EncodedFormat) -> None:
        self._chunks = chunks
        self._format: EncodedFormat = copy_format

    def plan(self) -> Mapping[str, CopySetting]:
        """The data itself is compared by the digest of the last chunk."""
        return {"source": "encoded", "format": self._format}

    def copy_options(self) -> Mapping[str, CopySetting]:
        """The format, as it was given."""
        return {"format": self._format, "encoding": "UTF8"}

    def row_of(self, chunk: Chunk, line: int) -> int:
        """A line of the server's message is a row in both formats."""
        return chunk.start.line + line - 1

    async def chunks(self, start: Start | None) -> AsyncGenerator[Chunk, None]:
        """See ``Source``."""
        start = start or Start(number=1, position=0, line=1)
        made = iter(self._chunks(start.number))
        while (chunk := await anyio.to_thread.run_sync(_next, made, start)) is not None:
            yield chunk
            start = next_start(chunk)


def _next(made: Iterator[EncodedChunk], start: Start) -> Chunk | None:
    """The next chunk, in the pieces that are sent; None: there is none."""
    encoded = next(made, None)
    if encoded is None:
        return None
    data = encoded.data
    return Chunk(
        start=start,
        position_end=start.position + encoded.rows,
        line_end=start.line + encoded.rows,
        bytes_total=len(data),
        digest=hashlib.sha256(data).hexdigest(),
        blocks=tuple(data[at : at + BLOCK_BYTES] for at in range(0, len(data), BLOCK_BYTES)),
    )
