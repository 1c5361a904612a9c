"""PostgreSQL started by hand on a host that was away: for the fault ``unfenced-return``.

As ``pg_ctl restart`` does it: with the command line that the server wrote down when it was started
last, in its data folder (``postmaster.opts``). Nothing tells it what happened meanwhile.
"""

from __future__ import annotations

import time
from contextlib import suppress

import anyio
import psycopg

from chaos.load.admin import superuser_session
from cluster.errors import ClusterError
from cluster.raised import RaisedCluster
from cluster.substrates.base import Process
from replication import StorageError

APPLICATION = "bascule-fault"
UNIT = "postgres-by-hand"
START = 'rm -f "$1/postmaster.pid"; eval "exec $(cat "$1/postmaster.opts")"'
TIMEOUT_S = 60.0
"""For crash recovery: seconds in a lab."""
STOP_TIMEOUT_S = 10.0
POLL_S = 0.1


async def serve_by_hand(cluster: RaisedCluster, host: str, serves_s: float) -> str:
    """Start the server on a host without Patroni, let it serve, stop it again; in words.

    Args:
        cluster: the host has power, and runs nothing.
        host: whose data.
        serves_s: for how long anybody may ask it.

    Raises:
        ClusterError: it lets nobody in.
    """
    data = str(cluster.substrate.data_folder(host) / "pgdata")
    process = Process(name=UNIT, argv=("sh", "-c", START, "sh", data))
    begin_s = time.monotonic()
    await cluster.substrate.start_unit(host, process)
    try:
        role, timeline = await _wait_serves(cluster, host)
        came_s = time.monotonic() - begin_s
        await anyio.sleep(serves_s)
    finally:
        with anyio.CancelScope(shield=True), suppress(ClusterError):
            await cluster.substrate.stop_unit(host, UNIT, timeout_s=STOP_TIMEOUT_S)
    return (
        f"PostgreSQL started by hand, without Patroni, served as {role} on timeline {timeline} "
        f"after {came_s:.1f} s, for {serves_s:g} s"
    )


async def _wait_serves(cluster: RaisedCluster, host: str) -> tuple[str, int]:
    """What it is, as soon as it lets somebody in."""
    said: Exception | None = None
    with anyio.move_on_after(TIMEOUT_S):
        while True:
            try:
                async with superuser_session(cluster, host, application=APPLICATION) as session:
                    return "a replica" if session.in_recovery else "a primary", session.timeline
            except (psycopg.Error, StorageError, ExceptionGroup) as error:
                said = error
            await anyio.sleep(POLL_S)
    words = f"{host}: PostgreSQL, started by hand, let nobody in within {TIMEOUT_S:g} s ({said})"
    raise ClusterError(words, host=host)
