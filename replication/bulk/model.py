"""The values of a bulk load: chunks, where they begin, progress. Values only."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

CopySetting = str | int | bool | None | list[str]
"""A value of a plan; it goes through JSON and comes back the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Where a chunk begins.

    ``position`` is where the source seeks to: the rows, or the bytes of the file, before the chunk.
    ``line``, for messages: the number of its first row, or of its first line in the file.
    """

    number: int
    position: int
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A part of the source, as COPY reads it. ``digest`` is the SHA-256 of ``blocks``."""

    start: Start
    position_end: int
    line_end: int
    bytes_total: int
    digest: str
    blocks: tuple[bytes, ...]


class Source(Protocol):
    """What is loaded. It can begin at any of its chunks, and always cuts the same chunks.

    ``row_word``: the word for a row in messages, ``row`` or ``line``.
    """

    row_word: str

    def plan(self) -> Mapping[str, CopySetting]:
        """Everything about the source that must be the same when a load is resumed."""
        ...

    def copy_options(self) -> Mapping[str, CopySetting]:
        """The options of COPY, beside those of its own."""
        ...

    def row_of(self, chunk: Chunk, line: int) -> int:
        """Which row (line) of the source the server means by ``line`` of the COPY of ``chunk``."""
        ...

    def chunks(self, start: Start | None) -> AsyncGenerator[Chunk, None]:
        """All chunks from ``start`` on (None: from the first)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedChunk:
    """A chunk as the ledger has it; ``rows`` as COPY counted them."""

    start: Start
    position_end: int
    line_end: int
    rows: int
    bytes_total: int
    digest: str

    def is_of(self, chunk: Chunk) -> bool:
        """Whether ``chunk`` is what was loaded then."""
        return (self.start, self.position_end, self.digest) == (
            chunk.start,
            chunk.position_end,
            chunk.digest,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A chunk is certainly in the table. Totals are those of the whole load, earlier runs included.

    ``bytes_total`` counts COPY data; ``rows_per_s`` is the mean of this run; ``attempts`` counts
    the transactions of this chunk (0: another process loaded it).
    """

    load: str
    chunk: int
    rows_total: int
    bytes_total: int
    rows_per_s: float
    attempts: int


OnProgress = Callable[[Progress], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A load that is complete.

    ``resumed_after``: the last chunk that was there when this run began, 0 if none was.
    ``was_finished``: an earlier run had finished it, and this one has only compared.
    """

    load: str
    chunks: int
    rows: int
    bytes_total: int
    resumed_after: int
    was_finished: bool
    elapsed_s: float
