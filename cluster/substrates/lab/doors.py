"""Doors of a lab: ports on this machine's loopback that lead to a port of a host inside.

A socket belongs to the network namespace in which it was made. So a door's listener is made
outside, and the process inside inherits it: connections come in, and no host has a way out.

A door leads to the host's own loopback (its console: also while its link is cut), or, with ``via``,
goes over the lab's network from another host: then it feels every cut that this host feels.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import anyio
import anyio.abc

from cluster.substrates.lab.console import LOOPBACK, open_console
from cluster.substrates.lab.lab import Lab

CHUNK = 65536
BACKLOG = 128
CONNECT_TIMEOUT_S = 10.0
"""Over a cut link nothing ever answers; the client has long given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PortForward:
    """Where a door leads: ``port`` of ``host``, from ``via`` (None: over the console)."""

    host: str
    port: int
    via: str | None = None


def make_listener() -> socket.socket:
    """A listener on a free port of 127.0.0.1, to be inherited by the process inside."""
    return socket.create_server((LOOPBACK, 0), backlog=BACKLOG)


class PortForwards:
    """Serves the doors of a lab, from inside.

    Args:
        lab: raised.
        listeners: made outside, one a door.
    """

    def __init__(self, lab: Lab, listeners: Mapping[PortForward, socket.socket]) -> None:
        self._lab = lab
        self._listeners = listeners
        self._open: dict[str, set[anyio.CancelScope]] = {door.host: set() for door in listeners}

    async def serve(self) -> None:
        """Accept connections until cancelled."""
        async with anyio.create_task_group() as tasks:
            for door, raw in self._listeners.items():
                tasks.start_soon(self._serve_door, door, raw)

    async def _serve_door(self, door: PortForward, raw: socket.socket) -> None:
        async def lead(client: anyio.abc.SocketStream) -> None:
            async with client:
                await self._lead(door, client)

        listener = await anyio.abc.SocketListener.from_socket(raw)
        async with listener:
            await listener.serve(lead)

    def break_to(self, host: str) -> None:
        """End every connection to a host, over its console: what its own death does, and no later.

        Connections over the network are left alone: there a dead host is silent.
        """
        for scope in list(self._open.get(host, ())):  # no door leads to a client's host
            scope.cancel()

    async def _lead(self, door: PortForward, client: anyio.abc.SocketStream) -> None:
        scope = anyio.CancelScope()
        if door.via is None:
            self._open[door.host].add(scope)
        try:
            with scope:
                await self._join(door, client)
        finally:
            self._open[door.host].discard(scope)

    async def _join(self, door: PortForward, client: anyio.abc.SocketStream) -> None:
        start = door.via or door.host
        address = LOOPBACK if door.via is None else self._lab.address(door.host)
        try:
            with anyio.fail_after(CONNECT_TIMEOUT_S):
                remote = await open_console(start, door.port, address)
        except OSError:  # TimeoutError is one
            return
        async with remote, anyio.create_task_group() as directions:
            for source, sink in ((client, remote), (remote, client)):
                directions.start_soon(_pump, source, sink, directions.cancel_scope)


async def _pump(
    source: anyio.abc.SocketStream, sink: anyio.abc.SocketStream, both: anyio.CancelScope
) -> None:
    """One direction, until either side ends; then the other direction ends too."""
    with suppress(anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
        while True:
            await sink.send(await source.receive(CHUNK))
    both.cancel()
