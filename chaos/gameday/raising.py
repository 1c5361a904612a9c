"""Raises a lab that stays up: its name, its ports, its supervisor.

Everything that can be refused is refused here, before the supervisor starts: a name that is taken,
a port that is in use, a run folder that is not empty.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from socket import socket
from typing import IO
from urllib.parse import quote

from chaos.drill.launch import refuse_used
from chaos.errors import ListenError, OutputError
from chaos.gameday import channel, standing
from chaos.gameday.errors import ClusterInTestsError
from chaos.gameday.labs import LOG, LabFolder, claim
from chaos.gameday.plan import LabPlan, PortPlan, write_plan
from chaos.gameday.requests import HOST, Ready, Request
from cluster.errors import ClusterError
from cluster.substrates.kind import Say
from cluster.substrates.open_ports import listen
from cluster.substrates.registry import SUBSTRATES
from cluster.topology.load import to_toml
from cluster.topology.model import Topology

DBNAME = "postgres"
READY_TIMEOUT_S = 0.5
"""While its Python still starts, nobody answers; meanwhile we look at what it says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabRequest:
    """What a lab is asked to be; everything is resolved and checked."""

    name: str
    topology: Topology
    substrate: str
    seed: int
    workload: str
    rate_per_s: float
    reads_per_s: float
    workers: int
    deadline_s: float
    rto_s_max: float
    load: bool
    out: Path
    command: str
    pg_bindir: Path | None = None
    first_port: int = 0
    """The ports are this one and those after it; 0: whichever are free."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabUrls:
    """Where a lab is reached. The passwords in it are the lab's own, and end with it."""

    primary: str
    """Always leads to the primary of the moment."""
    replica: str
    """Leads to the replicas, one after another."""
    metrics: str
    """For Prometheus: the drill's metrics, and those of its cluster."""
    nodes: Mapping[str, str]
    """Each node, whatever its role."""


class RaisingLab:
    """A lab whose supervisor has been started.

    Attributes:
        plan: what was asked.
        process: the supervisor.
    """

    def __init__(
        self, claimed: LabFolder, plan: LabPlan, process: subprocess.Popen[bytes], log: IO[bytes]
    ) -> None:
        self._claimed = claimed
        self._log = log
        self.plan = plan
        self.process = process

    def said(self) -> str:
        """What the supervisor has said since this was asked last."""
        return self._log.read().decode("utf-8", errors="replace")

    def urls(self) -> LabUrls | None:
        """Where it is reached, once it can be broken; None before."""
        try:
            ready = channel.ask(
                self._claimed.folder, Request(op="ready"), Ready, timeout_s=READY_TIMEOUT_S
            )
        except ClusterInTestsError:
            return None
        return urls_of(self.plan, ready)

    def let_go(self) -> None:
        """It is up, and stays."""
        self._claimed.close()
        self._log.close()

    def abandon(self) -> None:
        """Its supervisor has ended: nothing of it stays."""
        self._claimed.remove()
        self._log.close()


def urls_of(plan: LabPlan, ready: Ready) -> LabUrls:
    """Where a lab is reached, for psql, SQLAlchemy and Prometheus."""
    who = f"{quote(ready.superuser)}:{quote(ready.superuser_password, safe='')}"

    def url(leads_to: str) -> str:
        return f"postgresql://{who}@{HOST}:{plan.port_to(leads_to)}/{DBNAME}"

    return LabUrls(
        primary=url("primary"),
        replica=url("replica"),
        metrics=f"http://{HOST}:{plan.metrics_port}/metrics",
        nodes={
            one.leads_to: url(one.leads_to)
            for one in plan.ports
            if one.leads_to not in ("primary", "replica")
        },
    )


def start(request: LabRequest, say: Say) -> RaisingLab:
    """Start the supervisor of a lab; returns at once.

    Args:
        request: what is asked.
        say: told of a dead lab of the same name, whose leftovers were removed.

    Raises:
        LabNameError: a lab of that name is up.
        ListenError: a port is in use.
        OutputError: the run folder cannot be used.
    """
    refuse_used(request.out)
    try:
        SUBSTRATES[request.substrate].check_folder(request.out)
    except ClusterError as error:
        raise OutputError(f"--out: {error}") from error
    claimed = claim(request.name, say)
    try:
        with ExitStack() as listeners:
            return _start(request, claimed, listeners)
    except BaseException:
        claimed.remove()
        raise


def _start(request: LabRequest, claimed: LabFolder, listeners: ExitStack) -> RaisingLab:
    wanted = ["primary", "replica", "metrics", *request.topology.nodes]
    made: dict[str, socket] = {}
    for index, leads_to in enumerate(wanted):
        port = request.first_port + index if request.first_port else 0
        made[leads_to] = listeners.enter_context(_listen(port))
    control = listeners.enter_context(channel.make_listener(claimed.folder))
    metrics = made.pop("metrics")
    plan = LabPlan(
        name=request.name,
        run=str(request.out.resolve()),
        topology=request.topology.name,
        substrate=request.substrate,
        seed=request.seed,
        workload=request.workload,
        rate_per_s=request.rate_per_s,
        reads_per_s=request.reads_per_s,
        workers=request.workers,
        deadline_s=request.deadline_s,
        rto_s_max=request.rto_s_max,
        load=request.load,
        command=request.command,
        started_at=f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC",
        started_s=time.monotonic(),
        lock_fd=claimed.lock_fd,
        control_fd=control.fileno(),
        ports=tuple(
            PortPlan(leads_to=leads_to, port=raw.getsockname()[1], fd=raw.fileno())
            for leads_to, raw in made.items()
        ),
        metrics_port=metrics.getsockname()[1],
        metrics_fd=metrics.fileno(),
        pg_bindir=None if request.pg_bindir is None else str(request.pg_bindir),
    )
    write_plan(claimed.folder, plan)
    (claimed.folder / standing.TOPOLOGY).write_text(to_toml(request.topology), encoding="utf-8")
    with (claimed.folder / LOG).open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", standing.__name__, str(claimed.folder)],
            pass_fds=(*plan.fds, plan.metrics_fd),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,  # it outlives the terminal
        )
    claimed.write_pid(process.pid)
    return RaisingLab(claimed, plan, process, (claimed.folder / LOG).open("rb"))


def _listen(port: int) -> socket:
    try:
        return listen(port)
    except (OSError, OverflowError) as error:
        words = getattr(error, "strerror", None) or str(error)
        raise ListenError(
            f"--ports: nobody can listen on {HOST}:{port}: {words}; choose others, or leave it out"
            " for free ones"
        ) from error
