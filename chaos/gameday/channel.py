"""The control channel: one request and one answer a connection, each a line of JSON.

It is a Unix socket in a folder that only its owner can enter. An answer is ``{"done": ...}``, or
``{"failed": kind, "words": ...}``.
"""

from __future__ import annotations

import json
import os
import socket
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.abc

from chaos.decode import decode, encode
from chaos.errors import ChaosError
from chaos.gameday import errors
from chaos.gameday.requests import Request
from cluster.errors import ClusterError

T = TypeVar("T")
Handler = Callable[[Request], Awaitable[object]]

SOCKET = "control"
LINE_BYTES_MAX = 1 << 20
KINDS = {
    kind.__name__: kind
    for kind in (
        errors.FaultError,
        errors.NotHealthyError,
        errors.StartError,
        errors.NotRunningError,
    )
}
EXPECTED = (ChaosError, ClusterError, OSError)
"""What needs no trace in the log."""


@contextmanager
def _short(folder: Path) -> Iterator[str]:
    """The socket's path through a descriptor: as it is, it may be longer than the 107 bytes that
    an address has room for (unix(7))."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET}"
    finally:
        os.close(descriptor)


def make_listener(folder: Path) -> socket.socket:
    """The listening socket, to be inherited by the process that serves it."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with _short(folder) as path:
        listener.bind(path)
    listener.listen(16)
    return listener


def ask(folder: Path, request: Request, answer: type[T], *, timeout_s: float) -> T:
    """Ask, and wait for the answer. May be called by several threads at once.

    Args:
        folder: that of the cluster.
        request: what is asked.
        answer: what the answer is made into.
        timeout_s: for everything.

    Raises:
        NotRunningError: no process serves the channel, or it ended before it answered.
        FaultError, NotHealthyError, StartError: the answer.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
            channel.settimeout(timeout_s)
            with _short(folder) as path:
                channel.connect(path)
            channel.sendall(json.dumps(encode(request)).encode() + b"\n")
            with channel.makefile("rb") as lines:
                line = lines.readline(LINE_BYTES_MAX)
    except TimeoutError as error:
        words = f"{request.op} took longer than {timeout_s:g} s"
        raise errors.NotHealthyError(words) from error
    except OSError as error:
        raise errors.NotRunningError(f"the cluster does not answer: {error}") from error
    if not line:
        raise errors.NotRunningError(f"the cluster ended before it answered {request.op}")
    found = json.loads(line)
    if "failed" in found:
        raise KINDS.get(found["failed"], errors.FaultError)(found["words"])
    return decode(answer, found["done"])


async def serve(
    raw: socket.socket, handler: Handler, sent: Callable[[], object] = lambda: None
) -> None:
    """Answer requests until cancelled; several at a time.

    Args:
        raw: the listener.
        handler: makes the answers.
        sent: called whenever an answer is on its way.
    """

    async def answer(channel: anyio.abc.SocketStream) -> None:
        async with channel:
            line = b""
            try:
                while not line.endswith(b"\n"):
                    line += await channel.receive(LINE_BYTES_MAX)
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return
            reply = json.dumps(await _handle(line, handler)).encode() + b"\n"
            try:
                await channel.send(reply)
            except anyio.BrokenResourceError:  # the client is gone
                return
            sent()

    listener = await anyio.abc.SocketListener.from_socket(raw)
    async with listener:
        await listener.serve(answer)


async def _handle(line: bytes, handler: Handler) -> object:
    try:
        return {"done": encode(await handler(decode(Request, json.loads(line))))}
    except Exception as error:
        # After any error in one request the cluster goes on.
        if not isinstance(error, EXPECTED):
            traceback.print_exception(error)
        return {"failed": type(error).__name__, "words": "\n".join(errors.words_of(error))}
