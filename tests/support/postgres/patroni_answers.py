"""Answers like Patroni's REST API: the one thing that the tests of the storage layer make up.
The drills run the real one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import anyio.to_thread
import psycopg
from support.postgres.local_postgres import LocalPostgres

from replication import Member


@dataclass(slots=True, kw_only=True)
class Answers:
    """What ``GET /primary`` of one member says; to be changed while a test runs.

    ``server``: where its WAL positions come from, if they are to be in the answers. ``history``:
    what ``GET /history`` says.
    """

    status: int = 503
    timeline: int = 1
    silent: bool = False
    server: LocalPostgres | None = None
    history: list[list[int | str]] = field(default_factory=list)
    asked: int = 0
    port: int = 0
    cluster: list[Member] | None = None
    """Whom ``GET /cluster`` names; None: nobody."""
    more: dict[str, object] = field(default_factory=dict)
    """What else the body has."""

    def member(self, server: LocalPostgres, *, site: str | None = None) -> Member:
        """The member as the storage layer is told about it."""
        return Member(
            name=server.name,
            rest_url=f"http://127.0.0.1:{self.port}",
            host="127.0.0.1",
            port=server.port,
            site=site,
        )

    async def body(self, path: str) -> str:
        """The document that is asked for."""
        if path == "/history":
            return json.dumps(self.history)
        if path == "/cluster" and self.cluster is not None:
            return json.dumps({"members": [_named(one) for one in self.cluster]})
        said: dict[str, object] = {"state": "running", "timeline": self.timeline, **self.more}
        if self.server is not None:
            with suppress(psycopg.Error):  # of a dead server Patroni says no positions
                said |= await anyio.to_thread.run_sync(_positions, self.server)
        return json.dumps(said)


def _named(member: Member) -> dict[str, object]:
    """As Patroni announces it (``patroni/utils.py``, cluster_as_json)."""
    return {
        "name": member.name,
        "role": "replica",
        "state": "running",
        "api_url": f"{member.rest_url}/patroni",
        "host": member.host,
        "port": member.port,
        "tags": {} if member.site is None else {"site": member.site},
    }


def _positions(server: LocalPostgres) -> dict[str, object]:
    """``xlog`` and ``replication_state``, as Patroni reads them (``patroni/api.py``)."""
    in_recovery, replayed, receiver = server.query(
        "SELECT pg_is_in_recovery(), pg_last_wal_replay_lsn() - '0/0',"
        " (SELECT status FROM pg_stat_wal_receiver)"
    )[0]
    if in_recovery:
        return {
            "xlog": {"replayed_location": int(replayed)},
            "replication_state": receiver,
        }
    location = server.query("SELECT pg_current_wal_lsn() - '0/0'")[0][0]
    return {"xlog": {"location": int(location)}}


@asynccontextmanager
async def rest_api(*, primary: bool, silent: bool = False) -> AsyncIterator[Answers]:
    """A member's REST API on a free port."""
    answers = Answers(status=200 if primary else 503, silent=silent)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            answers.asked += 1
            if answers.silent:
                await reader.read()  # until the client gives up
                return
            path = request.split()[1].decode()
            body = (await answers.body(path)).encode()
            status = answers.status if path != "/cluster" or answers.cluster is None else 200
            head = f"HTTP/1.0 {status} X\r\nContent-Length: {len(body)}\r\n\r\n"
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
