"""The exporter as a whole: probes, registry and HTTP server, under one task group."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from importlib.metadata import version

import anyio
from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from replication.monitoring.exporter.families import families
from replication.monitoring.exporter.http_server import Health, MetricsServer
from replication.monitoring.exporter.prober import Prober
from replication.monitoring.exporter.settings import ExporterSettings

STUCK_AFTER_S = 15.0
STUCK_AFTER_INTERVALS = 10
"""Every question ends within its deadline (3 s at most), so an answer that is older than both means
that the probes have stopped."""


class ClusterCollector(Collector):
    """Exports what a prober knows at the moment of the scrape."""

    def __init__(
        self,
        prober: Prober,
        cluster: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._prober = prober
        self._cluster = cluster
        self._clock = clock
        self._wall_clock = wall_clock
        self._version = version("bascule")

    def collect(self) -> Iterator[Family]:
        """The families of one scrape."""
        return families(
            self._prober.board,
            cluster=self._cluster,
            version=self._version,
            now_s=self._clock(),
            wall_s=self._wall_clock(),
        )


@asynccontextmanager
async def exporter(settings: ExporterSettings, host: str, port: int) -> AsyncIterator[int]:
    """Watch and serve until the end of the block; yields the port of the server.

    Raises:
        OSError: the address cannot be listened on.
    """
    prober = Prober(settings)
    registry = CollectorRegistry()
    registry.register(ClusterCollector(prober, settings.cluster))
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)

    def health() -> Health:
        age_s = time.monotonic() - prober.board.oldest_s
        limit_s = max(STUCK_AFTER_S, STUCK_AFTER_INTERVALS * settings.interval_s)
        return Health(alive=age_s < limit_s, age_s=age_s)

    async with (
        MetricsServer(registry, health).listening(host, port) as bound,
        anyio.create_task_group() as group,
    ):
        group.start_soon(prober.run)
        yield bound
        group.cancel_scope.cancel()
