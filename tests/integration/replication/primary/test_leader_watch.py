"""The leader key, followed in a real etcd; and what the storage layer makes of its changes."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from support.postgres.local_etcd import (
    TOKEN_TTL_S,
    LocalEtcd,
    local_etcd,
    of_the_machine,
    of_the_wheel,
)

from replication.access.tls import Tls
from replication.config.settings import Dcs
from replication.patroni.answers import RestAnswer
from replication.patroni.members import Member
from replication.primary import etcd_gateway, leader_watch
from replication.primary.leader_watch import LeaderWatch, leader_key
from replication.primary.watch import Watch

pytestmark = pytest.mark.anyio

KEY = "/service/eds/leader"
LIMIT_S = 30.0
PASSWORD = "unmistakable-secret"
OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[LocalEtcd]:
    with local_etcd(tmp_path) as server:
        yield server


@asynccontextmanager
async def followed(*endpoints: str, **user: Any) -> AsyncIterator[list[str | None]]:  # noqa: ANN401
    told: list[str | None] = []
    described = Dcs(endpoints=endpoints, scope="eds", **user)
    assert leader_key(described) == KEY
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(LeaderWatch(described).follow, told.append)
        yield told
        tasks.cancel_scope.cancel()


async def put_until_told(etcd: LocalEtcd, told: list[str | None], value: str) -> None:
    """A watch tells only what happens after it began: so try until it has."""
    with anyio.fail_after(LIMIT_S):
        while value not in told:
            await anyio.to_thread.run_sync(etcd.put, KEY, value)
            await anyio.sleep(0.1)


async def test_every_change_is_told(etcd: LocalEtcd) -> None:
    async with followed(etcd.endpoint) as told:
        await put_until_told(etcd, told, "db-paris")
        told.clear()
        await anyio.to_thread.run_sync(etcd.delete, KEY)
        await anyio.to_thread.run_sync(etcd.put, KEY, "db-orsay")
        await anyio.to_thread.run_sync(etcd.put, "/service/other/leader", "db-x")
        with anyio.fail_after(LIMIT_S):
            while len(told) < 2:
                await anyio.sleep(0.02)
    assert told == [None, "db-orsay"]


async def test_the_watch_survives_the_death_of_etcd(etcd: LocalEtcd) -> None:
    async with followed(etcd.endpoint) as told:
        await put_until_told(etcd, told, "db-paris")
        etcd.kill()
        await anyio.to_thread.run_sync(etcd.start)
        await put_until_told(etcd, told, "db-orsay")


async def test_a_member_that_is_dead_blinds_nobody(etcd: LocalEtcd) -> None:
    async with followed("http://127.0.0.1:1", etcd.endpoint) as told:
        await put_until_told(etcd, told, "db-paris")


async def test_a_change_makes_the_members_be_asked_at_once(etcd: LocalEtcd) -> None:
    """With an interval of an hour nothing else could have told the watch of the new primary."""
    primary = ["db-a"]

    async def ask(member: Member) -> RestAnswer:
        is_primary = member.name == primary[0]
        timeline = 1 if primary[0] == "db-a" else 2
        return RestAnswer(
            status=200 if is_primary else 503, timeline=timeline, asked_s=anyio.current_time()
        )

    members = [Member(name=name, rest_url="", host="", port=0) for name in ("db-a", "db-b")]
    watch = Watch(members, ask, interval_s=3600, clock=anyio.current_time)
    described = Dcs(endpoints=(etcd.endpoint,), scope="eds")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch.run)
        tasks.start_soon(LeaderWatch(described).follow, watch.hurry)
        with anyio.fail_after(LIMIT_S):
            assert (await watch.wait_primary()).name == "db-a"
            primary[0] = "db-b"
            while watch.primary is None or watch.primary.name != "db-b":
                await anyio.to_thread.run_sync(etcd.put, KEY, "db-b")
                await anyio.sleep(0.1)
        tasks.cancel_scope.cancel()


@pytest.fixture(params=[of_the_machine, of_the_wheel])
def guarded(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[LocalEtcd]:
    """One that wants authentication; ``app`` may read the leader key, ``poor`` may not."""
    with local_etcd(tmp_path, request.param()) as server:
        server.add_user("app", PASSWORD, may_read=KEY)
        server.add_user("poor", PASSWORD)
        server.require_authentication()
        yield server


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the watch of the leader key has put into the log."""
    return [
        one.getMessage() for one in caplog.records if one.name == "replication.primary.leader_watch"
    ]


async def wait_said(caplog: pytest.LogCaptureFixture, count: int) -> list[str]:
    with anyio.fail_after(LIMIT_S):
        while len(said(caplog)) < count:
            await anyio.sleep(0.02)
    return said(caplog)


async def test_an_etcd_that_wants_authentication(
    guarded: LocalEtcd, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A token lives for two seconds here, and so does the one that the first watch was begun with;
    the watch lives on, and the one after a restart of etcd has a token of its own."""
    caplog.set_level(logging.DEBUG)
    secret = tmp_path / "secret"
    secret.write_text(f"{PASSWORD}\n")
    async with followed(guarded.endpoint, user="app", password_file=secret) as told:
        await put_until_told(guarded, told, "db-paris")
        assert said(caplog) == []
        await anyio.sleep(TOKEN_TTL_S + 1)  # to ask whether a token still holds would prolong it
        await put_until_told(guarded, told, "db-orsay")
        await anyio.to_thread.run_sync(guarded.change_password, "app", "another-one")
        secret.write_text("another-one")
        guarded.kill()
        await anyio.to_thread.run_sync(guarded.start)
        await put_until_told(guarded, told, "db-saint-cloud")
    heard = [record.getMessage() for record in caplog.records]
    assert any("send_request_headers" in line for line in heard)  # DEBUG was heard
    assert [line for line in heard if PASSWORD in line or "another-one" in line] == []


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ({}, r"\(does it want authentication\? Give user, and password_file"),
        ({"user": "app", "password": "wrong"}, "answered with 400 .are user app of .dcs. and its"),
        ({"user": "nobody", "password": PASSWORD}, "are user nobody of .dcs. and its password"),
        ({"user": "poor", "password": PASSWORD}, "grant-permission ROLE read /service/eds/leader"),
        ({"user": "app", "password_env": "BASCULE_NOT_SET"}, "BASCULE_NOT_SET is not set"),
    ],
)
async def test_a_refusal_is_said_once_with_its_remedy(
    guarded: LocalEtcd,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    user: dict[str, str],
    words: str,
) -> None:
    monkeypatch.setattr(leader_watch, "PAUSE_S_MIN", 0.05)
    monkeypatch.setattr(leader_watch, "PAUSE_S_MAX", 0.05)
    tried = 0
    pause = anyio.sleep

    async def counted(delay: float) -> None:
        nonlocal tried
        tried += 1
        await pause(delay)

    monkeypatch.setattr(leader_watch.anyio, "sleep", counted)
    async with followed(guarded.endpoint, **user):
        with anyio.fail_after(LIMIT_S):
            while tried < 5:
                await pause(0.02)
    (line,) = said(caplog)
    assert line.startswith(f"{guarded.endpoint}: ")
    assert re.search(words, line)
    assert PASSWORD not in line


async def test_a_user_of_an_etcd_without_authentication(
    etcd: LocalEtcd, caplog: pytest.LogCaptureFixture
) -> None:
    async with followed(etcd.endpoint, user="app", password=PASSWORD) as told:
        await put_until_told(etcd, told, "db-paris")
    assert said(caplog) == []


async def test_it_is_said_when_it_is_over(
    guarded: LocalEtcd, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "replication.primary.leader_watch")
    secret = tmp_path / "secret"
    secret.write_text("wrong")
    async with followed(guarded.endpoint, user="app", password_file=secret) as told:
        await wait_said(caplog, 1)
        secret.write_text(PASSWORD)
        await put_until_told(guarded, told, "db-paris")
        lines = await wait_said(caplog, 2)
    assert lines[1:] == [f"{guarded.endpoint}: is watched again"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nno\n",
            "answered with 404: no .is it an",
        ),
        (
            b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n",
            "answered with 302",
        ),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "cannot be watched: "),
        (b"", "cannot be watched: "),
        (
            OK
            + b'{"result":{"created":true}}\n{"result":{"canceled":true,"compact_revision":"7"}}\n',
            "cancelled: what is before revision 7 was compacted",
        ),
        (OK + b'{"result":{"created":true}}\n', "etcd ended the watch"),
        (OK + b'{"error":{"grpc_code":14,"http_code":503,"message":"no leader"}}', "no leader"),
    ],
)
async def test_what_is_no_watch_is_asked_less_and_less(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, answer: bytes, words: str
) -> None:
    """The pauses are counted, not waited for."""
    pauses: list[float] = []
    enough = anyio.Event()
    pause = anyio.sleep

    async def counted(delay: float) -> None:
        pauses.append(delay)
        if len(pauses) == 10:
            enough.set()
        await pause(0)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    monkeypatch.setattr(leader_watch.anyio, "sleep", counted)
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with followed(f"http://127.0.0.1:{port}"):
            with anyio.fail_after(LIMIT_S):
                await enough.wait()
    (line,) = said(caplog)
    assert re.search(words, line)
    assert pauses[0] < 1
    assert sum(pauses[:6]) > 8
    assert 15 <= pauses[9] <= 45


async def test_one_that_says_nothing_is_not_waited_for(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(etcd_gateway, "ANSWER_DEADLINE_S", 0.2)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with followed(f"http://127.0.0.1:{port}"):
            (line,) = await wait_said(caplog, 1)
    assert line.endswith("the question for a watch is not answered")


async def test_tls_that_does_not_come_about(
    etcd: LocalEtcd, caplog: pytest.LogCaptureFixture
) -> None:
    """This etcd speaks no TLS. It hangs up on who does, sometimes before a word of its answer
    arrives: then nothing tells why, and the next attempt does."""
    hint = "(look at tls of [dcs])"
    async with followed(etcd.endpoint.replace("http:", "https:"), tls=Tls(mode="require")):
        with anyio.fail_after(LIMIT_S):
            while not any(line.endswith(hint) for line in said(caplog)):
                await anyio.sleep(0.02)
