"""An application with the storage layer's metrics: ``python -m support.monitoring.metered_app``.

Its config comes as one line of JSON on stdin. It writes entries and reads them back through
``Storage``, more at once than it has sessions, and serves ``replication.observability.prometheus``
to Prometheus.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from typing import Any

import anyio
from prometheus_client import CollectorRegistry, start_http_server
from support.postgres.ledger_entries import Entry, add_entry

from replication import (
    Credentials,
    Member,
    Storage,
    StorageError,
    StorageSettings,
    Transaction,
)
from replication.observability.prometheus import StorageMetrics

PAUSE_S = 0.2
DEADLINE_S = 60.0
SESSIONS_MAX, WRITERS = 2, 4
"""So that some have to wait for a session, and the metric of that has something to show."""


async def main(config: dict[str, Any]) -> None:
    """Write and read until killed."""
    registry = CollectorRegistry()
    metrics = StorageMetrics(cluster=config["cluster"], registry=registry)
    start_http_server(config["port"], addr="127.0.0.1", registry=registry)
    members = [Member(**member) for member in config["members"]]
    credentials = Credentials(
        user=config["user"], password=config["password"], dbname=config["dbname"]
    )
    settings = StorageSettings(sessions_max=SESSIONS_MAX, deadline_s=DEADLINE_S)
    async with Storage(
        members, credentials, settings=settings, observers=[metrics.observe]
    ) as storage:
        for n in range(sys.maxsize):
            async with anyio.create_task_group() as group:
                for worker in range(WRITERS):
                    group.start_soon(write, storage, worker, n)
                group.start_soon(read, storage)
            await anyio.sleep(PAUSE_S)


async def write(storage: Storage, worker: int, n: int) -> None:
    """One entry. Whatever becomes of it, the metrics say so."""
    entry = Entry(id=f"metered-{worker}-{n}", site="app", worker=worker, n=n)

    async def add(transaction: Transaction) -> None:
        await add_entry(transaction, entry)

    with suppress(StorageError):
        await storage.run(add, unit_id=entry.id)


async def read(storage: Storage) -> None:
    """One read, from wherever it is fresh enough."""

    async def look(transaction: Transaction) -> None:
        await transaction.execute("SELECT count(*) FROM bascule.ledger")

    with suppress(StorageError):
        await storage.read(look, max_staleness_s=5.0)


if __name__ == "__main__":
    anyio.run(main, json.loads(sys.stdin.readline()))
