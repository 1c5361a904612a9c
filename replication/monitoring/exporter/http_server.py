"""The HTTP side: ``/metrics``, ``/healthz`` and a page of links.

Our own server, in the event loop of the probes, instead of prometheus_client's with its thread: a
scrape reads the board between two answers and so needs no lock, and ``/healthz`` is answered by the
very loop whose health it reports. GET and HEAD, one request a connection.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus

import anyio
from anyio.abc import Listener, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

_log = logging.getLogger("replication.monitoring.exporter")

REQUEST_DEADLINE_S = 10.0
"""For a whole request; Prometheus gives up after 10 s by default."""

HEADER_BYTES_MAX = 16384
CONNECTIONS_MAX = 64
"""More connections at a time are closed unread, so that clients cannot use up the process's
descriptors. Prometheus needs one."""

_TEXT = "text/plain; charset=utf-8"

PAGE = b"""<!doctype html><html lang="en"><meta charset="utf-8"><title>bascule exporter</title>
<h1>bascule exporter</h1><p><a href="/metrics">metrics</a>, <a href="/healthz">healthz</a></p>
</html>
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Whether the probes go on, and how old the oldest thing shown is."""

    alive: bool
    age_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reply:
    status: HTTPStatus
    content_type: str
    body: bytes


class MetricsServer:
    """Answers requests from a registry."""

    def __init__(self, registry: CollectorRegistry, health: Callable[[], Health]) -> None:
        self._registry = registry
        self._health = health
        self._open = 0

    @asynccontextmanager
    async def listening(self, host: str, port: int) -> AsyncIterator[int]:
        """Serve until the end of the block; yields the port (another one if 0 was asked for).

        Raises:
            OSError: the address cannot be listened on.
        """
        listener = await anyio.create_tcp_listener(local_host=host, local_port=port)
        async with anyio.create_task_group() as group:
            group.start_soon(self.serve, listener)
            yield int(listener.extra(anyio.abc.SocketAttribute.local_port))
            group.cancel_scope.cancel()

    async def serve(self, listener: Listener[SocketStream]) -> None:
        """Answer requests to a listener until cancelled; closes it at the end."""
        async with listener:
            await listener.serve(self._serve)

    async def _serve(self, stream: SocketStream) -> None:
        self._open += 1
        try:
            async with stream:
                if self._open > CONNECTIONS_MAX:
                    return
                with anyio.move_on_after(REQUEST_DEADLINE_S):
                    buffered = BufferedByteReceiveStream(stream)
                    head = await buffered.receive_until(b"\r\n\r\n", HEADER_BYTES_MAX)
                    await stream.send(self._answer(head))
        except (anyio.IncompleteRead, anyio.DelimiterNotFound, anyio.BrokenResourceError):
            _log.debug("a request was not finished")
        finally:
            self._open -= 1

    def _answer(self, head: bytes) -> bytes:
        request_line, *lines = head.decode("latin-1").split("\r\n")
        method, _, rest = request_line.partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        headers = dict(_header(line) for line in lines)
        try:
            reply = self._reply(method, path, headers.get("accept", ""))
        except Exception:  # an error in one answer must not end the probes
            _log.exception("%s could not be answered", path)
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            reply = _Reply(status=status, content_type=_TEXT, body=b"see the log\n")
        status_line = f"HTTP/1.1 {reply.status.value} {reply.status.phrase}\r\n"
        header = (
            f"Content-Type: {reply.content_type}\r\nContent-Length: {len(reply.body)}\r\n"
            "Connection: close\r\n\r\n"
        )
        return (status_line + header).encode() + (b"" if method == "HEAD" else reply.body)

    def _reply(self, method: str, path: str, accept: str) -> _Reply:
        if method not in {"GET", "HEAD"}:
            return _Reply(status=HTTPStatus.METHOD_NOT_ALLOWED, content_type=_TEXT, body=b"GET\n")
        match path:
            case "/metrics":
                encode, content_type = choose_encoder(accept)
                body = encode(self._registry)
                return _Reply(status=HTTPStatus.OK, content_type=content_type, body=body)
            case "/healthz":
                health = self._health()
                status = HTTPStatus.OK if health.alive else HTTPStatus.SERVICE_UNAVAILABLE
                document = {"alive": health.alive, "age_s": round(health.age_s, 3)}
                body = json.dumps(document).encode() + b"\n"
                return _Reply(status=status, content_type="application/json", body=body)
            case "/":
                html = "text/html; charset=utf-8"
                return _Reply(status=HTTPStatus.OK, content_type=html, body=PAGE)
            case _:
                return _Reply(status=HTTPStatus.NOT_FOUND, content_type=_TEXT, body=b"not found\n")


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip().lower(), value.strip()
