"""The cluster in containers: on the substrate of the drills, served by a thread of this process.

A thread and not a process of its own, as the lab has it: a kept cluster is taken over in a third of
a second, and a Python process takes longer than that to import what serves it.
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, contextmanager, suppress
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.abc

from chaos.errors import ChaosError
from chaos.gameday.errors import (
    NOT_RUNNING,
    ClusterInTestsError,
    FaultError,
    NoDockerError,
    NotRunningError,
    OptionError,
    StartError,
    words_of,
)
from chaos.gameday.operator import Caretaker
from chaos.gameday.requests import HostPlace, Ready, Request
from chaos.gameday.serving import ClusterEnd, Serving
from cluster.boot import raise_services
from cluster.errors import BootError, ClusterError, EngineError, HostError, PrerequisiteError
from cluster.etcd.member import CLIENT_PORT
from cluster.patroni.config import POSTGRES_PORT, REST_PORT, SUPERUSER, Passwords
from cluster.raised import POLL_S, RaisedCluster
from cluster.substrates.docker import client as docker
from cluster.substrates.docker import leftovers
from cluster.substrates.docker.hosts import ContainerHosts
from cluster.substrates.docker.images import OF_A_CLUSTER, image_name, need_images
from cluster.substrates.docker.keeper import Keeper
from cluster.substrates.docker.kept import KeptSlot, Known, take_slot
from cluster.substrates.docker.labels import NOBODY, TESTING, labels
from cluster.substrates.docker.prerequisites import ask_server as ask_engine
from cluster.substrates.docker.prerequisites import explain_age, remedy_of_silence, require_compose
from cluster.substrates.docker.project import PORTS, container_name, unit_of
from cluster.substrates.docker.raiser import ContainerServices
from cluster.substrates.owner import this_process
from cluster.substrates.relay import relay
from cluster.topology.load import to_toml
from cluster.topology.model import Topology
from cluster.topology.proxies import PROXY_ROLES

T = TypeVar("T")

ADOPT_TIMEOUT_S = 90.0
"""For a cluster that an earlier run has left as it was, its primary lost: a failover, and its
rejoining. A new one takes less, but has not what the earlier run wrote."""
NUDGE_S = 0.5


class DockerBackend:
    """A cluster of containers.

    Args:
        topology: what to raise.
        reuse: leave it up at the end, and take the one that an earlier run has left. Each process
            has one of its own: what another one uses at the moment is not taken.
        tenant: with ``reuse``: for whom it is; what another one has left is not taken.

    Attributes:
        guard: called before anything is made that ends with this process: hands its removal to
            another process, too; returns the labels by which that finds it.
    """

    def __init__(
        self,
        topology: Topology,
        *,
        reuse: bool = False,
        tenant: str = "",
    ) -> None:
        self.topology = _without_clients(topology)
        self._reuse = reuse
        self._tenant = tenant
        self.guard: Callable[[], Mapping[str, str]] = dict
        self._run = ""
        self._hosts: ContainerHosts | None = None
        self._caretaker: Caretaker | None = None
        self._serving: Serving | None = None
        self._ports: dict[tuple[str, int], int] = {}
        self._running = ExitStack()
        self._owner = os.getpid()

    @property
    def places(self) -> tuple[HostPlace, ...]:
        """Where the nodes' doors are; none of them feels the cuts of a site."""
        return tuple(
            HostPlace(
                node=node,
                site=self.topology.site_of(node).name,
                postgres_port=self._ports[node, POSTGRES_PORT],
                rest_port=self._ports[node, REST_PORT],
            )
            for node in self.topology.nodes
        )

    @property
    def etcd_ports(self) -> dict[str, int]:
        """The doors of etcd's members, by host."""
        hosts = self.topology.hosts_with("etcd")
        return {host.name: self._ports[host.name, CLIENT_PORT] for host in hosts}

    def start(self, *, timeout_s: float) -> Ready:
        """Take over what is kept, or make the containers and raise the cluster; see
        ``Backend.start``."""
        self._owner = os.getpid()
        need_client()
        images = [image_name(short) for short in OF_A_CLUSTER]
        try:
            with engine_words():
                folder = Path(self._running.enter_context(tempfile.TemporaryDirectory()))
                if not self._reuse:
                    self._run = uuid.uuid4().hex[:10]
                    return self._make_anew(None, images, folder, timeout_s)
                kind = f"{to_toml(self.topology)}{sorted(images)}{self._tenant}"
                slot = take_slot(kind, self._running)
                self._run = slot.run
                ready = self._take_over(slot, folder, timeout_s)
                return ready or self._make_anew(slot, images, folder, timeout_s)
        except BaseException:
            try:
                self.stop()
            except ClusterInTestsError as error:
                tell(f"what was made of it stays until the next start: {error}")
            raise

    def _take_over(self, slot: KeptSlot, folder: Path, timeout_s: float) -> Ready | None:
        """Serve what an earlier run has left; None if there is nothing, or it does not
        become whole."""
        if (known := slot.read()) is None:
            return None
        with ExitStack() as attempt:
            try:
                ready = self._serve(attempt, folder, timeout_s, known=known)
            except StartError as error:
                if not docker.is_missing(str(error)):  # else another process has removed it
                    words = str(error).partition("\n")[0]
                    tell(f"the kept cluster cannot be used, and is made anew: {words}")
                return None
            self._running.push(attempt.pop_all())
        return ready

    def _make_anew(
        self, slot: KeptSlot | None, images: list[str], folder: Path, timeout_s: float
    ) -> Ready:
        """Raise a cluster; one that has a slot is left up from the moment that it is whole."""
        need_engine(images)
        leftovers.sweep(lambda words: tell(f"what an earlier run has left stays for now: {words}"))
        marks = labels(self._run, NOBODY if slot else this_process(), TESTING)
        made = self._running.enter_context(ExitStack())
        if slot is None:
            marks |= self.guard()
            made.callback(Keeper(self._run).dismiss)
        else:
            slot.clear()
            leftovers.remove_run(self._run)
        made.callback(self._remove, self._run)
        ready = self._serve(self._running, folder, timeout_s, marks=marks)
        assert self._hosts is not None
        assert self._hosts.block is not None
        if slot is not None and self._caretaker is not None:
            credentials = self._caretaker.cluster.credentials
            slot.write(Known(block=self._hosts.block, credentials=credentials))
            made.pop_all()
        return ready

    def _remove(self, run: str) -> None:
        """Remove all of a run; where that fails, the next ``stop`` tries again."""
        # What was being made when it was interrupted may still appear.
        pause_s = leftovers.PAUSE_S if self._ports else leftovers.SETTLE_S
        try:
            leftovers.remove_run(run, pause_s=pause_s)
        except BaseException:
            self._running.callback(self._remove, run)
            raise

    def _serve(
        self,
        running: ExitStack,
        folder: Path,
        timeout_s: float,
        *,
        marks: Mapping[str, str] | None = None,
        known: Known | None = None,
    ) -> Ready:
        """Raise the cluster, and begin to serve it from a thread of its own.

        Args:
            running: gets what ends it.
            folder: for the configuration and the logs.
            timeout_s: until it is whole.
            marks: the labels of what is made.
            known: of the cluster that is there already.
        """

        async def served(end: ClusterEnd, *, task_status: anyio.abc.TaskStatus[Ready]) -> None:
            with end.booting, anyio.fail_after(timeout_s) as limit:
                async with AsyncExitStack() as closing:
                    hosts = self._make_hosts(folder, marks, None if known is None else known.block)
                    await closing.enter_async_context(hosts)
                    cluster = await self._raise(hosts, folder, known)
                    closing.push_async_callback(cluster.aclose)
                    await self._open(cluster, hosts, closing)
                    password = cluster.credentials.superuser
                    task_status.started(Ready(superuser=SUPERUSER, superuser_password=password))
                    limit.deadline = math.inf
                    end.ready()
                    await end.wait()
                    return
            raise NotRunningError("the cluster was stopped while it was raised")

        self._serving = running.enter_context(Serving())
        try:
            return self._serving.start(served, Ready)
        except (ClusterError, OSError, ExceptionGroup) as error:
            said = "; ".join(words_of(error)) if str(error) else f"not in {timeout_s:g} s"
            words = f"the cluster could not be raised: {said}"
            raise StartError(words, logs=self._all_logs()) from error

    def _make_hosts(
        self, folder: Path, marks: Mapping[str, str] | None, block: IPv4Network | None
    ) -> ContainerHosts:
        hosts = self._hosts = ContainerHosts(
            self.topology,
            folder=folder,
            run=self._run,
            on_exit=lambda end: None,  # why one has ended, the engine says when it is healed
            at_end="leave",
            marks=marks,
            publish=True,
            block=block,
        )
        return hosts

    async def _open(
        self, cluster: RaisedCluster, hosts: ContainerHosts, closing: AsyncExitStack
    ) -> None:
        """Open the doors, and make the caretaker that breaks and heals the cluster."""
        for host in self.topology.hosts:
            for port in PORTS[unit_of(host)]:
                door = relay(hosts.console, host.name, port)
                self._ports[host.name, port] = await closing.enter_async_context(door)
        self._caretaker = Caretaker(cluster, ended=hosts.ended)

    async def _raise(
        self, hosts: ContainerHosts, folder: Path, known: Known | None
    ) -> RaisedCluster:
        if known is not None:
            return await self._find(hosts, known.credentials)
        return await raise_services(
            hosts, ContainerServices(hosts), logs=folder / "logs", done=lambda step: None
        )

    async def _find(self, hosts: ContainerHosts, credentials: Passwords) -> RaisedCluster:
        """The cluster that is in these containers, once it is whole.

        Raises:
            BootError: it does not get whole; says what it lacks.
        """
        async with AsyncExitStack() as closing:
            cluster = RaisedCluster(hosts, ContainerServices(hosts, credentials))
            closing.push_async_callback(cluster.aclose)
            for host in self.topology.hosts:
                if hosts.is_down(host.name):
                    await cluster.start_services(host.name)
            caretaker = Caretaker(cluster)
            end_s, nudge_s = time.monotonic() + ADOPT_TIMEOUT_S, 0.0
            while (missing := await cluster.missing_of_whole()) is not None:
                if (now_s := time.monotonic()) > end_s:
                    raise BootError(f"it was not whole after {ADOPT_TIMEOUT_S:g} s: {missing}")
                if now_s > nudge_s + NUDGE_S:
                    await caretaker.do(Request(op="nudge"))
                    nudge_s = now_s
                await anyio.sleep(POLL_S)
            closing.pop_all()
        return cluster

    def do(self, request: Request, answer: type[T], *, timeout_s: float) -> T:
        """Ask the caretaker, in the thread that serves the cluster; see ``Backend.do``."""
        if self._caretaker is None or self._serving is None:
            raise NotRunningError(NOT_RUNNING)
        try:
            done = self._serving.do(request.op, self._caretaker.do, request, timeout_s=timeout_s)
        except ClusterInTestsError:
            raise
        except (ChaosError, ClusterError, OSError, ExceptionGroup) as error:
            raise FaultError("; ".join(words_of(error))) from error
        assert isinstance(done, answer)
        return done

    def logs(self, host: str, *, lines: int) -> str:
        """The last lines of a container's log, below its name."""
        if self._hosts is None:
            return ""
        with suppress(ClusterError):  # it may be what is broken
            text = "".join(self._streams_of(host, "--tail", str(lines)))
            return "\n".join([f"{host}:", *(f"  {line}" for line in text.splitlines())])
        return ""

    def streams(self) -> dict[str, tuple[bytes, bytes]]:
        """What each container has written to stdout and to stderr, by host.

        Raises:
            NotRunningError: there are none.
            StartError: the engine refused.
        """
        if self._hosts is None:
            raise NotRunningError(NOT_RUNNING)
        with engine_words():
            found = {host.name: self._streams_of(host.name) for host in self.topology.hosts}
        return {host: (out.encode(), err.encode()) for host, (out, err) in found.items()}

    def _streams_of(self, host: str, *options: str) -> tuple[str, str]:
        name = container_name(self._run, host, unit_of(self.topology.host(host)))
        return docker.both_streams(["logs", *options, name])

    def _all_logs(self) -> str:
        texts: Iterator[str] = (self.logs(host.name, lines=8) for host in self.topology.hosts)
        return "\n".join(text for text in texts if text)

    def stop(self) -> None:
        """Remove everything, or leave it up to be used again; may be called again where it fails.

        Raises:
            ClusterInTestsError: it could not; says why.
        """
        if self._owner != os.getpid():  # a forked child does not own it
            return
        self._caretaker, self._hosts = None, None
        with engine_words():
            self._running.pop_all().close()  # what fails is registered anew
        self._ports.clear()


def _without_clients(topology: Topology) -> Topology:
    """The topology's hosts that are containers.

    Raises:
        OptionError: a host has two roles, or is a proxy.
    """
    sites = []
    for site in topology.sites:
        hosts = tuple(host for host in site.hosts if host.roles != ("client",))
        for host in hosts:
            if proxies := [role for role in PROXY_ROLES if role in host.roles]:
                words = f"{host.name} has the role {proxies[0]}, which containers have not"
                raise OptionError(f"mode='docker': {words}; mode='lab' has it")
            if len(host.roles) != 1:
                words = f"{host.name} has the roles {', '.join(host.roles)}"
                raise OptionError(f"mode='docker': {words}; a container has one")
        sites.append(replace(site, hosts=hosts))
    return replace(topology, sites=tuple(sites))


def tell(words: str) -> None:
    """Print a message for the person who runs the tests."""
    print(f"bascule: {words}", file=sys.stderr, flush=True)


@contextmanager
def engine_words() -> Iterator[None]:
    """Errors of the engine, as a start's.

    Raises:
        NoDockerError: something is missing.
        StartError: what the engine said.
    """
    try:
        yield
    except PrerequisiteError as error:
        raise NoDockerError(str(error)) from error
    except (EngineError, HostError) as error:
        raise StartError(f"Docker refused: {error}") from error


def need_client() -> None:
    """Make sure that there is a docker client.

    Raises:
        NoDockerError: there is none.
    """
    if not docker.has_client():
        raise NoDockerError(
            "mode='docker' needs the docker client with its compose plugin, and there is none on"
            " PATH\n  remedy: https://docs.docker.com/engine/install/; mode='lab' needs none"
        )


def need_engine(images: list[str]) -> None:
    """Make sure that a cluster can be made.

    Raises:
        NoDockerError: the engine does not answer or is too old, compose is missing, or an image
            is, and cannot be built.
    """
    try:
        server = ask_engine()
    except EngineError as error:
        words = f"no Docker engine answers: {error}"
        remedy = f"{remedy_of_silence(str(error))}; mode='lab' needs none"
        raise NoDockerError(f"{words}\n  remedy: {remedy}") from error
    if (words_or_none := explain_age(server.api)) is not None:
        raise NoDockerError(words_or_none)
    with engine_words():
        require_compose()
        need_images(images, tell)
