"""The lab that serves a test: ``python -m chaos.gameday.supervisor FOLDER`` in sealed namespaces.

Started by ``chaos.gameday.lab_handle``. It raises the cluster, serves its doors and its control
channel, and stays until the lab's lifeline ends it.
"""

from __future__ import annotations

import json
import socket
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path

import anyio

from chaos.decode import decode
from chaos.gameday import channel
from chaos.gameday.errors import NotRunningError, StartError, words_of
from chaos.gameday.operator import Caretaker
from chaos.gameday.requests import Ready, Request
from cluster.binaries import Binaries, find_binaries
from cluster.boot import BootWatch, raise_cluster
from cluster.errors import ClusterError
from cluster.patroni.config import SUPERUSER
from cluster.raised import RaisedCluster
from cluster.substrates.base import ProcessExit
from cluster.substrates.lab.doors import PortForward, PortForwards
from cluster.substrates.lab.lab import Lab
from cluster.topology.load import load_topology

PLAN = "plan.json"
TOPOLOGY = "topology.toml"
LOGS = "logs"


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorPlan:
    """A door, and the descriptor of its listener."""

    host: str
    port: int
    via: str | None
    fd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What ``plan.json`` says."""

    control_fd: int
    doors: tuple[DoorPlan, ...]
    pg_bindir: str | None = None


class Supervisor:
    """The cluster: starting, up, or failed."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self._folder = folder
        self._plan = plan
        self._settled = anyio.Event()
        self._answered = anyio.Event()
        self._caretaker: Caretaker | None = None
        self._failure: str | None = None
        self._boot = BootWatch(folder / LOGS)

    async def run(self) -> int:
        """Serve until the lab ends; returns only when the cluster could not be raised."""
        async with anyio.create_task_group() as tasks:
            listener = socket.socket(fileno=self._plan.control_fd)
            tasks.start_soon(channel.serve, listener, self._handle, self._sent)
            try:
                await self._serve()
            except* (ClusterError, OSError) as errors:
                self._failure = "\n".join(words_of(errors))
                traceback.print_exception(errors)
            self._settled.set()
            with anyio.move_on_after(ANSWER_PATIENCE_S):
                await self._answered.wait()
            tasks.cancel_scope.cancel()
        return 1

    async def _serve(self) -> None:
        logs = self._folder / LOGS
        logs.mkdir(exist_ok=True)
        topology = load_topology(self._folder / TOPOLOGY)
        bindir = self._plan.pg_bindir
        binaries = find_binaries(None if bindir is None else Path(bindir))
        async with Lab(topology, logs=logs, on_exit=self._unit_exited) as lab:
            cluster = await self._raise(lab, binaries, logs)
            doors = PortForwards(lab, {_door(plan): _listener(plan) for plan in self._plan.doors})
            self._caretaker = Caretaker(cluster, lost=doors.break_to)
            self._settled.set()
            await doors.serve()

    async def _raise(self, lab: Lab, binaries: Binaries, logs: Path) -> RaisedCluster:
        """Raise the cluster; a process that dies meanwhile ends the attempt at once."""
        raising = raise_cluster(
            lab,
            binaries,
            config_folder=self._folder / "config",
            logs=logs,
            done=lambda step: print(step, flush=True),
        )
        return await self._boot.boot(raising)

    def _unit_exited(self, unit: ProcessExit) -> None:
        self._boot.unit_exited(unit)
        if self._caretaker is not None:
            self._caretaker.unit_exited(unit)
        if not unit.expected:
            print(f"{unit.unit} on {unit.host} ended with {unit.status}", flush=True)

    def _sent(self) -> None:
        if self._failure is not None:  # the starting process has been told
            self._answered.set()

    async def _handle(self, request: Request) -> object:
        await self._settled.wait()
        if self._caretaker is None:
            raise StartError(self._failure or "the cluster could not be raised")
        if self._failure is not None:
            raise NotRunningError(self._failure)
        if request.op == "ready":
            ours = self._caretaker.cluster.credentials
            return Ready(
                superuser=SUPERUSER,
                superuser_password=ours.superuser,
                etcd_password=ours.etcd_patroni,
            )
        return await self._caretaker.do(request)


ANSWER_PATIENCE_S = 5.0
"""Time for the starting process to read why the start failed."""


def _door(plan: DoorPlan) -> PortForward:
    return PortForward(host=plan.host, port=plan.port, via=plan.via)


def _listener(plan: DoorPlan) -> socket.socket:
    listener = socket.socket(fileno=plan.fd)
    listener.setblocking(False)
    return listener


async def serve(folder: Path, plan: Plan) -> int:
    """Raise and serve; returns only when the cluster could not be raised."""
    return await Supervisor(folder, plan).run()


def main() -> int:
    """Serve a lab; the exit code."""
    folder = Path(sys.argv[1])
    plan = decode(Plan, json.loads((folder / PLAN).read_text(encoding="utf-8")))
    return anyio.run(serve, folder, plan)


if __name__ == "__main__":
    sys.exit(main())
