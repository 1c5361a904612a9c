"""A bulk load in a real lab while the primary's host dies: ``python -m support.lab.bulk_lab DIR``.

Run sealed by ``tests/integration/replication/bulk/test_lab.py``; an assertion that fails is its
exit code. The loading process runs on an application's host of the lab
(``support.lab.bulk_loader``).
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from psycopg import sql

from cluster.binaries import find_binaries
from cluster.boot import raise_cluster
from cluster.patroni.config import POSTGRES_PORT, REST_PORT, SUPERUSER
from cluster.raised import RaisedCluster
from cluster.substrates.base import Process, ProcessExit
from cluster.substrates.lab.lab import Lab
from cluster.substrates.relay import relay
from cluster.topology.load import load_builtin
from replication import Credentials
from replication.schema import grant, install
from replication.wire import Address, Session, session_to

ROWS = 400_000
CHUNK_ROWS = 500
"""Many small chunks: the load must still be going on when the host is cut off."""

ROLE, PASSWORD = "bulk_app", "app-password"
UNIT = "bulk"
DEADLINE_S = 120.0


@asynccontextmanager
async def admin_of(cluster: RaisedCluster) -> AsyncIterator[Session]:
    """A superuser's session to the primary, over its console."""
    with anyio.fail_after(DEADLINE_S):
        while (primary := await cluster.primary()) is None:
            await anyio.sleep(0.1)
    credentials = Credentials(
        user=SUPERUSER, password=cluster.credentials.superuser, dbname="postgres"
    )
    async with relay(cluster.substrate.console, primary, POSTGRES_PORT) as port:
        address = Address(node=primary, host="127.0.0.1", port=port)
        async with session_to(address, credentials) as session:
            yield session


async def lay_ground(session: Session) -> None:
    """The table, the package's tables, and a role that may load."""
    role = sql.Identifier(ROLE)
    verifier = sql.Literal(session.scram_verifier(ROLE, PASSWORD))
    await install(session)
    await session.fetch("CREATE TABLE patient (id integer NOT NULL, name text)")
    await session.fetch(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, verifier))
    await session.fetch(sql.SQL("GRANT INSERT ON patient TO {}").format(role))
    await grant(session, ROLE)


def loader(cluster: RaisedCluster, progress: Path) -> Process:
    """The loading process."""
    config = {
        "members": [
            {
                "name": node,
                "rest_url": f"http://{cluster.substrate.address(node)}:{REST_PORT}",
                "host": cluster.substrate.address(node),
                "port": POSTGRES_PORT,
            }
            for node in cluster.rest
        ],
        "user": ROLE,
        "password": PASSWORD,
        "rows": ROWS,
        "chunk_rows": CHUNK_ROWS,
        "progress": str(progress),
    }
    argv = (sys.executable, "-m", "support.lab.bulk_loader")
    tests = str(Path(__file__).parents[2])
    return Process(name=UNIT, argv=argv, env={"PYTHONPATH": tests}, stdin=json.dumps(config) + "\n")


async def lose_the_primary(lab: Lab, cluster: RaisedCluster, folder: Path) -> None:
    """Power cut of the primary's host in the middle of the load; every row is there once."""
    progress = folder / "progress.jsonl"
    async with admin_of(cluster) as session:
        await lay_ground(session)
        old = session.node
    host = next(
        host.name
        for site in lab.topology.sites
        for host in site.hosts
        if "client" in host.roles and host.name != old
    )
    await lab.start_unit(host, loader(cluster, progress))
    with anyio.fail_after(DEADLINE_S):
        while not progress.exists() or len(progress.read_text().splitlines()) < 20:
            await anyio.sleep(0.02)
    await lab.kill_host(old)
    chunks_at_the_cut = len(progress.read_text().splitlines())
    with anyio.fail_after(DEADLINE_S):
        status = await lab.wait_unit(host, UNIT)
    log = (folder / f"{host}.{UNIT}.log").read_text()
    assert status == 0, log
    told = [json.loads(line) for line in progress.read_text().splitlines()]
    assert chunks_at_the_cut < len(told) == ROWS / CHUNK_ROWS
    assert max(line["attempts"] for line in told) > 1 or any(line["node"] != old for line in told)
    async with admin_of(cluster) as session:
        assert session.node != old
        counts = await session.fetch("SELECT count(*), count(DISTINCT id), max(id) FROM patient")
        finished = await session.fetch("SELECT rows, chunks FROM bascule.bulk_load")
    assert counts == [(ROWS, ROWS, ROWS - 1)]
    assert finished == [(ROWS, ROWS // CHUNK_ROWS)]


async def main(folder: Path) -> None:
    """Raise three sites, and do it."""
    exits: list[ProcessExit] = []
    stock = load_builtin("three-sites").with_settings(witness=False)
    async with Lab(stock, logs=folder, on_exit=exits.append) as lab:
        cluster = await raise_cluster(
            lab,
            find_binaries(None),
            config_folder=folder / "config",
            logs=folder,
            done=lambda step: None,
        )
        try:
            await lose_the_primary(lab, cluster, folder)
        finally:
            with anyio.CancelScope(shield=True):
                await cluster.aclose()


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]))
