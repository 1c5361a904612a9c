"""What time it is on a server: for the faults of clocks."""

from __future__ import annotations

import psycopg

from chaos.load.admin import superuser_session
from cluster.raised import RaisedCluster
from replication import StorageError


async def server_clock_s(cluster: RaisedCluster, node: str) -> float | None:
    """PostgreSQL's wall clock in seconds since the epoch; None: it does not answer."""
    try:
        async with superuser_session(cluster, node, application="bascule-fault") as session:
            [[now_s]] = await session.fetch("SELECT extract(epoch FROM clock_timestamp())::float8")
    except (psycopg.Error, StorageError, OSError, ExceptionGroup):
        return None
    return float(str(now_s))
