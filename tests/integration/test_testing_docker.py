"""``PatroniCluster(mode="docker")``: the same object on containers, and what is left of it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from anyio import to_thread
from testcontainers.core.docker_client import DockerClient

from chaos.testing import (
    FaultError,
    NoDockerError,
    OptionError,
    PatroniCluster,
    PatroniClusterContainer,
    docker_backend,
)
from chaos.testing import docker_engine as engine
from chaos.testing import docker_leftovers as leftovers
from replication import Transaction

pytestmark = [pytest.mark.docker, pytest.mark.slow]


@pytest.fixture(autouse=True, scope="module")
def without_ryuk() -> Iterator[None]:
    """Its image cannot be had everywhere; what a run leaves is swept by ours."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
        yield


def left_of(cluster: str) -> list[str]:
    """Containers and networks of a cluster."""
    client = engine.connect()
    try:
        mine = {"label": f"{leftovers.CLUSTER_LABEL}={cluster}"}
        things = client.client.containers.list(all=True, filters=mine, ignore_removed=True)
        return [thing.name for thing in [*things, *client.client.networks.list(filters=mine)]]
    finally:
        client.client.close()


def name_of(cluster: PatroniCluster) -> str:
    """The name that its containers share."""
    machine = cluster._backend._hosts.machines["db-paris"]  # type: ignore[attr-defined]
    return str(machine._labels[leftovers.CLUSTER_LABEL])


async def add(transaction: Transaction) -> None:
    """One row more."""
    await transaction.execute("CREATE TABLE IF NOT EXISTS seen (id serial)")
    await transaction.execute("INSERT INTO seen DEFAULT VALUES")


@pytest.mark.anyio
async def test_the_same_object_on_containers() -> None:
    cluster = PatroniCluster(mode="docker")
    await to_thread.run_sync(cluster.start)
    try:
        name = name_of(cluster)
        assert len(left_of(name)) == 11  # six hosts; three sites, the WAN, the console
        async with cluster.storage() as storage:
            before = (await storage.run(add)).node
            lost = await to_thread.run_sync(cluster.kill_primary)
            assert lost == before
            assert (await storage.run(add)).node != lost
        await to_thread.run_sync(cluster.heal)
        await to_thread.run_sync(cluster.wait_healthy)
        primary = await to_thread.run_sync(cluster.switchover)
        await to_thread.run_sync(cluster.wait_healthy)
        await to_thread.run_sync(cluster.kill_process, primary)
        await to_thread.run_sync(cluster.wait_healthy)
        primary = await to_thread.run_sync(cluster.wait_primary)
        site = cluster.topology.site_of(primary).name
        await to_thread.run_sync(cluster.cut, site)
        other = await to_thread.run_sync(lambda: cluster.wait_primary(other_than=primary))
        assert other != primary
        with pytest.raises(FaultError, match="cut off already"):
            await to_thread.run_sync(cluster.cut, site)
        await to_thread.run_sync(cluster.heal)
        assert (await to_thread.run_sync(cluster.wait_healthy)).broken == ()
        machine = cluster._backend._hosts.machines[primary]  # type: ignore[attr-defined]
        await to_thread.run_sync(machine.get_wrapped_container().kill)
        words = await to_thread.run_sync(cluster.heal)
        assert words == f"started patroni on {primary}: somebody else had killed it"
        await to_thread.run_sync(machine.get_wrapped_container().kill)
        await to_thread.run_sync(cluster.start_host, primary)
        await to_thread.run_sync(cluster.start_host, primary)  # it runs already
        await to_thread.run_sync(cluster.wait_healthy)
        await to_thread.run_sync(machine.get_wrapped_container().restart)  # its ports move
        await to_thread.run_sync(cluster.wait_healthy)
        assert f"I am ({primary})" in cluster.logs(primary)
        with pytest.raises(OptionError, match="no client is in a site paris"):
            cluster.members(site="paris")
    finally:
        await to_thread.run_sync(cluster.stop)
    assert left_of(name) == []


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A directory for temporary files of this test's own: no other run takes the same cluster."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.fixture
def forget() -> Iterator[list[str]]:
    """The names of kept clusters, which are removed with the command that is there for it."""
    names: list[str] = []
    yield names
    command = [sys.executable, "-m", "chaos.testing.forget", *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    for name in names:
        assert f"removed {name}" in done.stdout, done.stderr
        assert left_of(name) == []


def kept_tables(cluster: PatroniCluster) -> int:
    """How many tables an earlier run has left."""
    with psycopg.connect(cluster.primary_url(), autocommit=True) as connection:
        found = connection.execute("SELECT FROM pg_class WHERE relname = 'kept'")
        return found.rowcount


@pytest.mark.usefixtures("place")
def test_used_again_it_is_the_same_and_another_one_beside_it(forget: list[str]) -> None:
    options: dict[str, Any] = {
        "mode": "docker",
        "reuse": True,
        "topology": "three-sites",
        "retry_timeout_s": 6,
    }
    with PatroniCluster(**options) as first:
        name = name_of(first)
        forget.append(name)
        with psycopg.connect(first.primary_url(), autocommit=True) as connection:
            connection.execute("CREATE TABLE kept (id int)")
        first.kill_primary()
    assert len(left_of(name)) == 11
    with PatroniCluster(**options) as again:
        assert name_of(again) == name
        assert kept_tables(again) == 1
        again.cut("paris")
        again.strike("link-cut", "db-orsay")
    with PatroniCluster(**options) as healed:
        assert name_of(healed) == name
        assert kept_tables(healed) == 1
        client = engine.connect()
        try:
            assert name not in leftovers.sweep(client)
        finally:
            client.client.close()
        healed.kill_primary()
    # One that does not get whole (here: in time) is made anew.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(docker_backend, "ADOPT_TIMEOUT_S", 1.0)
        with PatroniCluster(**options) as anew:
            assert name_of(anew) == name
            assert kept_tables(anew) == 0


def test_by_the_names_of_testcontainers() -> None:
    with PatroniClusterContainer(username="app", dbname="shop") as container:
        assert container.get_connection_url().startswith("postgresql+psycopg2://app:")
        with psycopg.connect(container.get_connection_url(driver=None)) as connection:
            found = connection.execute("SELECT current_user, current_database()").fetchone()
        assert found == ("app", "shop")
        assert container.get_connection_url("localhost", None).startswith(
            f"postgresql://app:{container.password}@localhost:"
        )
        stdout, stderr = container.get_logs()
        assert b"db-paris | " in stdout + stderr
        assert b"I am (db-paris)" in stdout + stderr


CRASHED = """
import os, sys
from chaos.testing import PatroniCluster
cluster = PatroniCluster(mode="docker").start()
machine = cluster._backend._hosts.machines["db-paris"]
print(machine._labels["org.bascule.cluster"], flush=True)
os.kill(os.getpid(), 9)
"""


def test_what_a_killed_run_has_left_is_swept_by_the_next() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CRASHED], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == -9, done.stderr
    name = done.stdout.strip()
    assert len(left_of(name)) == 11
    client = engine.connect()
    try:
        leftovers.sweep(client)  # another run may have begun to
    finally:
        client.client.close()
    assert left_of(name) == []


STARTED = """
from chaos.testing import PatroniCluster
PatroniCluster(mode="docker").start()
"""


def test_an_interrupt_while_it_boots_leaves_nothing() -> None:
    child = subprocess.Popen([sys.executable, "-c", STARTED], stderr=subprocess.PIPE)
    client = engine.connect()
    try:
        while len(booting := containers_made_by(client, child.pid)) < 6:
            assert child.poll() is None, child.communicate()
            time.sleep(0.05)
        name = leftovers.labels_on(booting[0])[leftovers.CLUSTER_LABEL]
        volumes = [mount["Name"] for made in booting for mount in made.attrs["Mounts"]]
        assert volumes
        child.send_signal(signal.SIGINT)
        _, words = child.communicate(timeout=45)
        assert b"KeyboardInterrupt" in words
        assert left_of(name) == []
        there = {volume.name for volume in client.client.volumes.list()}
        assert there.isdisjoint(volumes)
    finally:
        child.kill()
        client.client.close()


def containers_made_by(client: DockerClient, pid: int) -> list[Any]:
    """Those that run, of a process of this machine."""
    return [
        container
        for container in leftovers.containers_of(client)
        if f":{pid}:" in leftovers.labels_on(container)[leftovers.PROCESS_LABEL]
        and container.status == "running"
    ]


def test_without_an_engine_or_an_image_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    client = engine.connect()
    try:
        with pytest.raises(NoDockerError, match=r"no image bascule/none:0[\s\S]*compose"):
            engine.need_images(client, ["bascule/none:0"])
    finally:
        client.client.close()
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    with pytest.raises(NoDockerError, match=r"no Docker engine answers[\s\S]*DOCKER_HOST"):
        PatroniCluster(mode="docker").start()
