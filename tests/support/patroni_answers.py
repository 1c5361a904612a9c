"""Answers like Patroni's REST API: the one thing that the tests of the storage layer make up.
The drills run the real one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from support.local_postgres import LocalPostgres

from replication import Member


@dataclass(slots=True, kw_only=True)
class Answers:
    """What ``GET /primary`` of one member says; to be changed while a test runs."""

    status: int = 503
    timeline: int = 1
    silent: bool = False
    asked: int = 0
    port: int = 0
    more: dict[str, object] = field(default_factory=dict)
    """What else the body has."""

    def member(self, server: LocalPostgres) -> Member:
        """The member as the storage layer is told about it."""
        return Member(
            name=server.name,
            rest_url=f"http://127.0.0.1:{self.port}",
            host="127.0.0.1",
            port=server.port,
        )


@asynccontextmanager
async def rest_api(*, primary: bool, silent: bool = False) -> AsyncIterator[Answers]:
    """A member's REST API on a free port."""
    answers = Answers(status=200 if primary else 503, silent=silent)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            answers.asked += 1
            if answers.silent:
                await reader.read()  # until the client gives up
                return
            said = {"state": "running", "timeline": answers.timeline, **answers.more}
            body = json.dumps(said).encode()
            head = f"HTTP/1.0 {answers.status} X\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    answers.port = server.sockets[0].getsockname()[1]
    try:
        yield answers
    finally:
        server.close()
        await server.wait_closed()
