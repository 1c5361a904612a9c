"""Ports of this machine that lead to whichever host has a role at the moment.

A client connects to one address, as with HAProxy in front of the cluster, and is led over the
console of the host that is the primary (or a replica) then. A connection ends as soon as its host
no longer has the role: the client connects again, and finds the new one (HAProxy does the same with
``on-marked-down shutdown-sessions``, as in Patroni's ``haproxy.cfg``).

The listeners are made outside the sites and inherited, so that this machine reaches them.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import anyio
import anyio.abc
from httpcore import AsyncNetworkBackend

from cluster.substrates.relay import lead

LOOK_INTERVAL_S = 0.1
"""As often as the roles are looked at: a connection to an old primary lives this much longer."""
BACKLOG = 128

Hosts = Callable[[], Sequence[str]]
"""The hosts that have a role now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPort:
    """A listener, and where it leads: to ``port`` of one of ``hosts()``."""

    listener: socket.socket
    hosts: Hosts
    port: int


class OpenPorts:
    """Serves them.

    Args:
        console: of the substrate.
        ports: which.
    """

    def __init__(self, console: AsyncNetworkBackend, ports: Sequence[OpenPort]) -> None:
        self._console = console
        self._ports = ports
        self._turns: dict[int, int] = {}
        self._open: dict[anyio.CancelScope, tuple[Hosts, str]] = {}

    async def serve(self) -> None:
        """Accept connections, and end those whose host has lost its role, until cancelled."""
        async with anyio.create_task_group() as tasks:
            for one in self._ports:
                tasks.start_soon(self._serve_one, one)
            while True:
                self._end_stale()
                await anyio.sleep(LOOK_INTERVAL_S)

    async def _serve_one(self, one: OpenPort) -> None:
        async def accept(client: anyio.abc.SocketStream) -> None:
            await self._lead(one, client)

        listener = await anyio.abc.SocketListener.from_socket(one.listener)
        async with listener:
            await listener.serve(accept)

    async def _lead(self, one: OpenPort, client: anyio.abc.SocketStream) -> None:
        """Lead a client to the host whose turn it is; nobody has the role: hang up."""
        hosts = one.hosts()
        if not hosts:
            await client.aclose()
            return
        turn = self._turns.get(id(one), 0)
        self._turns[id(one)] = turn + 1
        host = hosts[turn % len(hosts)]
        scope = anyio.CancelScope()
        self._open[scope] = (one.hosts, host)
        try:
            with scope:
                await lead(client, self._console, host, one.port)
        finally:
            self._open.pop(scope, None)

    def _end_stale(self) -> None:
        for scope, (hosts, host) in list(self._open.items()):
            if host not in hosts():
                scope.cancel()


def listen(port: int = 0) -> socket.socket:
    """A listener on 127.0.0.1, to be inherited; port 0 draws a free one.

    Raises:
        OSError: the port is taken.
    """
    return socket.create_server(("127.0.0.1", port), backlog=BACKLOG)


def hosts_of(roles: Callable[[], Mapping[str, str]], wanted: str) -> Hosts:
    """The hosts that have the role ``wanted`` in what ``roles`` says now."""
    return lambda: [host for host, role in roles().items() if role == wanted]
