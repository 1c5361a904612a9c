"""A stream for threads: the loop's thread reads ahead, the caller's takes batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Generic, TypeVar

from replication.reads.streams.stream import ReadStream
from replication.sync.handoff import Handoff
from replication.sync.loop_thread import LoopThread

B = TypeVar("B")


class SyncReadStream(Generic[B]):
    """As ``ReadStream``; an iterator, for one thread at a time."""

    def __init__(self, stream: ReadStream[B], crossing: Callable[[], Handoff]) -> None:
        self._stream = stream
        self._crossing = crossing

    @property
    def node(self) -> str | None:
        """The member that served the last batch."""
        return self._stream.node

    @property
    def moves(self) -> int:
        """How often another member went on."""
        return self._stream.moves

    @property
    def rows(self) -> int:
        """Of all batches so far."""
        return self._stream.rows

    @property
    def last_key(self) -> tuple[str, ...] | None:
        """Of the last row so far, for ``start_after``."""
        return self._stream.last_key

    def __iter__(self) -> SyncReadStream[B]:
        return self

    def __next__(self) -> B:
        """The next batch; raises as ``ReadStream.__anext__``."""
        found = self._crossing().call(self._next)
        if not found:
            raise StopIteration
        return found[0]

    async def _next(self) -> list[B]:
        """The next batch; none at the end. (An exception of iteration does not pass a future.)"""
        async for batch in self._stream:
            return [batch]
        return []


@contextmanager
def opened_in(
    home: LoopThread,
    stream: AbstractAsyncContextManager[ReadStream[B]],
    crossing: Callable[[], Handoff],
) -> Iterator[SyncReadStream[B]]:
    """``stream``, of the storage in ``home``, until the end of the block."""
    with home.portal.wrap_async_context_manager(stream) as opened:
        yield SyncReadStream(opened, crossing)
