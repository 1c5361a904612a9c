"""A psycopg connection that is closed, not cleaned up, when a statement on it is cancelled.

Waits for its socket are cheap: the event loop is told of it once, not once a wait. In return the
connection is closed only with ``cut``: a loop that still knows a descriptor that was reused would
wake the wrong waiter, or none.
"""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Self

import psycopg
from psycopg import pq, waiting
from psycopg.abc import RV, PQGen, PQGenConn
from psycopg.pq import ConnStatus, TransactionStatus
from psycopg.pq.abc import PGconn
from psycopg.rows import TupleRow

from replication.wire.errors import is_fatal
from replication.wire.starting import start

_WAKE_INTERVAL_S = 0.1
"""psycopg's own default: how often a wait looks whether its socket was closed under it."""


class Connection(psycopg.AsyncConnection[TupleRow]):
    """An asynchronous connection that closes at once when a wait is cancelled."""

    _reader: tuple[asyncio.AbstractEventLoop, int] | None = None
    """The loop that watches the socket, and the socket's descriptor there."""
    _waiter: asyncio.Future[None] | None = None
    has_ended = False
    """The server has said that it ends the connection."""
    _is_cut = _was_good = False

    @classmethod
    def _connect_gen(cls, conninfo: str = "") -> PQGenConn[Self]:
        """Replaces psycopg's own: a refusal says which one it is."""
        return cls((yield from start(conninfo)))

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
            if is_under_way(self.pgconn):
                self.cut()
            raise
        except psycopg.Error as error:
            self.note(error)
            raise

    def note(self, error: psycopg.Error) -> None:
        """``error`` is what the server has answered on it."""
        self.has_ended |= is_fatal(error)

    @property
    def is_closed_here(self) -> bool:
        """It was good when it was closed on this side, by ``cut`` or, below psycopg, by its
        borrower: that says nothing about the server."""
        is_finished = getattr(self.pgconn, "pgconn_ptr", self.pgconn) is None
        return self._was_good if self._is_cut else is_finished

    async def receive(self) -> None:
        """Wait until the server has said something, and take it in.

        Raises:
            psycopg.OperationalError: the connection is lost.
        """
        await self._readable()

    async def flush(self) -> None:
        """Send everything that is still to be sent.

        A server that cannot go on because its answers are not read is read from meanwhile.

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
                readable.result()

    def cut(self) -> None:
        """Close at once, without a message to the server; a task that waits for the server is
        woken."""
        self.unwatch()
        if not self._is_cut:
            self._was_good = self.pgconn.status == ConnStatus.OK or self.is_closed_here
            self._is_cut = True
        self.pgconn.finish()

    async def _readable(self) -> None:
        """Wait until something has arrived; it is taken in by then."""
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
            self.unwatch()  # nothing waits for it now; the next wait finds it there
        elif not self._waiter.done():
            self._take_in(self._waiter)

    def _take_in(self, waiter: asyncio.Future[None]) -> None:
        """At once, and not when ``waiter`` runs: until then the loop would find the socket readable
        once more, and wake the next waiter for nothing, each time."""
        try:
            self.pgconn.consume_input()
        except psycopg.OperationalError as error:
            waiter.set_exception(error)
            waiter.exception()  # it may be cancelled before it sees that
        else:
            waiter.set_result(None)
        if self.pgconn.status == ConnStatus.BAD:  # libpq has closed the socket
            self.unwatch()

    def unwatch(self) -> None:
        """The event loop forgets the socket, until the next wait."""
        if self._reader is not None:
            loop, descriptor = self._reader
            self._reader = None
            if not loop.is_closed():
                loop.remove_reader(descriptor)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def is_under_way(pgconn: PGconn) -> bool:
    """A statement was sent, or a COPY begun, and its answer is not there yet; in pipeline mode
    also while there was no Sync (``PQtransactionStatus``). A wait for nothing but a notification
    counts as nothing under way."""
    return pgconn.transaction_status == TransactionStatus.ACTIVE


@cache
def closed_pgconn() -> PGconn:
    """A closed libpq connection: what a connection object has once it was taken away."""
    pgconn = pq.PGconn.connect_start(b"host=/dev/null/none")
    pgconn.finish()
    return pgconn
