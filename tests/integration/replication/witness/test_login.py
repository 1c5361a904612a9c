"""A login that takes longer than the patience for an answer: the next question has its token."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from replication.config.settings import Dcs
from replication.witness.etcd import EtcdClient, EtcdUnanswered

TOKEN = "a token"
PATIENCE_S = 10.0


class SlowEtcd:
    """Answers questions at once, and a login when it is told to."""

    def __init__(self) -> None:
        self.may_log_in = asyncio.Event()
        self.logins = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request of a connection that is closed after it."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length:")[2].split()[0])
        await reader.readexactly(length)
        status, said = await self._said(head)
        body = json.dumps(said).encode()
        lines = (f"HTTP/1.1 {status} x", f"Content-Length: {len(body)}", "Connection: close")
        writer.write("\r\n".join((*lines, "", "")).encode() + body)
        writer.close()

    async def _said(self, head: str) -> tuple[int, dict[str, object]]:
        if "/auth/authenticate" in head:
            self.logins += 1
            await self.may_log_in.wait()
            return 200, {"token": TOKEN}
        if f"authorization: {TOKEN}" in head:
            return 200, {"count": "0"}
        return 401, {"code": 16, "error": "etcdserver: invalid auth token"}


@asynccontextmanager
async def slow_etcd() -> AsyncIterator[tuple[SlowEtcd, EtcdClient]]:
    etcd = SlowEtcd()
    async with await asyncio.start_server(etcd.answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        dcs = Dcs(
            endpoints=(f"http://127.0.0.1:{port}",), scope="warehouse", user="witness", password="x"
        )
        client = EtcdClient(dcs)
        yield etcd, client
        etcd.may_log_in.set()
        await client.aclose()


@pytest.mark.anyio
async def test_a_login_goes_on_when_its_question_has_given_up() -> None:
    async with slow_etcd() as (etcd, client):
        with pytest.raises(EtcdUnanswered, match="silent for"):
            await client.ask_all("/kv/range", {}, deadline_s=0.2)
        etcd.may_log_in.set()
        assert await client.ask_all("/kv/range", {}, deadline_s=PATIENCE_S) == {"count": "0"}
        assert etcd.logins == 1, "the login of the first question was the one that counted"


@pytest.mark.anyio
async def test_a_login_that_nobody_waits_for_any_more_ends_with_the_client() -> None:
    async with slow_etcd() as (etcd, client):
        with pytest.raises(EtcdUnanswered, match="silent for"):
            await client.ask_all("/kv/range", {}, deadline_s=0.2)
        await client.aclose()
        assert etcd.logins == 1
