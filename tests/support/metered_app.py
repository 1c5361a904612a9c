"""An application with the storage layer's metrics: ``python -m support.metered_app``.

Its config comes as one line of JSON on stdin. It writes ten entries a second through ``Storage``
and serves ``replication.metrics`` to Prometheus.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import anyio
from prometheus_client import CollectorRegistry, start_http_server

from chaos.workloads.ledger import Entry, add_entry
from replication import (
    Applied,
    Credentials,
    Member,
    NotApplied,
    Storage,
    StorageError,
    Transaction,
)
from replication.metrics import StorageMetrics
from replication.observe import Outcome, PoolWaited, PrimaryFound, UnitEnded

PAUSE_S = 0.1
DEADLINE_S = 60.0


async def main(config: dict[str, Any]) -> None:
    """Write until killed."""
    registry = CollectorRegistry()
    metrics = StorageMetrics(cluster=config["cluster"], registry=registry)
    start_http_server(config["port"], addr="127.0.0.1", registry=registry)
    members = [Member(**member) for member in config["members"]]
    credentials = Credentials(
        user=config["user"], password=config["password"], dbname=config["dbname"]
    )
    async with Storage(members, credentials) as storage:
        last: Applied[None] | None = None
        for n in range(sys.maxsize):
            last = await one_unit(storage, metrics, n, last)
            await anyio.sleep(PAUSE_S)


async def one_unit(
    storage: Storage, metrics: StorageMetrics, n: int, last: Applied[None] | None
) -> Applied[None] | None:
    """One entry, and what an observer hears of it; returns the last unit that was applied."""
    entry = Entry(id=f"metered-{n}", site="app", worker=0, n=n)

    async def add(transaction: Transaction) -> None:
        await add_entry(transaction, entry)

    begin_s = time.monotonic()
    try:
        applied = await storage.run(add, unit_id=entry.id, deadline_s=DEADLINE_S)
    except StorageError as error:
        outcome: Outcome = "not-applied" if isinstance(error, NotApplied) else "unknown"
        metrics.observe(unit_ended(entry.id, outcome, time.monotonic() - begin_s, None))
        return last
    metrics.observe(unit_ended(entry.id, "applied", applied.elapsed_s, applied))
    metrics.observe(PoolWaited(node=applied.node, waited_s=0.0))
    if last is None or (last.node, last.timeline) != (applied.node, applied.timeline):
        metrics.observe(
            PrimaryFound(
                node=applied.node,
                timeline=applied.timeline,
                previous=None if last is None else last.node,
                search_s=applied.elapsed_s,
            )
        )
    return applied


def unit_ended(
    unit_id: str, outcome: Outcome, elapsed_s: float, applied: Applied[None] | None
) -> UnitEnded:
    """The event of the end of a unit of work."""
    return UnitEnded(
        unit_id=unit_id,
        outcome=outcome,
        error=None,
        sqlstate=None,
        node=None if applied is None else applied.node,
        attempts=0 if applied is None else applied.attempts,
        elapsed_s=elapsed_s,
        resolved=applied is not None and applied.resolved,
    )


if __name__ == "__main__":
    anyio.run(main, json.loads(sys.stdin.readline()))
