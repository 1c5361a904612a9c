"""Runs a bulk load: the next chunk is encoded while the present one is sent and committed."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Literal

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from replication.bulk.chunk_units import BesideChunk, ChunkUnits, CopyTarget
from replication.bulk.encoded import EncodedFormat, EncodedFrom, EncodedSource
from replication.bulk.files import FileFormat, FileSource
from replication.bulk.ledger import LoadState
from replication.bulk.model import (
    AppliedChunk,
    Chunk,
    CopySetting,
    Loaded,
    OnProgress,
    Progress,
    Source,
)
from replication.bulk.rows import RowSource
from replication.storage import Storage
from replication.wire import Row

CHUNK_ROWS = 50_000
CHUNK_BYTES_MAX = 8 * 2**20
"""The fixed cost of a chunk, a few round trips and a commit, is then a small share of the time that
PostgreSQL takes for its rows (``benchmarks/bulk.py``); and three of them fit into any memory."""

CHUNKS_AHEAD = 1
"""Chunks that are encoded and wait, besides the one that is sent and the one that is being encoded.
So the encoding goes on while a chunk is being committed."""

CHUNK_DEADLINE_S = 120.0
"""For one chunk, failovers included: with Patroni's defaults one takes 20 to 39 s."""


class BulkLoad:
    """A named load, which is loaded exactly once in the life of the database.

    The tables of ``schema.install`` must exist. Any number of processes may run the same load from
    equal sources at the same time: each chunk is loaded by one of them.

    Args:
        storage: the cluster.
        name: identifies the load; never use it for another one.
        table: schema and name.
        columns: in the order of the source; those left out get their defaults.
        chunk_rows: rows a chunk, at most (a file's chunks are cut by bytes alone).
        chunk_bytes_max: bytes of COPY data a chunk; one of rows may pass it by a block of 128 KiB.
        chunk_deadline_s: how long one chunk may take, all attempts included.
        compare: which loaded chunks the source is compared with, by their digests: ``last``, so
            that a file need not be read again; or ``every``, which reads all of it.
        beside: runs in the transaction of every chunk, after its rows: what must be as true as the
            chunk (a watermark). May be called several times, each time in a fresh transaction.
        clock: monotonic seconds.

    Raises:
        ValueError: an argument makes no sense.
    """

    def __init__(  # noqa: PLR0913 - each has a meaning of its own, and most a default
        self,
        storage: Storage,
        *,
        name: str,
        table: tuple[str, str],
        columns: Sequence[str],
        chunk_rows: int = CHUNK_ROWS,
        chunk_bytes_max: int = CHUNK_BYTES_MAX,
        chunk_deadline_s: float = CHUNK_DEADLINE_S,
        compare: Literal["last", "every"] = "last",
        beside: BesideChunk | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not name or not columns or chunk_rows < 1 or chunk_bytes_max < 1:
            raise ValueError("a load has a name, columns, and at least one row and byte a chunk")
        if isinstance(table, str) or len(table) != 2 or isinstance(columns, str):
            raise ValueError('table is ("schema", "name"), and columns is a list of names')
        if any("\ufeff" in column for column in columns):
            raise ValueError("a byte order mark is no part of a column: read names as utf-8-sig")
        if compare not in ("last", "every"):
            raise ValueError(f'compare is "last" or "every", not {compare!r}')
        self._name = name
        self._target = CopyTarget(table=table, columns=tuple(columns))
        self._units = ChunkUnits(
            storage=storage,
            load=name,
            target=self._target,
            deadline_s=chunk_deadline_s,
            beside=beside,
        )
        self._chunk_rows = chunk_rows
        self._chunk_bytes_max = chunk_bytes_max
        self._every_chunk = compare == "every"
        self._clock = clock

    async def run(
        self,
        rows: Iterable[Row] | AsyncIterable[Row],
        *,
        on_progress: OnProgress | None = None,
    ) -> Loaded:
        """Load ``rows``, or what is missing of them.

        Args:
            rows: tuples in the order of ``columns``, always from the first one and always the same.
                Those that are loaded already are read and skipped, not encoded.
            on_progress: called in the event loop after each chunk; must not block.

        Raises:
            ChunkRefused: PostgreSQL refused a row, or it cannot be encoded. The chunks before it
                are loaded.
            SourceChanged: it is not the load that was begun, or finished, under this name.
            DeadlineExceeded, Unknown: a chunk took too long; run the load again.
            Exception: what ``rows`` raised.
        """
        source = RowSource(
            self._name,
            rows,
            chunk_rows=self._chunk_rows,
            chunk_bytes_max=self._chunk_bytes_max,
        )
        return await self._load(source, on_progress)

    async def run_file(
        self,
        path: Path,
        file_format: FileFormat | None = None,
        *,
        on_progress: OnProgress | None = None,
    ) -> Loaded:
        """Load a file, or what is missing of it: a resumed load seeks to its next chunk.

        Args:
            path: a plain file. Before a load is resumed, what is not loaded yet may be corrected.
            file_format: CSV without a header if None.
            on_progress: as in ``run``.

        Raises:
            SourceUnreadable: it cannot be cut into records.
            OSError: it cannot be read.
            NotApplied, Unknown: as in ``run``.
        """
        source = FileSource(
            self._name, path, file_format or FileFormat(), chunk_bytes_max=self._chunk_bytes_max
        )
        return await self._load(source, on_progress)

    async def run_encoded(
        self,
        chunks: EncodedFrom,
        copy_format: EncodedFormat = "binary",
        *,
        on_progress: OnProgress | None = None,
    ) -> Loaded:
        """Load chunks that are encoded already, or what is missing of them.

        Args:
            chunks: from a number to that chunk and those after it, always the same ones; it is
                called in a thread. Each is one unit of work, whatever ``chunk_rows`` says.
            copy_format: of the data.
            on_progress: as in ``run``.

        Raises:
            NotApplied, Unknown: as in ``run``.
            Exception: what ``chunks`` raised.
        """
        return await self._load(EncodedSource(chunks, copy_format), on_progress)

    async def _load(self, source: Source, on_progress: OnProgress | None) -> Loaded:
        begun_s = self._clock()
        state = await self._units.begin(self._plan(source), every_chunk=self._every_chunk)
        totals = state.totals
        # An earlier version may have pruned all chunks of a load; then there is nothing to compare.
        if state.last is not None or not (state.is_finished and totals.chunks):
            teller = _Teller(self._name, state, on_progress, self._clock)
            last = await self._apply_all(source, state, teller)
            if not state.is_finished:
                totals = await self._units.finish(last)
        return Loaded(
            load=self._name,
            chunks=totals.chunks,
            rows=totals.rows,
            bytes_total=totals.bytes_total,
            resumed_after=state.totals.chunks,
            was_finished=state.is_finished,
            elapsed_s=self._clock() - begun_s,
        )

    def _plan(self, source: Source) -> dict[str, CopySetting]:
        """Everything that must be the same when the load is resumed."""
        return {
            "table": list(self._target.table),
            "columns": list(self._target.columns),
            "chunk_rows": self._chunk_rows,
            "chunk_bytes_max": self._chunk_bytes_max,
            **source.plan(),
        }

    async def _apply_all(
        self, source: Source, state: LoadState, teller: _Teller
    ) -> AppliedChunk | None:
        """Two tasks, a chunk or two apart. The error of either is raised as it is, not in a group.

        Returns:
            The last chunk of the source.
        """
        chunks = source.chunks(state.chunks[0].start if state.chunks else None)
        sending, receiving = anyio.create_memory_object_stream[Chunk | Exception](CHUNKS_AHEAD)
        failure: Exception | None = None
        last: AppliedChunk | None = None
        with receiving:  # until the group has ended: a sender needs an open receiver
            async with anyio.create_task_group() as group:
                group.start_soon(_encode, chunks, sending)
                try:
                    last = await self._apply_each(source, receiving, state, teller)
                except Exception as error:
                    failure = error
                group.cancel_scope.cancel()
        if failure is not None:
            raise failure
        return last

    async def _apply_each(
        self,
        source: Source,
        chunks: MemoryObjectReceiveStream[Chunk | Exception],
        state: LoadState,
        teller: _Teller,
    ) -> AppliedChunk | None:
        """Compare the source with what is there, and apply what is not; its last chunk.

        Raises:
            SourceChanged: what is there is of another source.
        """
        there = {done.start.number: done for done in state.chunks}
        last, is_proved = state.last, state.last is None
        async for chunk in chunks:
            if isinstance(chunk, Exception):
                raise chunk
            number = chunk.start.number
            if not is_proved:
                if number in there and not there[number].is_of(chunk):
                    break
                is_proved = last is not None and number == last.start.number
            elif state.is_finished:
                words = f"{self._name} was finished before chunk {number}: this source is longer"
                raise self._units.changed(words, number)
            else:
                last, attempts = await self._units.apply(chunk, source)
                teller.tell(chunk, last.rows, attempts)
        else:
            number = 0 if last is None else last.start.number
        if not is_proved:
            raise self._units.changed(
                f"the source of {self._name} is not what it was: chunk {number}, which is loaded,"
                " is not in it any more",
                number,
            )
        return last


async def _encode(
    chunks: AsyncGenerator[Chunk, None], to: MemoryObjectSendStream[Chunk | Exception]
) -> None:
    """Encodes chunks ahead of their use; an error takes the place of a chunk."""
    with to:
        try:
            async with aclosing(chunks):
                async for chunk in chunks:
                    await to.send(chunk)
        except Exception as error:
            await to.send(error)


class _Teller:
    """Counts what is loaded, and reports it."""

    def __init__(
        self,
        load: str,
        state: LoadState,
        on_progress: OnProgress | None,
        clock: Callable[[], float],
    ) -> None:
        self._load = load
        self._on_progress = on_progress
        self._clock = clock
        self._begun_s = clock()
        self._rows_before = self._rows = state.totals.rows
        self._bytes = state.totals.bytes_total

    def tell(self, chunk: Chunk, rows: int, attempts: int) -> None:
        self._rows += rows
        self._bytes += chunk.bytes_total
        if self._on_progress is None:
            return
        elapsed_s = self._clock() - self._begun_s
        self._on_progress(
            Progress(
                load=self._load,
                chunk=chunk.start.number,
                rows_total=self._rows,
                bytes_total=self._bytes,
                rows_per_s=(self._rows - self._rows_before) / max(elapsed_s, 1e-9),
                attempts=attempts,
            )
        )
