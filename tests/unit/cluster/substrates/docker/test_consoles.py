"""Where a host's console is: at its own address, or where the engine publishes its ports."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import httpcore
import pytest
from support.docker.docker_client import FakeClient

from cluster.substrates.docker import client as docker
from cluster.substrates.docker import consoles
from cluster.substrates.docker.consoles import ContainerConsoles, PublishedPorts, by_route

pytestmark = pytest.mark.anyio

ROUTES = """Iface\tDestination\tGateway
eth0\t00000000\t010011AC\t0003
docker0\t000011AC\t00000000\t0001
"""


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeClient:
    """An engine that publishes what is in the file ``ports``."""
    fake = FakeClient(tmp_path / "bin", 'cat "$here/ports"')
    fake.use(monkeypatch)
    publish(fake, None)
    return fake


def publish(client: FakeClient, port: int | None) -> None:
    places = None if port is None else [{"HostIp": "127.0.0.1", "HostPort": str(port)}]
    (client.folder / "ports").write_text(json.dumps({"5432/tcp": places}))


async def test_by_route() -> None:
    assert await by_route({"db": "10.9.8.7"})("db", 5432) == ("10.9.8.7", 5432)


async def test_a_published_port_is_asked_for_once_and_anew_when_it_moved(
    client: FakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consoles, "ASK_AGAIN_S", 0.0)
    ports = PublishedPorts("192.0.2.1", {"db": "c-db"})
    with pytest.raises(httpcore.ConnectError, match="does it run"):
        await ports.where("db", 5432)
    publish(client, 32768)
    for _ in range(3):
        assert await ports.where("db", 5432) == ("192.0.2.1", 32768)
    assert len(client.calls) == 2
    publish(client, 32769)
    ports.forget("db")
    assert await ports.where("db", 5432) == ("192.0.2.1", 32769)


async def test_a_host_that_does_not_run_is_not_asked_for_all_the_time(client: FakeClient) -> None:
    ports = PublishedPorts("127.0.0.1", {"db": "c-db"})
    for _ in range(3):
        with pytest.raises(httpcore.ConnectError):
            await ports.where("db", 5432)
    assert len(client.calls) == 1


async def test_who_is_refused_asks_where_it_is_now(
    client: FakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consoles, "ASK_AGAIN_S", 0.0)
    ports = PublishedPorts("127.0.0.1", {"db": "c-db"})
    console = ContainerConsoles(ports.where, ports.forget)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        publish(client, 9)  # discard: nobody listens
        with pytest.raises(httpcore.ConnectError):
            await console.connect_tcp("db", 5432)
        publish(client, port)
        stream = await console.connect_tcp("db", 5432)
        await stream.aclose()


@pytest.mark.parametrize(
    ("where", "address"),
    [
        ("unix:///var/run/docker.sock", "127.0.0.1"),
        ("tcp://localhost:2375", "127.0.0.1"),
        ("tcp://docker:2376", "docker"),
        ("ssh://me@192.0.2.7", "192.0.2.7"),
    ],
)
def test_published_ports_are_at_the_engine_s_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, where: str, address: str
) -> None:
    monkeypatch.setattr(docker, "IN_CONTAINER", tmp_path / "none")
    monkeypatch.delenv("TESTCONTAINERS_HOST_OVERRIDE", raising=False)
    monkeypatch.setenv("DOCKER_HOST", where)
    assert docker.address() == address
    monkeypatch.delenv("DOCKER_HOST")
    FakeClient(tmp_path / "bin", f"echo {where}").use(monkeypatch)  # the user's context
    assert docker.address() == address
    monkeypatch.setenv("TESTCONTAINERS_HOST_OVERRIDE", "elsewhere")
    assert docker.address() == "elsewhere"


def test_in_a_container_they_are_at_its_gateway(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("TESTCONTAINERS_HOST_OVERRIDE", raising=False)
    monkeypatch.setenv("DOCKER_HOST", "unix:///var/run/docker.sock")
    monkeypatch.setattr(docker, "IN_CONTAINER", tmp_path)
    monkeypatch.setattr(docker, "ROUTES", tmp_path / "routes")
    (tmp_path / "routes").write_text(ROUTES)
    FakeClient(tmp_path / "theirs", "echo 192.0.2.0/24").use(monkeypatch)  # its bridge
    assert docker.address() == "172.17.0.1"
    FakeClient(tmp_path / "ours", "echo 127.0.0.0/8").use(monkeypatch)  # an engine in the container
    assert docker.address() == "127.0.0.1"
