"""The witness as a whole: the daemon and its HTTP server, under one task group."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector

from replication.monitoring.exporter.http_server import Health, MetricsServer
from replication.witness.config import WitnessConfig
from replication.witness.daemon import Witness
from replication.witness.metrics import WitnessMetrics

STUCK_AFTER_S = 5.0
"""A judgement comes 25 times a second, and waits for etcd for half a second at most."""


@asynccontextmanager
async def witness(
    config: WitnessConfig, host: str, port: int, *, is_dry: bool
) -> AsyncIterator[int]:
    """Watch and serve until the end of the block; yields the port of the server.

    Raises:
        OSError: the address cannot be listened on.
        ConfigError: a file for TLS cannot be used.
    """
    registry = CollectorRegistry()
    metrics = WitnessMetrics(
        registry,
        cluster=config.dcs.scope,
        site=config.settings.site,
        sites=len(config.settings.sites),
    )
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    daemon = Witness(config, metrics, is_dry=is_dry)

    def health() -> Health:
        age_s = time.monotonic() - daemon.looked_s
        return Health(alive=age_s < STUCK_AFTER_S, age_s=age_s)

    async with (
        MetricsServer(registry, health).listening(host, port) as bound,
        anyio.create_task_group() as group,
    ):
        group.start_soon(daemon.run)
        yield bound
        group.cancel_scope.cancel()
