"""A psycopg connection that is closed, not cleaned up, when a wait on it is cancelled."""

from __future__ import annotations

import asyncio
from functools import cache

import psycopg
from psycopg import pq, waiting
from psycopg.abc import RV, PQGen
from psycopg.pq.abc import PGconn
from psycopg.rows import TupleRow

_WAKE_INTERVAL_S = 0.1
"""psycopg's own default: how often a wait looks whether its socket was closed under it."""


class Connection(psycopg.AsyncConnection[TupleRow]):
    """An asynchronous connection that nothing can hold up."""

    async def wait(
        self,
        gen: PQGen[RV],
        interval: float = _WAKE_INTERVAL_S,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is psycopg's
    ) -> RV:
        """Replaces psycopg's own, which would send a cancel request and wait for its effect."""
        try:
            return await waiting.wait_async(
                gen, self.pgconn.socket, interval=interval, timeout=timeout
            )
        except (asyncio.CancelledError, KeyboardInterrupt, SystemExit):
            self.pgconn.finish()
            raise


@cache
def closed_pgconn() -> PGconn:
    """A closed libpq connection: what a connection object has once it was taken away."""
    pgconn = pq.PGconn.connect_start(b"host=/dev/null/none")
    pgconn.finish()
    return pgconn
