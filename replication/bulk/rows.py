"""Rows of the application, encoded into chunks of COPY's text format."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Mapping
from itertools import islice

import anyio.lowlevel

from replication.bulk.errors import ChunkRefused, no_facts
from replication.bulk.model import Chunk, CopySetting, Start
from replication.wire import BLOCK_BYTES, Row, row_encoder

BATCH_ROWS = 256
"""Rows taken from the iterable before other tasks get a turn."""


class RowSource:
    """An iterable of rows. One run takes it once; a run that resumes needs the same rows again.

    Args:
        load: its name, for errors.
        rows: always from the first row, whatever is in the ledger. A plain iterable is read in the
            event loop: one that blocks also blocks everything else there.
        chunk_rows: rows a chunk, at most.
        chunk_bytes_max: a chunk ends with the block (``BLOCK_BYTES``) that reaches this.
    """

    row_word = "row"

    def __init__(
        self,
        load: str,
        rows: Iterable[Row] | AsyncIterable[Row],
        *,
        chunk_rows: int,
        chunk_bytes_max: int,
    ) -> None:
        self._load = load
        self._rows = rows
        self._chunk_rows = chunk_rows
        self._chunk_bytes_max = chunk_bytes_max

    def plan(self) -> Mapping[str, CopySetting]:
        """The rows themselves are compared with the digest of the last chunk."""
        return {"source": "rows"}

    def copy_options(self) -> Mapping[str, CopySetting]:
        """Text, as ``row_encoder`` writes it."""
        return {"format": "text", "encoding": "UTF8"}

    def row_of(self, chunk: Chunk, line: int) -> int:
        """One row is one line: the encoding escapes every line break in it."""
        return chunk.start.line + line - 1

    async def chunks(self, start: Start | None) -> AsyncGenerator[Chunk, None]:
        """See ``Source``. Rows before ``start`` are taken and not encoded.

        Raises:
            ChunkRefused: a value of a type that psycopg cannot adapt.
        """
        start = start or Start(number=1, position=0, line=1)
        encode, rows = row_encoder(), 0
        chunk = _Growing(start)
        batches = _batches(self._rows, skip=start.position, chunk_rows=self._chunk_rows)
        async for batch in batches:
            for row in batch:
                try:
                    encode(row, chunk.buffer)
                except Exception as error:
                    number = chunk.start.line + rows
                    raise ChunkRefused(
                        f"row {number} of {self._load} cannot be encoded: {error}",
                        load=self._load,
                        chunk=chunk.start.number,
                        row=number,
                        context=None,
                        **no_facts(self._load),
                    ) from error
                rows += 1
                is_full = len(chunk.buffer) >= BLOCK_BYTES
                if is_full:
                    chunk.end_block()
                    await anyio.lowlevel.checkpoint()  # the chunk before is sent first
                if rows == self._chunk_rows or (is_full and chunk.size >= self._chunk_bytes_max):
                    yield (whole := chunk.end(rows))
                    chunk, rows = _Growing(next_start(whole)), 0
        if rows:
            yield chunk.end(rows)


def next_start(chunk: Chunk) -> Start:
    """Where the chunk after ``chunk`` begins."""
    return Start(number=chunk.start.number + 1, position=chunk.position_end, line=chunk.line_end)


class _Growing:
    """A chunk that is being filled."""

    def __init__(self, start: Start) -> None:
        self.start = start
        self.buffer = bytearray()
        self.size = 0
        self._blocks: list[bytes] = []
        self._digest = hashlib.sha256()

    def end_block(self) -> None:
        block = bytes(self.buffer)
        self._digest.update(block)
        self._blocks.append(block)
        self.size += len(block)
        self.buffer.clear()

    def end(self, rows: int) -> Chunk:
        if self.buffer:
            self.end_block()
        return Chunk(
            start=self.start,
            position_end=self.start.position + rows,
            line_end=self.start.line + rows,
            bytes_total=self.size,
            digest=self._digest.hexdigest(),
            blocks=tuple(self._blocks),
        )


async def _batches(
    rows: Iterable[Row] | AsyncIterable[Row], *, skip: int, chunk_rows: int
) -> AsyncIterator[list[Row]]:
    """The rows after the first ``skip``, in small lists.

    No list of an async iterable crosses the end of a chunk: a source that trickles would else hold
    back rows that make a whole chunk until as many more have come.
    """
    if isinstance(rows, AsyncIterable):
        batch: list[Row] = []
        taken = -skip
        async for row in rows:
            taken += 1
            if taken <= 0:
                continue
            batch.append(row)
            if len(batch) == BATCH_ROWS or taken % chunk_rows == 0:
                yield batch
                batch = []
        if batch:
            yield batch
        return
    iterator = iter(rows)
    while batch := list(islice(iterator, BATCH_ROWS)):
        if skip < len(batch):
            yield batch[skip:]
        skip = max(0, skip - len(batch))
        await anyio.lowlevel.checkpoint()
