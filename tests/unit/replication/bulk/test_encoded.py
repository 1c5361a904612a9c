"""Chunks that are encoded already: numbered, digested and cut as the loader sends them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from replication.bulk import EncodedChunk
from replication.bulk.encoded import EncodedSource
from replication.bulk.model import Chunk, Start
from replication.wire import BLOCK_BYTES

pytestmark = pytest.mark.anyio

MADE = (
    EncodedChunk(rows=3, data=b"a" * (2 * BLOCK_BYTES + 1)),
    EncodedChunk(rows=5, data=b"b"),
    EncodedChunk(rows=1, data=b"c" * BLOCK_BYTES),
)


def chunks_from(number: int) -> Iterator[EncodedChunk]:
    yield from MADE[number - 1 :]


async def cut(start: Start | None = None) -> list[Chunk]:
    return [chunk async for chunk in EncodedSource(chunks_from, "binary").chunks(start)]


async def test_chunks_are_numbered_and_cut_into_blocks() -> None:
    chunks = await cut()
    assert [chunk.start.number for chunk in chunks] == [1, 2, 3]
    assert [(chunk.start.position, chunk.position_end) for chunk in chunks] == [
        (0, 3),
        (3, 8),
        (8, 9),
    ]
    assert [len(block) for block in chunks[0].blocks] == [BLOCK_BYTES, BLOCK_BYTES, 1]
    for chunk, made in zip(chunks, MADE, strict=True):
        assert b"".join(chunk.blocks) == made.data
        assert chunk.bytes_total == len(made.data)
        assert chunk.digest == hashlib.sha256(made.data).hexdigest()


async def test_a_resumed_load_makes_only_what_is_missing() -> None:
    whole = await cut()
    assert await cut(whole[1].start) == whole[1:]


async def test_a_source_that_ends_early_ends() -> None:
    assert await cut(Start(number=4, position=9, line=10)) == []


def test_the_plan_says_how_it_is_read() -> None:
    source = EncodedSource(chunks_from, "text")
    assert source.plan() == {"source": "encoded", "format": "text"}
    assert source.copy_options() == {"format": "text", "encoding": "UTF8"}
