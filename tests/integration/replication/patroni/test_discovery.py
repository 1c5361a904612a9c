"""Asking for the members over real sockets: the first good answer wins, silence delays nobody."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from support.postgres.local_postgres import free_port

from replication.access.tls import Tls
from replication.patroni.client import QUESTION_DEADLINE_S
from replication.patroni.discovery import DiscoveryError, discover
from replication.patroni.members import Member

pytestmark = pytest.mark.anyio

ENOUGH_S = 30.0
TOO_LITTLE_S = 4.0
"""Time enough to say something, on a loaded machine too."""

CLUSTER = json.dumps(
    {
        "members": [
            {
                "name": "db-a",
                "role": "leader",
                "state": "running",
                "api_url": "http://127.0.0.1:8008/patroni",
                "host": "127.0.0.1",
                "port": 5432,
                "timeline": 1,
                "tags": {"site": "paris"},
            },
            {"name": "db-b", "role": "replica", "state": "starting", "api_url": None},
        ],
        "scope": "warehouse",
    }
).encode()
MEMBERS = (
    Member(
        name="db-a", rest_url="http://127.0.0.1:8008", host="127.0.0.1", port=5432, site="paris"
    ),
)


def never() -> float:
    """The pause before a second question, where one is enough."""
    return 1000.0


STARTING = b'{"members": [], "scope": "warehouse"}'


@dataclass(slots=True, kw_only=True)
class Endpoint:
    """What an endpoint says; ``bodies`` are answers in turn, the last one for good."""

    url: str
    asked: list[str]


@asynccontextmanager
async def endpoint(
    *bodies: bytes | None, status: int = 200, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Endpoint]:
    """A server of HTTP. An empty body closes the connection unanswered, None says nothing."""
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = (await reader.readuntil(b"\r\n\r\n")).decode()
            body = bodies[min(len(asked), len(bodies) - 1)]
            asked.append(request.splitlines()[0])
            if body is None:
                await reader.read()  # until the client gives up
            elif body:
                writer.write(f"HTTP/1.0 {status} X\r\nContent-Length: {len(body)}\r\n\r\n".encode())
                writer.write(body)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    scheme, host = ("https", "localhost") if tls else ("http", "127.0.0.1")
    try:
        yield Endpoint(url=f"{scheme}://{host}:{port}", asked=asked)
    finally:
        server.close()
        await server.wait_closed()


async def test_one_that_answers_is_enough() -> None:
    refused = f"http://127.0.0.1:{free_port()}"
    async with endpoint(None) as silent, endpoint(CLUSTER) as good, endpoint(b"") as closing:
        urls = [silent.url, refused, closing.url, f"{good.url}/"]
        assert await discover(urls, deadline_s=ENOUGH_S) == MEMBERS
        assert good.asked == ["GET /cluster HTTP/1.1"]


async def test_a_cluster_that_is_still_starting_is_asked_again() -> None:
    async with endpoint(STARTING, b"", CLUSTER) as late:
        assert await discover([late.url], deadline_s=ENOUGH_S, pause_s=lambda: 0.0) == MEMBERS
        assert len(late.asked) == 3


async def test_the_error_has_what_each_endpoint_said() -> None:
    refused = f"http://127.0.0.1:{free_port()}"
    async with (
        endpoint(None) as silent,
        endpoint(b"") as closing,
        endpoint(CLUSTER, status=503) as ill,
        endpoint(STARTING) as starting,
        endpoint(b"<html>") as other,
    ):
        urls = [silent.url, closing.url, ill.url, starting.url, other.url, refused]
        with pytest.raises(DiscoveryError) as caught:
            await discover(urls, deadline_s=TOO_LITTLE_S, pause_s=never)
    answers = caught.value.answers
    assert list(answers) == urls
    assert answers[silent.url] == f"was silent for {QUESTION_DEADLINE_S:g} s"
    assert answers[closing.url].startswith("broke off (")
    assert answers[ill.url] == "answered with status 503"
    assert answers[starting.url] == "knows 0 members, none with an address yet"
    assert answers[other.url] == "answered no list of members"
    assert answers[refused].startswith("took no connection (")
    assert caught.value.deadline_s == TOO_LITTLE_S
    for url, words in answers.items():
        assert f"{url} {words}" in str(caught.value)


async def test_a_name_that_cannot_be_looked_up() -> None:
    label = "a" * 64  # a label of DNS has at most 63 characters
    with pytest.raises(DiscoveryError) as caught:
        await discover([f"http://{label}:8008"], deadline_s=TOO_LITTLE_S, pause_s=never)
    assert list(caught.value.answers.values()) != ["said nothing"]


async def test_no_address_at_all() -> None:
    with pytest.raises(ValueError, match="expected an address"):
        await discover(["http://me:hunter2@db1"], deadline_s=ENOUGH_S)
    with pytest.raises(DiscoveryError, match="no endpoint was given"):
        await discover([], deadline_s=ENOUGH_S)


async def test_https_with_a_client_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Patroni's ``verify_client: required``: who shows no certificate is not answered."""
    authority, stranger = trustme.CA(), trustme.CA()
    for name, one in (("ca.pem", authority), ("stranger.pem", stranger)):
        one.cert_pem.write_to_path(tmp_path / name)
    client = authority.issue_cert("client.invalid")
    client.private_key_and_cert_chain_pem.write_to_path(tmp_path / "client.pem")
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.verify_mode = ssl.CERT_REQUIRED
    authority.issue_cert("localhost").configure_cert(served)
    authority.configure_trust(served)

    ca_file, mine = tmp_path / "ca.pem", tmp_path / "client.pem"
    good = Tls(ca_file=ca_file, cert_file=mine, key_file=mine).ssl_context()
    async with endpoint(CLUSTER, tls=served) as secure:
        found = await discover([secure.url], deadline_s=ENOUGH_S, ssl_context=good)
        assert found == MEMBERS
        asked = len(secure.asked)
        by_number = secure.url.replace("localhost", "127.0.0.1")
        unknown = Tls(ca_file=tmp_path / "stranger.pem", cert_file=mine, key_file=mine)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "stranger.pem"))
        refused = {
            "a wrong name": (by_number, good),
            "an unknown authority": (secure.url, unknown.ssl_context()),
            "the system's authorities": (secure.url, None),
            "no certificate of ours": (secure.url, Tls(ca_file=ca_file).ssl_context()),
        }
        heard = await asyncio.gather(
            *(
                discover([url], deadline_s=TOO_LITTLE_S, ssl_context=context, pause_s=never)
                for url, context in refused.values()
            ),
            return_exceptions=True,
        )
        for why, error in zip(refused, heard, strict=True):
            assert isinstance(error, DiscoveryError), why
            # In TLS 1.3 a client learns only later that its certificate was wanted.
            assert re.search("took no connection|broke off", str(error)), why
        assert len(secure.asked) == asked
