"""A query that makes its backend large, until it is killed: for the fault ``out-of-memory``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import psycopg

from chaos.load.admin import superuser_session
from cluster.errors import ClusterError
from cluster.raised import RaisedCluster
from replication import StorageError
from replication.wire import Session

HOLD_S = 60
"""The query holds the memory until it is killed, which takes a moment."""


@asynccontextmanager
async def large_query(cluster: RaisedCluster, host: str, mb: int) -> AsyncIterator[int]:
    """Begin a query of ``mb`` MB; the pid of its backend, as its host counts. It ends with the
    context, if not before.

    Raises:
        ClusterError: the node does not take it.
    """
    try:
        async with superuser_session(cluster, host, application="bascule-out-of-memory") as session:
            [[pid]] = await session.fetch("SELECT pg_backend_pid()")
            async with anyio.create_task_group() as growing:
                growing.start_soon(_grow, session, mb)
                yield int(str(pid))
                growing.cancel_scope.cancel()
    except (psycopg.Error, StorageError, ExceptionGroup) as error:
        raise ClusterError(f"no query grew on {host}: {error}", host=host) from error


async def _grow(session: Session, mb: int) -> None:
    """Hold the memory until the end, which is a violent one."""
    query = f"SELECT length(repeat('x', {mb} * 1048576) || pg_sleep({HOLD_S})::text)"
    try:
        await session.fetch(query)
    except (psycopg.Error, StorageError):
        return
