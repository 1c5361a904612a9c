"""The console of a host: a network with no other host on it, by which we reach the host.

It stays when the host's links are cut, and joins no two hosts: the engine drops what would go from
one of its networks to another. Where this machine has a route to it, the host is reached at its own
address; else (an engine in a virtual machine or on another machine) at the ports that the engine
publishes for it, which are others after each start.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import anyio
import httpcore
from httpcore import AsyncNetworkBackend, AsyncNetworkStream

from cluster.errors import EngineError
from cluster.substrates.docker import client as docker

if TYPE_CHECKING:
    from httpcore._backends.base import SOCKET_OPTION

Where = Callable[[str, int], Awaitable[tuple[str, int]]]
"""From a host and its port to an address and a port that can be connected to."""
ASK_AGAIN_S = 0.2
"""A host that does not run has no ports, and is asked for many times a second meanwhile."""


class ContainerConsoles(AsyncNetworkBackend):
    """Lets httpcore reach ``http://<host>:<port>`` over the host's console.

    Args:
        where: ``by_route``, or ``PublishedPorts.where``.
        refused: told of a host that could not be connected to.
    """

    def __init__(self, where: Where, refused: Callable[[str], object] = lambda host: None) -> None:
        self._where = where
        self._refused = refused
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (httpcore's signature)
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> AsyncNetworkStream:
        """Connect to ``port`` of ``host``."""
        address, there = await self._where(host, port)
        try:
            return await self._backend.connect_tcp(
                address, there, timeout, local_address, socket_options
            )
        except httpcore.ConnectError:
            self._refused(host)
            raise

    async def sleep(self, seconds: float) -> None:
        """Required by httpcore."""
        await self._backend.sleep(seconds)


def by_route(addresses: Mapping[str, str]) -> Where:
    """At the hosts' own addresses.

    Args:
        addresses: the console address of every host.
    """

    async def where(host: str, port: int) -> tuple[str, int]:
        return addresses[host], port

    return where


class PublishedPorts:
    """Finds the ports at which the engine publishes those of the hosts; asks again when one moved.

    Args:
        address: of the engine's machine (``client.address``).
        containers: their names, by host.
    """

    def __init__(self, address: str, containers: Mapping[str, str]) -> None:
        self._address = address
        self._containers = containers
        self._ports: dict[str, Mapping[str, int]] = {}
        self._asked_s: dict[str, float] = {}

    def forget(self, host: str) -> None:
        """Ask for the ports of a host anew, next time: it may have been started again."""
        self._ports.pop(host, None)

    async def where(self, host: str, port: int) -> tuple[str, int]:
        """Where a port of a host is published now.

        Raises:
            ConnectError: nowhere; it does not run.
        """
        if host not in self._ports:
            # A caller may give up before a busy engine answers; the next one then has the answer.
            with anyio.CancelScope(shield=True):
                self._ports[host] = await self._ask(host)
        published = self._ports[host].get(f"{port}/tcp")
        if published is None:
            self.forget(host)
            raise httpcore.ConnectError(f"port {port} of {host} is not published: does it run?")
        return self._address, published

    async def _ask(self, host: str) -> Mapping[str, int]:
        now_s = time.monotonic()
        if now_s < self._asked_s.get(host, 0.0) + ASK_AGAIN_S:
            return {}
        self._asked_s[host] = now_s
        form = "{{json .NetworkSettings.Ports}}"
        try:
            found = await docker.run("inspect", "--format", form, self._containers[host])
        except EngineError as error:
            raise httpcore.ConnectError(str(error)) from error
        ports: Mapping[str, list[dict[str, str]] | None] = json.loads(found) or {}
        return {name: int(places[0]["HostPort"]) for name, places in ports.items() if places}
