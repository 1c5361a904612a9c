"""What a bulk load is made of: chunks, where they begin, what is told on the way. Values only."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

Setting = str | int | bool | None | list[str]
"""A value of a plan; it goes through JSON and comes back the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Where a chunk begins.

    ``position`` is what its source seeks by: rows before it, or bytes of the file before it.
    ``line`` is what people count: the number of its first row, or of its first line in the file.
    """

    number: int
    position: int
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A stretch of the source as COPY takes it. ``digest`` is the SHA-256 of ``blocks``."""

    start: Start
    position_end: int
    line_end: int
    bytes_total: int
    digest: str
    blocks: tuple[bytes, ...]


class Source(Protocol):
    """What is loaded: it can begin at any of its chunks, and cuts the same chunks every time.

    ``row_word``: what its rows are called where one is named, ``row`` or ``line``.
    """

    row_word: str

    def plan(self) -> Mapping[str, Setting]:
        """Everything about the source that must be the same when a load is resumed."""
        ...

    def copy_options(self) -> Mapping[str, Setting]:
        """The options of COPY, beside those of its own."""
        ...

    def row_of(self, chunk: Chunk, line: int) -> int:
        """Which row (line) of the source the server means by ``line`` of the COPY of ``chunk``."""
        ...

    def chunks(self, start: Start | None) -> AsyncGenerator[Chunk, None]:
        """All chunks from ``start`` on (None: from the first)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
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
    """A chunk is there for certain. Totals are those of the whole load, earlier runs included.

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
    ``was_finished``: an earlier run had ended it, and this one did nothing.
    """

    load: str
    chunks: int
    rows: int
    bytes_total: int
    resumed_after: int
    was_finished: bool
    elapsed_s: float
