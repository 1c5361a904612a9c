"""Shows a running drill and its cluster to Prometheus: ``bascule drill --metrics``.

The drill's own metrics come from the board, those of the cluster from the exporter's probes, which
run in this process and reach the members over their consoles: so a member whose link is cut is seen
too.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from socket import socket

import anyio
import anyio.abc
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from chaos.drill import setup
from chaos.drill.loads import DBNAME
from chaos.drill.recorder import Recorder
from chaos.errors import leaves
from chaos.live.board import Board
from chaos.live.listeners import authority
from chaos.live.metrics import families, label
from cluster.etcd import member
from cluster.patroni.config import POSTGRES_PORT, REST_PORT
from cluster.raised import RaisedCluster
from cluster.substrates.relay import relay
from replication import Credentials
from replication.monitoring.exporter.http_server import Health, MetricsServer
from replication.monitoring.exporter.prober import Prober
from replication.monitoring.exporter.service import ClusterCollector
from replication.monitoring.exporter.settings import ExporterSettings
from replication.patroni.members import Member

ROLE = "bascule_exporter"
"""The database role that the probes connect as."""
LOOPBACK = "127.0.0.1"


class DrillCollector(Collector):
    """The drill's own metrics, at the moment of the scrape."""

    def __init__(self, board: Board, run: str) -> None:
        self._board = board
        self._run = run

    def collect(self) -> Iterator[Family]:
        """The families of one scrape."""
        return families(self._board, run=self._run, now_s=time.monotonic(), wall_s=time.time())


class Show:
    """What Prometheus sees of one drill.

    Args:
        recorder: of the drill.
        folder: the run folder; what the probes complain of goes to its ``logs/exporter.log``.
        listeners: where Prometheus connects; closed at the end.
    """

    def __init__(self, recorder: Recorder, folder: Path, listeners: Sequence[socket]) -> None:
        self._recorder = recorder
        self._folder = folder
        self._listeners = listeners
        self._registry = CollectorRegistry()
        self._registry.register(DrillCollector(recorder.board, folder.name))

    async def serve(self) -> None:
        """Answer requests until cancelled; a drill goes on when this fails."""
        with self._harmless("metrics are not shown any more"):
            await self._serve()

    async def watch(self, cluster: RaisedCluster) -> None:
        """Watch a cluster that is whole, until cancelled; no drill ends because this does."""
        with self._harmless("the metrics are the drill's only"):
            await self._watch(cluster)

    @contextmanager
    def _harmless(self, consequence: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # any error: the drill goes on
            self._recorder.say(f"{consequence}: {leaves(error)[0]}", loud=True)

    async def _serve(self) -> None:
        server = MetricsServer(self._registry, lambda: Health(alive=True, age_s=0.0))
        async with anyio.create_task_group() as tasks:
            for raw in self._listeners:
                host, port = raw.getsockname()[:2]
                self._recorder.say(f"metrics: http://{authority(host, port)}/metrics")
                listener = await anyio.abc.SocketListener.from_socket(raw)
                tasks.start_soon(server.serve, listener)

    async def _watch(self, cluster: RaisedCluster) -> None:
        password = secrets.token_urlsafe(18)
        await setup.prepare_exporter(cluster, ROLE, password)
        write_log(self._folder / "logs" / "exporter.log")
        substrate, topology = cluster.substrate, cluster.substrate.topology
        async with AsyncExitStack() as relays:
            members = [
                Member(
                    name=node,
                    rest_url=f"http://{node}:{REST_PORT}",
                    host=LOOPBACK,
                    port=await relays.enter_async_context(
                        relay(substrate.console, node, POSTGRES_PORT)
                    ),
                    site=topology.site_of(node).name,
                )
                for node in topology.nodes
            ]
            etcd_hosts = [host.name for host in topology.main.hosts_with("etcd")]
            name = label(self._recorder.board.scenario)
            prober = Prober(
                ExporterSettings(
                    cluster=name,
                    scope=topology.cluster.scope,
                    members=tuple(members),
                    membership="fixed",  # they are reached through relays
                    credentials=Credentials(
                        user=ROLE,
                        password=password,
                        dbname=DBNAME,
                        application_name="bascule-exporter",
                    ),
                    dcs_endpoints=tuple(
                        f"http://{host}:{member.CLIENT_PORT}" for host in etcd_hosts
                    ),
                    network=substrate.console,
                )
            )
            self._registry.register(ClusterCollector(prober, name))
            await prober.run()


def write_log(path: Path) -> None:
    """What the probes complain of goes to a file, not between the lines of the display."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log = logging.getLogger("replication.monitoring.exporter")
    log.addHandler(handler)
    log.propagate = False
