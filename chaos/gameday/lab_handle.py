"""The cluster in the embedded lab: owned by this process, and gone with it, however it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from chaos.decode import encode
from chaos.gameday import channel, supervisor
from chaos.gameday.errors import NOT_RUNNING, ClusterInTestsError, NotRunningError, StartError
from chaos.gameday.folders import Folder, sweep
from chaos.gameday.requests import HostPlace, Ready, Request
from cluster.errors import PrerequisiteError
from cluster.etcd.member import CLIENT_PORT
from cluster.patroni.config import POSTGRES_PORT, REST_PORT
from cluster.substrates.lab.doors import PortForward, make_listener
from cluster.substrates.lab.enter import SealedLab
from cluster.substrates.lab.prerequisites import check_prerequisites
from cluster.topology.load import to_toml
from cluster.topology.model import Topology

T = TypeVar("T")

LAB_LOG = "lab.log"
"""What the process inside wrote itself."""
LOG_TAIL_LINES = 15


class LabBackend:
    """A lab of this process's own.

    Args:
        topology: what to raise.
        pg_bindir: the folder with PostgreSQL's programs; None looks for the newest.
    """

    def __init__(self, topology: Topology, *, pg_bindir: Path | None = None) -> None:
        self.topology = topology
        self._pg_bindir = pg_bindir
        self._folder: Folder | None = None
        self._lab: SealedLab | None = None
        self._ports: dict[PortForward, int] = {}
        self._owner = os.getpid()

    @property
    def places(self) -> tuple[HostPlace, ...]:
        """Where the nodes' doors are: over the consoles, then as seen from each site."""
        site_of = {host.name: self.topology.site_of(host.name).name for host in self.topology.hosts}
        return tuple(
            HostPlace(
                node=door.host,
                site=site_of[door.host],
                postgres_port=port,
                rest_port=self._ports[PortForward(host=door.host, port=REST_PORT, via=door.via)],
                via=None if door.via is None else site_of[door.via],
            )
            for door, port in self._ports.items()
            if door.port == POSTGRES_PORT
        )

    @property
    def etcd_ports(self) -> dict[str, int]:
        """The doors of etcd's members, by host."""
        return {door.host: port for door, port in self._ports.items() if door.port == CLIENT_PORT}

    def start(self, *, timeout_s: float) -> Ready:
        """Enter the namespaces, raise the cluster; see ``Backend.start``."""
        try:
            check_prerequisites()
        except PrerequisiteError as error:
            raise StartError(str(error)) from error
        sweep()
        self._owner = os.getpid()
        try:
            self._folder = Folder()
            return self._raise(self._folder, timeout_s)
        except OSError as error:
            self.stop()
            raise StartError(f"the cluster could not be raised: {error}") from error
        except BaseException:
            self.stop()
            raise

    def _raise(self, folder: Folder, timeout_s: float) -> Ready:
        self._enter(folder)
        try:
            return self.do(Request(op="ready"), Ready, timeout_s=timeout_s)
        except ClusterInTestsError as error:
            logs = "" if error.logs else self._lab_log()
            raise StartError(f"the cluster could not be raised: {error}", logs=logs) from error

    def _enter(self, folder: Folder) -> None:
        listeners = {door: make_listener() for door in self._doors()}
        self._ports = {door: raw.getsockname()[1] for door, raw in listeners.items()}
        listener = channel.make_listener(folder.path)
        plan = supervisor.Plan(
            control_fd=listener.fileno(),
            doors=tuple(
                supervisor.DoorPlan(host=door.host, port=door.port, via=door.via, fd=raw.fileno())
                for door, raw in listeners.items()
            ),
            pg_bindir=None if self._pg_bindir is None else str(self._pg_bindir),
        )
        (folder.path / supervisor.PLAN).write_text(json.dumps(encode(plan)), encoding="utf-8")
        (folder.path / supervisor.TOPOLOGY).write_text(to_toml(self.topology), encoding="utf-8")
        inherited = [listener, *listeners.values()]
        try:
            with (folder.path / LAB_LOG).open("wb") as log:
                self._lab = SealedLab(
                    [sys.executable, "-m", supervisor.__name__, str(folder.path)],
                    pass_fds=[folder.lock_fd, *(raw.fileno() for raw in inherited)],
                    output=log.fileno(),
                )
        finally:
            # The lab has them now: a door ends with it.
            for raw in inherited:
                raw.close()

    def _doors(self) -> Iterator[PortForward]:
        vias: list[str | None] = [None]
        for site in self.topology.sites:
            vias += [host.name for host in site.hosts if "client" in host.roles][:1]
        for node in self.topology.nodes:
            for via in vias:
                yield PortForward(host=node, port=POSTGRES_PORT, via=via)
                yield PortForward(host=node, port=REST_PORT, via=via)
        for host in self.topology.main.hosts_with("etcd"):
            yield PortForward(host=host.name, port=CLIENT_PORT)

    def do(self, request: Request, answer: type[T], *, timeout_s: float) -> T:
        """Ask the process inside; see ``Backend.do``."""
        if self._folder is None or self._lab is None:
            raise NotRunningError(NOT_RUNNING)
        try:
            return channel.ask(self._folder.path, request, answer, timeout_s=timeout_s)
        except NotRunningError as error:
            with suppress(subprocess.TimeoutExpired):
                code = self._lab.process.wait(1.0)
                words = f"the lab has ended with {code} ({error})"
                raise NotRunningError(words, logs=self._lab_log()) from error
            raise

    def logs(self, host: str, *, lines: int) -> str:
        """The last lines of each log of a host, below its name."""
        if self._folder is None:
            return ""
        found = []
        for path in sorted((self._folder.path / supervisor.LOGS).glob(f"{host}.*.log")):
            found += [f"{path.name}:", *tail(path, lines)]
        return "\n".join(found)

    def _lab_log(self) -> str:
        if self._folder is None:
            return ""
        return "\n".join(tail(self._folder.path / LAB_LOG, LOG_TAIL_LINES))

    def stop(self) -> None:
        """End the lab: at once, without asking."""
        if self._owner != os.getpid():  # a forked child does not own it
            return
        if self._lab is not None:
            self._lab.end()
            self._lab = None
        if self._folder is not None:
            self._folder.remove()
            self._folder = None


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a log, indented; empty if there is no log."""
    with suppress(OSError):
        found = path.read_text(encoding="utf-8", errors="replace").splitlines()
        return [f"  {line}" for line in found[-lines:]]
    return []
