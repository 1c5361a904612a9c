"""The load processes, one a site, seen from the director: start, follow, stop."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from chaos.drill.board import Board, SiteBoard
from chaos.evidence.decode import encode
from chaos.scenarios.model import Durability, WorkloadSpec
from cluster.cluster import PatroniCluster
from cluster.patroni import POSTGRES_PORT, REST_PORT
from cluster.substrate import Unit

UNIT = "load"
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
    durability: Durability
    workload: WorkloadSpec
    password: str = field(repr=False)


class SiteLoad:
    """One site's load process, and its history as far as it is written."""

    def __init__(self, site: str, host: str, folder: Path) -> None:
        self.site = site
        self.host = host
        self.history_path = folder / f"history-{site}.jsonl"
        self.last_attempt_s = 0.0
        """When the newest of the acknowledged attempts began."""
        self._offset = 0
        self._recent: deque[float] = deque()

    def follow(self, board: SiteBoard, now_s: float) -> None:
        """Read what was written since the last time."""
        if not self.history_path.exists():
            return
        with self.history_path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            if b'"ok"' in line:
                self._acknowledged(json.loads(line), board)
            elif b'"fail"' in line:
                board.fail += 1
            elif b'"info"' in line:
                board.info += 1
        while self._recent and self._recent[0] < now_s - RATE_WINDOW_S:
            self._recent.popleft()
        board.rate_per_s = len(self._recent) / RATE_WINDOW_S

    def _acknowledged(self, line: Mapping[str, object], board: SiteBoard) -> None:
        board.ok += 1
        board.last_ok_s = float(str(line["t_s"]))
        board.node = str(line["node"])
        self.last_attempt_s = max(self.last_attempt_s, float(str(line["attempt_s"])))
        self._recent.append(board.last_ok_s)


class Loads:
    """All of them."""

    def __init__(self, cluster: PatroniCluster, folder: Path, board: Board) -> None:
        self._cluster = cluster
        self._board = board
        topology = cluster.substrate.topology
        self._sites: list[SiteLoad] = []
        for site in topology.sites:
            clients = [host.name for host in site.hosts if "client" in host.roles]
            if clients:
                self._sites.append(SiteLoad(site.name, clients[0], folder))
                board.sites[site.name] = SiteBoard()

    @property
    def reader_host(self) -> str:
        """A host from which the final read can be made."""
        return self._sites[0].host

    async def start(self, settings: LoadSettings) -> None:
        """Start every site's load."""
        substrate = self._cluster.substrate
        members = [
            {
                "name": node,
                "rest_url": f"http://{substrate.address(node)}:{REST_PORT}",
                "host": substrate.address(node),
                "port": POSTGRES_PORT,
                "site": substrate.topology.site_of(node).name,
            }
            for node in substrate.topology.nodes
        ]
        for load in self._sites:
            config = {
                "site": load.site,
                "members": members,
                "user": ROLE,
                "password": settings.password,
                "dbname": DBNAME,
                "rate_per_s": settings.rate_per_s,
                "workers": settings.workers,
                "seed": settings.seed,
                "deadline_s": settings.deadline_s,
                "durability": settings.durability,
                "workload": encode(settings.workload),
                "history_path": str(load.history_path),
            }
            argv = (substrate.python, "-m", "chaos.workloads.load")
            unit = Unit(name=UNIT, argv=argv, stdin=json.dumps(config) + "\n")
            await substrate.start_unit(load.host, unit)

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

    async def wait_served_since(self, t_s: float, *, timeout_s: float) -> list[str]:
        """Wait until every site is served again; the sites that are not when the time is up."""
        with anyio.move_on_after(timeout_s):
            while self.unserved_since(t_s):
                await anyio.sleep(FOLLOW_INTERVAL_S)
        return self.unserved_since(t_s)

    async def stop(self) -> None:
        """Have every load end what is open and close its history."""
        async with anyio.create_task_group() as stops:
            for load in self._sites:
                stops.start_soon(self._stop, load)
        self.look()

    async def _stop(self, load: SiteLoad) -> None:
        substrate = self._cluster.substrate
        await substrate.stop_unit(load.host, UNIT, timeout_s=STOP_TIMEOUT_S)
