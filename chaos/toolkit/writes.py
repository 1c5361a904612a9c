"""Writes to a cluster and questions in SQL, through the storage layer like an application.

The event loop runs in a separate thread. Chaos Toolkit's signal handlers raise exceptions in the
main thread, wherever it is at the moment; inside asyncio's callbacks they would be lost.
"""

from __future__ import annotations

import logging

import anyio
from anyio.from_thread import start_blocking_portal

from chaos.gameday.errors import NotHealthyError
from chaos.testing import PatroniCluster
from chaos.toolkit.activity import logger
from replication import Storage, StorageSettings, Transaction
from replication.errors import StorageError

READ_DEADLINE_S = 20.0
"""For a look at the primary: as ``chaos.testing`` gives itself."""
LAG = """
    SELECT application_name, pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint
    FROM pg_stat_replication WHERE replay_lsn IS NOT NULL
"""


class _ToDebug(logging.Handler):
    """Sends what the storage layer logs at each attempt to Chaos Toolkit's own log."""

    def emit(self, record: logging.LogRecord) -> None:
        logger.debug(record.getMessage())


logging.getLogger("replication").addHandler(_ToDebug())


def write(cluster: PatroniCluster, *, within_s: float, site: str | None = None) -> str | None:
    """Write once, as durably as the cluster promises: None, or why it was not acknowledged.

    It is a unit of work with nothing in it but its id row (``replication.units.id_row``). One whose
    outcome could not be found out in time was not acknowledged.

    Args:
        cluster: raised.
        within_s: how long to try, above 0.
        site: as a client of this site; None: from outside, where no fault cuts it off.
    """
    try:
        with start_blocking_portal() as portal:
            portal.call(_write, cluster, within_s, site)
    except TimeoutError:
        return f"nothing was acknowledged within {within_s:g} s"
    except StorageError as error:
        return str(error)
    return None


async def _write(cluster: PatroniCluster, within_s: float, site: str | None) -> None:
    is_async = cluster.topology.cluster.durability == "async"
    settings = StorageSettings(deadline_s=within_s, durability="local" if is_async else "quorum")
    # The deadline of the unit does not cover the first entry, which makes the storage's tables.
    with anyio.fail_after(within_s):
        async with cluster.storage(site=site, settings=settings) as storage:
            await storage.run(_nothing)


async def _nothing(_: Transaction) -> None:
    """The id row is the write."""


def replica_lag_bytes(cluster: PatroniCluster) -> dict[str, int]:
    """What each replica has still to replay of the primary's WAL, by node, in bytes.

    Raises:
        NotHealthyError: a replica does not stream, so that the primary does not know its lag.
        StorageError: there is no primary, or it does not answer.
    """
    with start_blocking_portal() as portal:
        primary, found = portal.call(_lags, cluster)
    replicas = [node for node in cluster.topology.nodes if node != primary]
    for node in replicas:
        if node not in found:
            words = f"{node} does not stream from {primary}: its lag is not known"
            raise NotHealthyError(words, node=node)
    return {node: found[node] for node in replicas}


async def _lags(cluster: PatroniCluster) -> tuple[str, dict[str, int]]:
    async with cluster.storage(settings=StorageSettings(deadline_s=READ_DEADLINE_S)) as storage:
        return await _read_lags(storage)


async def _read_lags(storage: Storage) -> tuple[str, dict[str, int]]:
    async def ask(transaction: Transaction) -> dict[str, int]:
        found = await transaction.execute(LAG)
        return {str(node): max(0, int(lag)) for node, lag in found.rows}

    read = await storage.read(ask)
    return read.node, read.value
