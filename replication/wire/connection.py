"""A psycopg connection that is closed, not cleaned up, when a wait on it is cancelled.

Waits for its socket are cheap: the event loop is told of it once, not once a wait. In return
whoever closes the connection does so with ``cut``: a loop that knows a descriptor which is
somebody else's by now would wake the wrong one, or nobody.
"""

from __future__ import annotations

import asyncio
from functools import cache

import psycopg
from psycopg import pq, waiting
from psycopg.abc import RV, PQGen
from psycopg.pq import ConnStatus
from psycopg.pq.abc import PGconn
from psycopg.rows import TupleRow

_WAKE_INTERVAL_S = 0.1
"""psycopg's own default: how often a wait looks whether its socket was closed under it."""


class Connection(psycopg.AsyncConnection[TupleRow]):
    """An asynchronous connection that nothing can hold up."""

    _reader: tuple[asyncio.AbstractEventLoop, int] | None = None
    """The loop that watches the socket, and the socket's descriptor there."""
    _waiter: asyncio.Future[None] | None = None

    async def wait(
        self,
        gen: PQGen[RV],
        interval: float = _WAKE_INTERVAL_S,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is psycopg's
    ) -> RV:
        """Replaces psycopg's own, which would send a cancel request and wait for its effect."""
        self.unwatch()  # psycopg tells the loop by itself
        try:
            return await waiting.wait_async(
                gen, self.pgconn.socket, interval=interval, timeout=timeout
            )
        except (asyncio.CancelledError, KeyboardInterrupt, SystemExit):
            self.pgconn.finish()
            raise

    async def receive(self) -> None:
        """Wait until the server has said something, and take it in.

        Raises:
            psycopg.OperationalError: the connection is lost.
        """
        await self._readable()
        self.consume()

    async def flush(self) -> None:
        """Send everything that is still to be sent.

        A server that cannot go on because nobody reads its answers is read from meanwhile.

        Raises:
            psycopg.OperationalError: the connection is lost.
        """
        while self.pgconn.flush():
            loop, writer = asyncio.get_running_loop(), self.pgconn.socket
            readable = asyncio.ensure_future(self._readable())
            loop.add_writer(writer, readable.cancel)
            try:
                await asyncio.wait([readable])
            finally:
                loop.remove_writer(writer)
                readable.cancel()
            if not readable.cancelled():
                self.consume()

    def consume(self) -> None:
        """Take in what has arrived."""
        try:
            self.pgconn.consume_input()
        finally:
            if self.pgconn.status == ConnStatus.BAD:  # libpq has closed the socket
                self.unwatch()

    def cut(self) -> None:
        """Close at once and without a word; whoever waits for the server is woken."""
        self.unwatch()
        self.pgconn.finish()

    async def _readable(self) -> None:
        if self._reader is None:
            loop, descriptor = asyncio.get_running_loop(), self.pgconn.socket
            loop.add_reader(descriptor, self._on_readable)
            self._reader = loop, descriptor
        self._waiter = waiter = self._reader[0].create_future()
        try:
            await waiter
        finally:
            self._waiter = None

    def _on_readable(self) -> None:
        if self._waiter is None:
            self.unwatch()  # nobody wants to know now; the next wait finds it there
        elif not self._waiter.done():
            self._waiter.set_result(None)

    def unwatch(self) -> None:
        """The event loop forgets the socket, until the next wait."""
        if self._reader is not None:
            loop, descriptor = self._reader
            self._reader = None
            if not loop.is_closed():
                loop.remove_reader(descriptor)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


@cache
def closed_pgconn() -> PGconn:
    """A closed libpq connection: what a connection object has once it was taken away."""
    pgconn = pq.PGconn.connect_start(b"host=/dev/null/none")
    pgconn.finish()
    return pgconn
