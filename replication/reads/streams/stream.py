"""A large read as its consumer sees it: batch after batch, and how far it has come."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

import anyio

from replication.reads.streams.forms import BatchForm
from replication.reads.streams.producer import Producer, Serve, StreamPlan
from replication.reads.streams.ranges import LastKey

B = TypeVar("B")


class ReadStream(Generic[B]):
    """The batches of a large read, in key order; an async iterator, for one consumer.

    ``node`` is the member that served the last batch; ``moves`` counts how often another one went
    on; ``rows`` and ``last_key`` are of all batches so far: with ``start_after=last_key`` another
    stream, in another process too, goes on behind them.
    """

    def __init__(self, producer: Producer[B], start_after: LastKey | None) -> None:
        self.node: str | None = None
        self.moves = 0
        self.rows = 0
        self.last_key = start_after
        self._producer = producer

    def __aiter__(self) -> ReadStream[B]:
        return self

    async def __anext__(self) -> B:
        """The next batch.

        Raises:
            ReadFailed: no member could serve it in time, or the query is wrong; its kinds
                ``SnapshotLost``, ``KeyMissing``, ``StreamChanged``, ``TokenLost``.
            NotAdmitted: the server does not let us in.
        """
        try:
            batch = await self._producer.batches.receive()
        except anyio.EndOfStream:
            if (failed := self._producer.failed) is not None:
                raise failed from failed.__cause__
            raise StopAsyncIteration from None
        self.moves += self.node is not None and self.node != batch.node
        self.node, self.last_key = batch.node, batch.last_key
        self.rows += batch.rows
        return batch.value


@asynccontextmanager
async def opened(
    plan: StreamPlan, form: BatchForm[B], serve: Serve
) -> AsyncIterator[ReadStream[B]]:
    """A stream that is being read, until the end of the block."""
    producer = Producer(plan, form, serve)
    failed: Exception | None = None
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(producer.run)
            try:
                yield ReadStream(producer, plan.start_after)
            except Exception as error:  # the group would wrap it
                failed = error
            group.cancel_scope.cancel()
    finally:
        producer.close()
    if failed is not None:
        raise failed
