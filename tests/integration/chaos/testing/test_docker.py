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
from support.docker.docker_things import docker

from chaos.gameday import docker_handle
from chaos.testing import (
    FaultError,
    NoDockerError,
    OptionError,
    PatroniCluster,
    PatroniClusterContainer,
)
from cluster.errors import PrerequisiteError
from cluster.substrates.docker import hosts
from cluster.substrates.docker.consoles import PublishedPorts
from cluster.substrates.docker.images import need_images
from cluster.substrates.docker.leftovers import Thing, sweep, things
from replication import Transaction

pytestmark = [pytest.mark.docker, pytest.mark.slow]


@pytest.fixture(autouse=True, scope="module")
def without_ryuk() -> Iterator[None]:
    """Its image cannot be had everywhere; what a run leaves is swept by ours."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
        yield


def left_of(cluster: str) -> list[str]:
    """Containers, networks and volumes of a cluster."""
    return [thing.name for thing in things(cluster)]


def name_of(cluster: PatroniCluster) -> str:
    """What all that is its is labelled with."""
    return str(cluster._backend._run)  # type: ignore[attr-defined]


def container_of(cluster: PatroniCluster, host: str) -> str:
    """The name of a host's container."""
    return str(cluster._backend._hosts.names[host])  # type: ignore[attr-defined]


THINGS = 6 + 10 + 6
"""Six hosts and their disks; three sites, the WAN, and six consoles."""


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
        assert len(left_of(name)) == THINGS
        sites: Any = cluster._backend._hosts  # type: ignore[attr-defined]
        assert not hasattr(sites.console._where, "__self__")  # this machine has a route
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
        container = container_of(cluster, primary)
        await to_thread.run_sync(docker, "kill", container)
        words = await to_thread.run_sync(cluster.heal)
        assert words == f"started patroni on {primary}: somebody else had killed it"
        await to_thread.run_sync(docker, "kill", container)
        await to_thread.run_sync(cluster.start_host, primary)
        await to_thread.run_sync(cluster.start_host, primary)  # it runs already
        await to_thread.run_sync(cluster.wait_healthy)
        await to_thread.run_sync(docker, "restart", container)  # its ports move
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
    command = [sys.executable, "-m", "chaos.cli.forget", *names]
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
    assert len(left_of(name)) == THINGS
    with PatroniCluster(**options) as again:
        assert name_of(again) == name
        assert kept_tables(again) == 1
        again.cut("paris")
        again.strike("link-cut", "db-orsay")
    with PatroniCluster(**options) as healed:
        assert name_of(healed) == name
        assert kept_tables(healed) == 1
        assert name not in {thing.run for thing in sweep()}
        healed.kill_primary()
    # One that does not get whole (here: in time) is made anew.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(docker_handle, "ADOPT_TIMEOUT_S", 1.0)
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
from cluster.substrates.docker.keeper import _held
cluster = PatroniCluster(mode="docker").start()
print(cluster._backend._run, flush=True)
if sys.argv[1] == "both":
    os.kill(next(iter(_held)).process.pid, 9)
os.kill(os.getpid(), 9)
"""


def crash(which: str) -> str:
    """Have a process with a cluster killed, alone or with its keeper; the name of its cluster."""
    command = [sys.executable, "-c", CRASHED, which]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == -9, done.stderr
    return done.stdout.strip()


def test_what_a_killed_run_has_left_is_removed_by_its_keeper() -> None:
    name = crash("one")
    end_s = time.monotonic() + 120
    while left_of(name):
        assert time.monotonic() < end_s
        time.sleep(0.2)


def test_what_a_killed_run_has_left_is_swept_by_the_next() -> None:
    name = crash("both")
    assert len(left_of(name)) == THINGS
    sweep()  # another run may have begun to
    assert left_of(name) == []


STARTED = """
from chaos.testing import PatroniCluster
PatroniCluster(mode="docker").start()
"""


def test_an_interrupt_while_it_boots_leaves_nothing() -> None:
    child = subprocess.Popen([sys.executable, "-c", STARTED], stderr=subprocess.PIPE)
    try:
        while len(booting := running_of(child.pid)) < 6:
            assert child.poll() is None, child.communicate()
            time.sleep(0.05)
        name = booting[0].run
        form = "{{range .Mounts}}{{.Name}} {{end}}"
        names = [thing.name for thing in booting]
        volumes = docker("inspect", "--format", form, *names).split()
        assert volumes
        child.send_signal(signal.SIGINT)
        _, words = child.communicate(timeout=90)
        assert b"KeyboardInterrupt" in words
        assert left_of(name) == []
        assert set(docker("volume", "ls", "--quiet").split()).isdisjoint(volumes)
    finally:
        child.kill()


def running_of(pid: int) -> list[Thing]:
    """The containers that run, of a process of this machine."""
    found = [one for one in things() if one.kind == "container" and f":{pid}:" in one.keeper]
    running = set(docker("ps", "--format", "{{.Names}}").split())
    return [one for one in found if one.name in running]


def test_where_no_route_leads_to_the_consoles_their_published_ports_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As with an engine in a virtual machine, or on another one."""
    monkeypatch.setattr(hosts.addresses, "routed_networks", lambda table: [])
    with PatroniCluster(mode="docker") as cluster:
        sites: Any = cluster._backend._hosts  # type: ignore[attr-defined]
        assert sites.console._where.__func__ is PublishedPorts.where
        lost = cluster.kill_primary()
        assert cluster.wait_primary(other_than=lost) != lost
        cluster.heal()
        cluster.wait_healthy()
        docker("restart", container_of(cluster, lost))  # its ports move
        cluster.wait_healthy()


def test_without_an_engine_or_an_image_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PrerequisiteError, match=r"no image bascule/none:0[\s\S]*compose"):
        need_images(["bascule/none:0"], print)
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    with pytest.raises(NoDockerError, match=r"no Docker engine answers[\s\S]*DOCKER_HOST"):
        PatroniCluster(mode="docker").start()
