"""A port of ours on the loopback that leads to a port on a host, over the substrate's console.

For clients that can only be given an address, such as gRPC's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import anyio.abc
import httpcore
from httpcore import AsyncNetworkBackend, AsyncNetworkStream

CHUNK = 65536
CONNECT_TIMEOUT_S = 10.0
"""A console answers or refuses at once, but for a machine that is busy."""


@asynccontextmanager
async def relay(console: AsyncNetworkBackend, host: str, port: int) -> AsyncIterator[int]:
    """Relay while the context is open; yields the local port (on 127.0.0.1).

    What is raised in the context comes out as it is, in no group.
    """
    raised: Exception | None = None

    async def serve(client: anyio.abc.SocketStream) -> None:
        await lead(client, console, host, port)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        try:
            yield listener.extra(anyio.abc.SocketAttribute.local_port)
        except Exception as error:
            raised = error
        finally:
            tasks.cancel_scope.cancel()
    if raised is not None:
        raise raised


async def lead(
    client: anyio.abc.SocketStream, console: AsyncNetworkBackend, host: str, port: int
) -> None:
    """Join a connection to a port on a host, until either side ends; then it is closed."""
    async with client:
        try:
            remote = await console.connect_tcp(host, port, timeout=CONNECT_TIMEOUT_S)
        except (httpcore.NetworkError, httpcore.TimeoutException):
            return
        try:
            await _pump_both(client, remote)
        finally:
            await remote.aclose()


async def _pump_both(client: anyio.abc.SocketStream, remote: AsyncNetworkStream) -> None:
    """Both directions, until either side ends."""
    async with anyio.create_task_group() as directions:

        async def inward() -> None:
            try:
                async for chunk in client:
                    await remote.write(chunk)
            except (anyio.BrokenResourceError, httpcore.NetworkError):
                pass
            directions.cancel_scope.cancel()

        async def outward() -> None:
            try:
                while chunk := await remote.read(CHUNK):
                    await client.send(chunk)
            except (anyio.BrokenResourceError, httpcore.NetworkError):
                pass
            directions.cancel_scope.cancel()

        directions.start_soon(inward)
        directions.start_soon(outward)
