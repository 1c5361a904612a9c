"""The console of a host: access without the network, like a machine's out-of-band port.

A socket belongs to the network namespace in which it was made. The director makes one inside the
host's namespace. So it reaches what listens on the host's own loopback, also while the host's link
is cut, and adds no path for the host's own traffic.
"""

from __future__ import annotations

import ctypes
import os
import socket
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import httpcore
from httpcore import AsyncNetworkBackend, AsyncNetworkStream

if TYPE_CHECKING:
    from httpcore._backends.base import SOCKET_OPTION

CLONE_NEWNET = 0x40000000
"""``sched.h``; Python has ``os.setns`` only from 3.12 on."""

NETNS_FOLDER = Path("/run/netns")
"""Where ``ip netns`` keeps its names (ip-netns(8)); private to the lab's mount namespace."""

LOOPBACK = "127.0.0.1"

_libc = ctypes.CDLL(None, use_errno=True)


def socket_in(namespace: str, kind: socket.SocketKind = socket.SOCK_STREAM) -> socket.socket:
    """A socket, of TCP if not of another ``kind``, that lives in the named network namespace.

    The calling thread enters the namespace only for the system call that makes the socket; nothing
    else can run on it in between.

    Raises:
        OSError: there is no such namespace, or no right to enter it.
    """
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        there = os.open(NETNS_FOLDER / namespace, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _enter(there)
            try:
                return socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK)
            finally:
                _enter(home)
        finally:
            os.close(there)
    finally:
        os.close(home)


def _enter(namespace_fd: int) -> None:
    if _libc.setns(namespace_fd, CLONE_NEWNET) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


class LabConsoles(AsyncNetworkBackend):
    """Lets httpcore reach ``http://<host of the lab>:<port>`` over the host's console."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (httpcore's signature)
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> AsyncNetworkStream:
        """Connect to ``port`` on the loopback of host ``host``."""
        try:
            with anyio.fail_after(timeout):
                return _Stream(await open_console(host, port))
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(f"{host}:{port}") from error
        except OSError as error:
            raise httpcore.ConnectError(f"{host}:{port}: {error}") from error

    async def sleep(self, seconds: float) -> None:
        """Required by httpcore."""
        await anyio.sleep(seconds)


async def open_console(host: str, port: int, address: str = LOOPBACK) -> anyio.abc.SocketStream:
    """A stream to ``port`` on the loopback of host ``host``.

    Args:
        host: in whose network the connection begins.
        port: where it leads.
        address: another address than the loopback; the connection then takes the host's own link.

    Raises:
        OSError: nothing listens there, or the host is not there.
    """
    raw = socket_in(host)
    try:
        await _connect(raw, address, port)
        return await anyio.abc.SocketStream.from_socket(raw)
    except BaseException:
        raw.close()
        raise


async def _connect(raw: socket.socket, address: str, port: int) -> None:
    """Connect without blocking: a loopback connect succeeds at once, or is refused."""
    with suppress(BlockingIOError):
        raw.connect((address, port))
        return
    await anyio.wait_writable(raw)
    error = raw.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise OSError(error, os.strerror(error))


class _Stream(AsyncNetworkStream):
    """An anyio stream with httpcore's interface."""

    def __init__(self, stream: anyio.abc.SocketStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        try:
            with anyio.fail_after(timeout):
                return await self._stream.receive(max_bytes)
        except anyio.EndOfStream:
            return b""
        except TimeoutError as error:
            raise httpcore.ReadTimeout from error
        except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise httpcore.ReadError from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        try:
            with anyio.fail_after(timeout):
                await self._stream.send(buffer)
        except TimeoutError as error:
            raise httpcore.WriteTimeout from error
        except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise httpcore.WriteError from error

    async def aclose(self) -> None:
        await self._stream.aclose()
