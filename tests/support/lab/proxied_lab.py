"""A lab with HAProxy and PgBouncer: ``python -m support.lab.proxied_lab DIR``, sealed.

Run by ``tests/integration/cluster/substrates/lab/test_proxies.py``. One lab for all of it. The
probe asserts; its exit code is the answer.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import psycopg
import pytest

from chaos.decode import decode
from chaos.faults.base import Stage
from chaos.faults.book import Book, Stroke
from chaos.faults.registry import FAULTS
from chaos.faults.targets import find_victim, layout_of
from cluster.binaries import find_binaries
from cluster.boot import raise_cluster
from cluster.patroni.config import SUPERUSER
from cluster.proxies import haproxy, pgbouncer
from cluster.raised import RaisedCluster
from cluster.substrates.lab.lab import Lab
from cluster.substrates.relay import relay
from cluster.topology.load import load_builtin
from cluster.topology.proxies import ProxySettings

NEAR, OTHER = "lb-paris", "lb-orsay"
WAIT_S = 60.0
"""More than any proxy needs to notice, on a busy machine."""
SILENCE_S = 1.0
POLL_S = 0.1
USER, PASSWORD = "reader", "not a secret"
QUICK = ProxySettings(check_interval_s=1, check_fall=2, check_rise=1)
Connection = psycopg.AsyncConnection[Any]


async def probe(folder: Path) -> None:
    """Who leads where, who is let in, what a fault of a proxy does, and what cuts a session."""
    logs = folder / "logs"
    logs.mkdir()
    topology = replace(load_builtin("three-sites-proxies"), proxies=QUICK)
    async with Lab(topology, logs=logs, on_exit=lambda end: None) as lab:
        cluster = await raise_cluster(
            lab, find_binaries(), config_folder=folder / "config", logs=logs, done=print
        )
        await each_port_leads_to_its_role(cluster)
        await pgbouncer_lets_in_whom_it_was_told(cluster)
        await faults_of_proxies_bite_and_heal(cluster)
        await a_host_with_proxies_comes_back(cluster)
        await a_session_to_a_silent_primary_is_cut(cluster)
        await cluster.aclose()


async def connected(
    cluster: RaisedCluster,
    host: str,
    port: int,
    use: Callable[[Connection], Awaitable[None]],
    *,
    dbname: str = "postgres",
    user: str = SUPERUSER,
    password: str = "",
) -> None:
    """Connect to a proxy from its own host, and use the connection."""
    async with relay(cluster.substrate.console, host, port) as local:
        connection = await psycopg.AsyncConnection.connect(
            host="127.0.0.1",
            port=local,
            dbname=dbname,
            user=user,
            password=password or cluster.credentials.superuser,
            autocommit=True,
            prepare_threshold=None,
            connect_timeout=5,
        )
        try:
            await use(connection)
        finally:
            await connection.close()


async def wait_led_to(
    cluster: RaisedCluster, host: str, port: int, *, replica: bool, dbname: str = "postgres"
) -> None:
    """Wait until a port leads to a server of that role: HAProxy takes all for up until it knows."""
    said: object = "nothing yet"

    async def ask(connection: Connection) -> None:
        nonlocal said
        row = await (await connection.execute("SELECT pg_is_in_recovery()")).fetchone()
        said = row and row[0]

    with anyio.move_on_after(WAIT_S):
        while said is not replica:
            try:
                await connected(cluster, host, port, ask, dbname=dbname)
            except psycopg.Error as error:
                said = str(error)
            await anyio.sleep(POLL_S)
        return
    raise AssertionError(f"{host}:{port} {dbname} never led to replica={replica}: {said}")


async def each_port_leads_to_its_role(cluster: RaisedCluster) -> None:
    """Of every HAProxy, and through PgBouncer by the name of the database."""
    for host in (NEAR, OTHER):
        await wait_led_to(cluster, host, haproxy.PRIMARY_PORT, replica=False)
        await wait_led_to(cluster, host, haproxy.REPLICAS_PORT, replica=True)
        await wait_led_to(cluster, host, pgbouncer.PORT, replica=False)
        replicas = f"postgres{pgbouncer.REPLICAS}"
        await wait_led_to(cluster, host, pgbouncer.PORT, replica=True, dbname=replicas)


async def pgbouncer_lets_in_whom_it_was_told(cluster: RaisedCluster) -> None:
    """Nobody else, whatever the server thinks of them."""

    async def make(connection: Connection) -> None:
        await connection.execute(f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'")

    async def ask(connection: Connection) -> None:
        await connection.execute("SELECT 1")

    await connected(cluster, NEAR, haproxy.PRIMARY_PORT, make)
    with pytest.raises(psycopg.OperationalError, match="auth"):
        await connected(cluster, NEAR, pgbouncer.PORT, ask, user=USER, password=PASSWORD)
    await cluster.admit_through_proxies({USER: PASSWORD})
    refused: object = None
    with anyio.move_on_after(WAIT_S):
        while True:  # it reads the file when it gets to it
            try:
                await connected(cluster, NEAR, pgbouncer.PORT, ask, user=USER, password=PASSWORD)
            except psycopg.OperationalError as error:
                refused = error
                await anyio.sleep(POLL_S)
            else:
                return
    raise AssertionError(f"PgBouncer does not let {USER} in: {refused}")


async def faults_of_proxies_bite_and_heal(cluster: RaisedCluster) -> None:
    """Killed: nobody listens. Stopped: nobody answers. Other sites' notice nothing."""

    async def nothing(connection: Connection) -> None:
        """Connecting is enough."""

    for process, port in (("haproxy", haproxy.PRIMARY_PORT), ("pgbouncer", pgbouncer.PORT)):
        for key, errors in (("process-kill", psycopg.OperationalError), ("process-stop", None)):
            kind, book = FAULTS[key], Book()
            stroke = Stroke(
                kind=kind,
                victim=find_victim(NEAR, layout_of(cluster.substrate.topology)),
                params=decode(kind.params, {"process": process}),
            )
            words = await book.strike(Stage(cluster=cluster), stroke)
            assert ("kill -9" if errors else "are stopped") in words, words
            assert stroke.stays
            if errors is not None:
                with pytest.raises(errors):
                    await connected(cluster, NEAR, port, nothing)
            else:
                with anyio.move_on_after(SILENCE_S) as silence:
                    await connected(cluster, NEAR, port, nothing)
                assert silence.cancelled_caught, f"{process} is stopped and answers"
            await wait_led_to(cluster, OTHER, port, replica=False)
            async for undoing in book.heal(Stage(cluster=cluster)):
                assert undoing.error is None, undoing.error
            await wait_led_to(cluster, NEAR, port, replica=False)


async def a_host_with_proxies_comes_back(cluster: RaisedCluster) -> None:
    """With its power both are started again, and PgBouncer knows still whom to let in."""
    lab = cluster.substrate
    assert isinstance(lab, Lab)
    await lab.kill_host(NEAR)
    await lab.start_host(NEAR)
    assert await cluster.start_services(NEAR) == ("haproxy", "pgbouncer")
    await wait_led_to(cluster, NEAR, pgbouncer.PORT, replica=False)


async def a_session_to_a_silent_primary_is_cut(cluster: RaisedCluster) -> None:
    """Its host has no power, and says so to nobody: HAProxy does, once its checks have failed."""
    lab = cluster.substrate
    assert isinstance(lab, Lab)

    async def wait(connection: Connection) -> None:
        found = await (await connection.execute("SELECT host(inet_server_addr())")).fetchone()
        assert found is not None
        [primary] = [node for node in lab.topology.nodes if lab.address(node) == found[0]]
        await lab.kill_host(primary)
        with anyio.fail_after(WAIT_S):
            await connection.execute("SELECT 2")

    with pytest.raises(psycopg.OperationalError):
        await connected(cluster, NEAR, haproxy.PRIMARY_PORT, wait)


if __name__ == "__main__":
    anyio.run(probe, Path(sys.argv[1]))
