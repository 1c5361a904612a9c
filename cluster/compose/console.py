"""The console of a host: a network with nobody else on it, by which this machine reaches the host.

It stays when the host's links are cut, and joins no two hosts: the engine drops what would go from
one internal network to another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import httpcore
from httpcore import AsyncNetworkBackend, AsyncNetworkStream

if TYPE_CHECKING:
    from httpcore._backends.base import SOCKET_OPTION


class ConsoleBackend(AsyncNetworkBackend):
    """Lets httpcore reach ``http://<host>:<port>`` over the host's console.

    Args:
        addresses: the console address of every host.
    """

    def __init__(self, addresses: Mapping[str, str]) -> None:
        self._addresses = addresses
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
        return await self._backend.connect_tcp(
            self._addresses[host], port, timeout, local_address, socket_options
        )

    async def sleep(self, seconds: float) -> None:
        """As httpcore asks."""
        await self._backend.sleep(seconds)
