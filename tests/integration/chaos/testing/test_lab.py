"""``chaos.testing.PatroniCluster`` in the lab: what it gives, what it breaks, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from anyio import to_thread
from support.commands.commands import wait_until

from chaos.gameday.folders import PREFIX
from chaos.testing import (
    FaultError,
    NotHealthyError,
    NotRunningError,
    OptionError,
    PatroniCluster,
    StartError,
)
from chaos.testing.survival import Ordeal, find_scenario
from cluster.errors import TopologyError
from replication import Transaction

DEADLINE_S = 120.0

SITE_OF = {"db-paris": "paris", "db-orsay": "orsay", "db-saint-cloud": "saint-cloud"}


@pytest.fixture(scope="module")
def raised() -> Iterator[PatroniCluster]:
    """One cluster for the module."""
    with PatroniCluster() as cluster:
        yield cluster


@pytest.fixture
def cluster(raised: PatroniCluster) -> Iterator[PatroniCluster]:
    """The cluster, whole at the beginning of a test."""
    raised.heal()
    raised.wait_healthy()
    yield raised
    raised.heal()


async def add(transaction: Transaction) -> None:
    """One row more."""
    await transaction.execute("CREATE TABLE IF NOT EXISTS seen (id serial)")
    await transaction.execute("INSERT INTO seen DEFAULT VALUES")


def ask(url: str, query: str, timeout_s: int = 20) -> object:
    """The first value of the first row."""
    with psycopg.connect(url, autocommit=True, connect_timeout=timeout_s) as connection:
        row = connection.execute(query).fetchone()  # type: ignore[arg-type]
    assert row is not None
    return row[0]


def test_urls_lead_where_they_say(cluster: PatroniCluster) -> None:
    primary = cluster.wait_primary()
    assert ask(cluster.primary_url(), "SELECT pg_is_in_recovery()") is False
    assert ask(cluster.cluster_url(), "SELECT pg_is_in_recovery()") is False
    replicas: list[str] = []

    def all_replicas_answer() -> bool:
        replicas[:] = cluster.replica_urls()
        return len(replicas) == 2

    wait_until(all_replicas_answer, timeout_s=DEADLINE_S, what="two replicas")
    assert [ask(url, "SELECT pg_is_in_recovery()") for url in replicas] == [True, True]
    assert ask(cluster.primary_url(), "SELECT current_user || current_database()") == "testtest"
    assert cluster.primary_url(driver="psycopg").startswith("postgresql+psycopg://test:")
    for member in cluster.members():
        assert member.site == SITE_OF[member.name]
        found = ask(
            f"host={member.host} port={member.port} user=test dbname=test"
            f" password={cluster.credentials.resolve().reveal()}",  # type: ignore[union-attr]
            "SELECT pg_is_in_recovery()",
        )
        assert found is (member.name != primary)


def test_logs_are_those_of_the_node(cluster: PatroniCluster) -> None:
    text = cluster.logs("db-orsay")
    assert "db-orsay.patroni.log:" in text
    assert "I am (db-orsay)" in text
    assert len(cluster.logs("dcs-orsay", lines=1).splitlines()) == 2


@pytest.mark.anyio
async def test_a_storage_comes_through_a_power_cut(cluster: PatroniCluster) -> None:
    async with cluster.storage() as storage:
        await storage.run(add)
        session = await to_thread.run_sync(psycopg.connect, cluster.primary_url())
        lost = await to_thread.run_sync(cluster.kill_primary)
        begin_s = time.monotonic()
        with session, pytest.raises(psycopg.OperationalError, match="closed the connection"):
            session.execute("SELECT 1")
        # The host's death is felt at once, not when some timer runs out.
        assert time.monotonic() - begin_s < cluster.topology.cluster.ttl_s / 2
        state = await to_thread.run_sync(cluster.state)
        assert state.broken == (f"host-power-cut on {lost}",)
        assert state.members[lost] is None
        applied = await storage.run(add)
        assert applied.node != lost
    with pytest.raises(FaultError, match="in force already"):
        await to_thread.run_sync(cluster.kill_host, lost)
    await to_thread.run_sync(cluster.start_host, lost)
    state = await to_thread.run_sync(cluster.wait_healthy)
    assert state.primary == applied.node
    assert state.broken == ()
    await to_thread.run_sync(cluster.start_host, lost)  # it runs already
    await to_thread.run_sync(cluster.wait_healthy)


def test_one_fault_is_undone_and_the_others_stay(cluster: PatroniCluster) -> None:
    one, other = cluster.strike("link-cut", "replicas").hosts
    assert cluster.undo("link-cut", one).startswith(f"link-cut on {one}: ")
    assert cluster.state().broken == (f"link-cut on {other}",)
    assert cluster.undo("link-cut", one) == f"no link-cut on {one}"
    with pytest.raises(OptionError, match="no host db-lyon"):
        cluster.undo("link-cut", "db-lyon")


def test_a_switchover_goes_where_it_is_asked_to(cluster: PatroniCluster) -> None:
    before = cluster.wait_primary()
    target = next(node for node in SITE_OF if node != before)
    assert cluster.switchover(target) == target
    assert cluster.wait_healthy().primary == target
    with pytest.raises(FaultError, match="switchover from"):
        cluster.switchover(target)


MINE = """
name = "cut-primary"
title = "The primary's link is cut"
description = "It goes on calling itself the primary until its lease is over."
steady_s = 1
fault_s = 0
heal_when_service_is_back = true
after_heal_s = 1
recovery_s_max = 60

[[fault]]
fault = "link-cut"
target = "primary"
at_s = 0

[expect]
rto_s_max = 60
"""


def test_a_cut_primary_is_plugged_in_again_only_once_another_one_serves(
    cluster: PatroniCluster, tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(MINE)
    before = cluster.wait_primary()
    ordeal = Ordeal(cluster, find_scenario(str(path)), 0.0)
    ordeal.begin()
    try:
        wait_until(
            lambda: "plugged in again" in str(ordeal), timeout_s=DEADLINE_S, what="the healing"
        )
        assert ordeal.struck
    finally:
        ordeal.end()
    ordeal.demand()
    assert cluster.wait_primary() != before


def test_a_killed_postgresql_and_a_killed_patroni_come_back(cluster: PatroniCluster) -> None:
    primary = cluster.wait_primary()
    other = next(node for node in SITE_OF if node != primary)
    with psycopg.connect(cluster.primary_url()) as session:
        cluster.kill_process(primary)
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT pg_sleep(600)")
    cluster.kill_process(other, "patroni")
    wait_until(
        lambda: f"patroni on {other} is dead" in cluster.state().broken,
        timeout_s=DEADLINE_S,
        what="the death of patroni",
    )
    assert f"started patroni on {other}" in cluster.heal()
    assert cluster.wait_healthy().broken == ()


@pytest.mark.anyio
async def test_a_client_of_a_site_feels_its_cut_and_one_of_nowhere_does_not(
    cluster: PatroniCluster,
) -> None:
    primary = await to_thread.run_sync(cluster.wait_primary)
    site = SITE_OF[primary]
    other = next(name for name in SITE_OF.values() if name != site)
    async with cluster.storage() as outside, cluster.storage(site=other) as inside:
        await outside.run(add)
        await inside.run(add)
        await to_thread.run_sync(cluster.cut, site)
        assert (await to_thread.run_sync(cluster.state)).broken == (f"site {site} is cut off",)
        # From nowhere, and from its own site, the old primary is reached until it demotes itself.
        for via in (None, site):
            assert await to_thread.run_sync(ask, _url(cluster, primary, via), "SELECT 1") == 1
        # From the other site there is silence.
        with pytest.raises(psycopg.OperationalError, match="timeout"):
            await to_thread.run_sync(ask, _url(cluster, primary, other), "SELECT 1", 3)
        applied = await inside.run(add)
        assert applied.node != primary
    with pytest.raises(FaultError, match="cut off already"):
        await to_thread.run_sync(cluster.cut, site)
    await to_thread.run_sync(cluster.heal)
    await to_thread.run_sync(cluster.wait_healthy)


def _url(cluster: PatroniCluster, node: str, site: str | None) -> str:
    """The URL of one node, as seen from a site."""
    place = next(place for place in cluster._places(site) if place.node == node)
    return cluster._url([place], None)


def test_what_is_not_there_is_named(cluster: PatroniCluster) -> None:
    with pytest.raises(OptionError, match="no host db-lyon; there are db-paris"):
        cluster.kill_host("db-lyon")
    with pytest.raises(OptionError, match="no site lyon; there are paris"):
        cluster.cut("lyon")
    with pytest.raises(OptionError, match="no client is in a site lyon; there are orsay"):
        cluster.members(site="lyon")
    with pytest.raises(FaultError, match="no fault flood; there are host-power-cut"):
        cluster.strike("flood")
    with pytest.raises(FaultError, match="no unit mysqld on db-paris"):
        cluster.kill_process("db-paris", "mysqld")


def test_waiting_ends_with_what_is_missing_and_what_the_logs_say(cluster: PatroniCluster) -> None:
    lost = cluster.kill_primary()
    with pytest.raises(NotHealthyError, match=rf"no answer from .*{lost}") as caught:
        cluster.wait_healthy(0.1)
    assert f"host-power-cut on {lost}" in str(caught.value)
    assert "Lock owner" in caught.value.logs or "no action" in caught.value.logs


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sites": 7}, "sites=7: expected 2 or 3"),
        ({"mode": "cloud"}, "no mode 'cloud'; there are lab, docker"),
        ({"reuse": True}, "only mode='docker' can"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(
    options: dict[str, object], words: str
) -> None:
    with pytest.raises(OptionError, match=words):
        PatroniCluster(**options)  # type: ignore[arg-type]


def test_settings_that_patroni_forbids_are_refused() -> None:
    with pytest.raises(TopologyError, match="ttl_s"):
        PatroniCluster(ttl_s=5)


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A directory for temporary files in which nobody else sweeps."""
    found = tmp_path / "place"
    found.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(found))
    monkeypatch.setenv("TMPDIR", str(found))
    return found


def test_a_cluster_that_cannot_start_says_why_and_leaves_nothing(
    place: Path, tmp_path: Path
) -> None:
    bindir = tmp_path / "bin"
    bindir.mkdir()
    with pytest.raises(StartError, match="no usable PostgreSQL"):
        PatroniCluster(pg_bindir=bindir).start()
    assert list(place.iterdir()) == []


OWNER = """
import os, sys, time
from chaos.testing import PatroniCluster
cluster = PatroniCluster().start()
if sys.argv[1] == "fork" and os.fork() == 0:
    cluster.stop()   # not its own: nothing happens
    time.sleep(600)  # outlives its parent, and must not keep the lab alive
assert cluster.state().missing is None
print(cluster._backend._folder.path, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("way", ["kill", "fork", "term"])
def test_the_lab_ends_with_its_owner_however_that_ends(place: Path, way: str) -> None:
    """``kill -9``; the same with a forked child that lives on; an ordinary signal."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, way],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert owner.stdout is not None
        folder = Path(owner.stdout.readline().strip())
        assert folder.name.startswith(PREFIX)
        assert folder.parent == place
        family = psutil.Process(owner.pid).children(recursive=True)
        lab = [one for one in family if one.name() != psutil.Process(owner.pid).name()]
        assert len(lab) > 20
        owner.send_signal(signal.SIGTERM if way == "term" else signal.SIGKILL)
        owner.wait(DEADLINE_S)
        _, alive = psutil.wait_procs(lab, timeout=DEADLINE_S)
        assert alive == []
    finally:
        os.killpg(owner.pid, signal.SIGKILL) if way == "fork" else owner.kill()
        owner.communicate()
    # Nobody was left to delete the folder: the next cluster does.
    assert folder.exists()
    with PatroniCluster():
        assert not folder.exists()


def test_two_clusters_at_once_do_not_meet(cluster: PatroniCluster) -> None:
    with PatroniCluster(dbname="second") as second:
        ask_table = "CREATE TABLE mine (id int)"
        with psycopg.connect(second.primary_url(), autocommit=True) as connection:
            connection.execute(ask_table)
        assert ask(cluster.primary_url(), "SELECT to_regclass('mine') IS NULL") is True
        ports = {member.port for one in (cluster, second) for member in one.members()}
        assert len(ports) == 6
    for ask_ended in (second.state, second.members, second.dcs, second.cluster_url):
        with pytest.raises(NotRunningError, match="is not running"):
            ask_ended()
    second.stop()


@pytest.mark.anyio
async def test_the_storage_of_an_asynchronous_cluster_writes() -> None:
    """And the cluster may be started while an error is handled."""
    cluster = PatroniCluster(durability="async")
    try:
        cluster.state()
    except NotRunningError:
        await to_thread.run_sync(cluster.start)
    try:
        async with cluster.storage() as storage:
            await storage.run(add)
    finally:
        await to_thread.run_sync(cluster.stop)


def test_a_lab_that_is_gone_is_said_to_be() -> None:
    with PatroniCluster() as cluster:
        lab = cluster._backend._lab  # type: ignore[attr-defined]
        lab.kill()
        lab.process.wait()
        with pytest.raises(NotRunningError, match="the lab has ended with -9"):
            cluster.state()
