"""The lab that serves a test: ``python -m chaos.testing.lab_inside FOLDER`` in sealed namespaces.

Started by ``chaos.testing.lab_backend``. It raises the cluster, serves its doors and its control
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

from chaos.evidence.decode import decode
from chaos.testing import control
from chaos.testing.caretaker import Caretaker
from chaos.testing.errors import NotRunningError, StartError, words_of
from chaos.testing.model import Ready, Request
from cluster.binaries import Binaries, find_binaries
from cluster.boot import log_tail, raise_cluster
from cluster.cluster import PatroniCluster
from cluster.errors import BootError, ClusterError
from cluster.lab.lab import Lab
from cluster.lab.served import Door, Doors
from cluster.patroni import SUPERUSER
from cluster.substrate import UnitExit
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


class Inside:
    """The cluster on its way up, up, or not to be had."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self._folder = folder
        self._plan = plan
        self._settled = anyio.Event()
        self._answered = anyio.Event()
        self._caretaker: Caretaker | None = None
        self._failure: str | None = None
        self._booting = anyio.CancelScope()
        self._died_at_boot: UnitExit | None = None

    async def run(self) -> int:
        """Serve until the lab ends; returns only when the cluster could not be raised."""
        async with anyio.create_task_group() as tasks:
            channel = socket.socket(fileno=self._plan.control_fd)
            tasks.start_soon(control.serve, channel, self._handle, self._sent)
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
            doors = Doors(lab, {_door(plan): _listener(plan) for plan in self._plan.doors})
            self._caretaker = Caretaker(cluster, lost=doors.break_to)
            self._settled.set()
            await doors.serve()

    async def _raise(self, lab: Lab, binaries: Binaries, logs: Path) -> PatroniCluster:
        """Raise the cluster; a process that dies meanwhile ends the attempt at once."""
        with self._booting:
            return await raise_cluster(
                lab,
                binaries,
                config_folder=self._folder / "config",
                logs=logs,
                done=lambda step: print(step, flush=True),
            )
        died = self._died_at_boot
        assert died is not None
        tail = log_tail(logs / f"{died.host}.{died.unit}.log")
        words = f"{died.unit} on {died.host} ended with {died.status} while the cluster was raised"
        raise BootError(f"{words}\n{tail}", host=died.host)

    def _unit_exited(self, unit: UnitExit) -> None:
        if self._caretaker is not None:
            self._caretaker.unit_exited(unit)
        elif not unit.expected:
            self._died_at_boot = unit
            self._booting.cancel()
        if not unit.expected:
            print(f"{unit.unit} on {unit.host} ended with {unit.status}", flush=True)

    def _sent(self) -> None:
        if self._failure is not None:  # whoever started us has been told
            self._answered.set()

    async def _handle(self, request: Request) -> object:
        await self._settled.wait()
        if self._caretaker is None:
            raise StartError(self._failure or "the cluster could not be raised")
        if self._failure is not None:
            raise NotRunningError(self._failure)
        if request.op == "ready":
            password = self._caretaker.cluster.credentials.superuser
            return Ready(superuser=SUPERUSER, superuser_password=password)
        return await self._caretaker.do(request)


ANSWER_PATIENCE_S = 5.0
"""For whoever started us to hear why it failed."""


def _door(plan: DoorPlan) -> Door:
    return Door(host=plan.host, port=plan.port, via=plan.via)


def _listener(plan: DoorPlan) -> socket.socket:
    listener = socket.socket(fileno=plan.fd)
    listener.setblocking(False)
    return listener


async def serve(folder: Path, plan: Plan) -> int:
    """Raise and serve; returns only when the cluster could not be raised."""
    return await Inside(folder, plan).run()


def main() -> int:
    """Serve a lab; the exit code."""
    folder = Path(sys.argv[1])
    plan = decode(Plan, json.loads((folder / PLAN).read_text(encoding="utf-8")))
    return anyio.run(serve, folder, plan)


if __name__ == "__main__":
    sys.exit(main())
