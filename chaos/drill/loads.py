"""The load processes, one a site, seen from the director: start, follow, stop."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from chaos.drill.fed import start_ahead, start_with
from chaos.evidence.history import End, HistoryTail, direct_path, history_path
from chaos.evidence.reads import reads_path
from chaos.live.board import Board, SiteBoard
from chaos.load.doors import doors_of
from chaos.scenarios.model import WorkloadSpec
from chaos.workloads.config import LoadConfig
from chaos.workloads.kind import ClientName
from cluster.patroni.config import POSTGRES_PORT, REST_PORT
from cluster.raised import RaisedCluster
from cluster.topology.model import Topology
from cluster.topology.proxies import ProxyRole
from cluster.topology.settings import SyncMode
from replication import Member

UNIT = "load"
MODULE = "chaos.load.worker"
ROLE = "bascule_app"
"""The database role that the load and the final read connect as."""
DBNAME = "postgres"
FOLLOW_INTERVAL_S = 0.1
RATE_WINDOW_S = 1.0
STOP_TIMEOUT_S = 15.0
"""The load itself gives what is open five seconds to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSettings:
    """What every site's load is asked to do."""

    rate_per_s: float
    workers: int
    seed: int
    deadline_s: float
    durability: SyncMode
    workload: WorkloadSpec
    shared_every: int
    reads_per_s: float
    client: ClientName
    through: ProxyRole | None = None
    """The proxy that plain psycopg goes through."""
    password: str = field(repr=False)


class LoadProcess:
    """One site's load process, and its history as far as it is written."""

    def __init__(self, site: str, host: str, folder: Path) -> None:
        self.site = site
        self.host = host
        self.history_path = history_path(folder, site)
        self.reads_path = reads_path(folder, site)
        self.direct_path = direct_path(folder, site)
        self.last_attempt_s = 0.0
        """When the newest of the acknowledged attempts began."""
        self._history = HistoryTail(self.history_path)
        self._recent: deque[float] = deque()

    def follow(self, board: SiteBoard, now_s: float) -> None:
        """Read what was written since the last time."""
        for end in self._history.ends():
            match end.outcome:
                case "ok":
                    self._acknowledged(end, board)
                case "fail":
                    board.fail += 1
                case "info":
                    board.info += 1
                case "already":
                    board.already += 1
        while self._recent and self._recent[0] < now_s - RATE_WINDOW_S:
            self._recent.popleft()
        board.rate_per_s = len(self._recent) / RATE_WINDOW_S

    def _acknowledged(self, end: End, board: SiteBoard) -> None:
        board.ok += 1
        board.last_ok_s = end.t_s
        self._recent.append(end.t_s)
        # When, and on which node, an earlier call took effect is unknown.
        if end.node is not None:
            board.node = end.node
        if end.attempt_s is not None:
            self.last_attempt_s = max(self.last_attempt_s, end.attempt_s)
            board.last_attempt_s = self.last_attempt_s


def load_hosts(topology: Topology) -> dict[str, str]:
    """By site that has a client, the host of its load."""
    found = {}
    for site in topology.sites:
        clients = [host.name for host in site.hosts if "client" in host.roles]
        if clients:
            found[site.name] = clients[0]
    return found


async def start_loads_ahead(cluster: RaisedCluster) -> bool:
    """Start every site's process ahead, where that can be; whether all of them wait now."""
    substrate = cluster.substrate
    hosts = load_hosts(substrate.topology).values()
    return all([await start_ahead(substrate, host, UNIT, MODULE) for host in hosts])


class Loads:
    """All of them.

    Attributes:
        is_running: load is offered.
        are_ahead: the processes were started ahead, and wait for what they are asked to do.
    """

    def __init__(self, cluster: RaisedCluster, folder: Path, board: Board) -> None:
        self._cluster = cluster
        self._board = board
        self.is_running = False
        self.are_ahead = False
        hosts = load_hosts(cluster.substrate.topology)
        self._sites = [LoadProcess(site, host, folder) for site, host in hosts.items()]
        board.sites.update({site: SiteBoard() for site in hosts})

    @property
    def reader_host(self) -> str:
        """A host from which the final read can be made."""
        return self._sites[0].host

    async def start(self, settings: LoadSettings) -> None:
        """Start every site's load."""
        substrate = self._cluster.substrate
        members = tuple(
            Member(
                name=node,
                rest_url=f"http://{substrate.address(node)}:{REST_PORT}",
                host=substrate.address(node),
                port=POSTGRES_PORT,
                site=substrate.topology.site_of(node).name,
            )
            for node in substrate.topology.nodes
        )
        through = settings.through
        doors = () if through is None else doors_of(substrate, through, DBNAME)
        for load in self._sites:
            config = LoadConfig(
                site=load.site,
                members=members,
                user=ROLE,
                password=settings.password,
                dbname=DBNAME,
                rate_per_s=settings.rate_per_s,
                workers=settings.workers,
                seed=settings.seed,
                deadline_s=settings.deadline_s,
                durability=settings.durability,
                workload=settings.workload,
                sites=tuple(load.site for load in self._sites),
                shared_every=settings.shared_every,
                history_path=str(load.history_path),
                reads_per_s=settings.reads_per_s,
                client=settings.client,
                doors=doors,
                direct_path=str(load.direct_path) if through else None,
                reads_path=str(load.reads_path) if settings.reads_per_s else None,
            )
            line = config.to_line()
            await start_with(substrate, load.host, UNIT, MODULE, line, is_ahead=self.are_ahead)
        self.are_ahead = False
        self.is_running = True

    async def follow(self) -> None:
        """Keep the board up to date until cancelled."""
        while True:
            self.look()
            await anyio.sleep(FOLLOW_INTERVAL_S)

    def look(self) -> None:
        """Bring the board up to date."""
        for load in self._sites:
            load.follow(self._board.sites[load.site], time.monotonic())

    def unserved_since(self, t_s: float) -> list[str]:
        """The sites of which no attempt that began after ``t_s`` was acknowledged yet."""
        return [load.site for load in self._sites if load.last_attempt_s <= t_s]

    async def wait_served_since(
        self, t_s: float, *, timeout_s: float, sites: Collection[str] = ()
    ) -> list[str]:
        """Wait until every site is served again; the sites that are not when the time is up.

        Args:
            t_s: since when.
            timeout_s: how long to wait at most.
            sites: wait for these alone; none: for all.
        """
        with anyio.move_on_after(timeout_s):
            while self._waiting(t_s, sites):
                await anyio.sleep(FOLLOW_INTERVAL_S)
        return self._waiting(t_s, sites)

    def _waiting(self, t_s: float, sites: Collection[str]) -> list[str]:
        return [site for site in self.unserved_since(t_s) if not sites or site in sites]

    async def stop(self) -> None:
        """Have every load end what is open and close its history; no effect where none runs."""
        if not self.is_running:
            return
        self.is_running = False
        async with anyio.create_task_group() as stops:
            for load in self._sites:
                stops.start_soon(self._stop, load)
        self.look()

    async def _stop(self, load: LoadProcess) -> None:
        substrate = self._cluster.substrate
        await substrate.stop_unit(load.host, UNIT, timeout_s=STOP_TIMEOUT_S)
