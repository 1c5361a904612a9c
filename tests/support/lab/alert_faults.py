"""What is broken to make alerts fire: each fault is real, and healed on the way out."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from cluster.patroni.config import POSTGRES_PORT, SUPERUSER
from cluster.raised import RaisedCluster
from cluster.substrates.lab.lab import Lab
from cluster.substrates.lab.network import run
from cluster.substrates.relay import relay
from replication import Credentials
from replication.wire import Address, connect

WAL_PIECE_BYTES = 8 * 1024 * 1024
POLL_S = 0.1
"""Between two looks at what is waited for."""


@asynccontextmanager
async def cut_between(lab: Lab, host: str, peer: str) -> AsyncIterator[None]:
    """``host`` has no way to ``peer`` any more, and reaches everybody else."""
    route = ["blackhole", f"{lab.address(peer)}/32"]
    await run(["ip", "-n", host, "route", "add", *route])
    try:
        yield
    finally:
        await run(["ip", "-n", host, "route", "del", *route])


@asynccontextmanager
async def without_power(
    lab: Lab, cluster: RaisedCluster, hosts: Sequence[str]
) -> AsyncIterator[None]:
    """The hosts lose their power, all of them; in the end they and their services are back."""
    for host in hosts:
        await lab.kill_host(host)
    try:
        yield
    finally:
        for host in hosts:
            await lab.start_host(host)
            await cluster.start_services(host)


@asynccontextmanager
async def frozen(lab: Lab, host: str, unit: str) -> AsyncIterator[None]:
    """A process stands still (SIGSTOP): its sockets stay open, and nobody answers."""
    await lab.kill_process(host, unit, signal.SIGSTOP)
    try:
        yield
    finally:
        await lab.kill_process(host, unit, signal.SIGCONT)


async def run_sql(cluster: RaisedCluster, node: str, *statements: str) -> list[tuple[object, ...]]:
    """Run statements on a node, over its console, as the superuser; the rows of the last one."""
    admin = Credentials(user=SUPERUSER, password=cluster.credentials.superuser, dbname="postgres")
    async with relay(cluster.substrate.console, node, POSTGRES_PORT) as port:
        session = await connect(Address(node=node, host="127.0.0.1", port=port), admin)
        try:
            rows: list[tuple[object, ...]] = []
            for statement in statements:
                rows = [tuple(row) for row in await session.fetch(statement)]
            return rows
        finally:
            await session.close()


async def write_wal(cluster: RaisedCluster, node: str, *, size_bytes: int) -> None:
    """Have a primary write so much WAL (messages that no replica acts on), waiting for nobody."""
    text = f"repeat('x', {WAL_PIECE_BYTES})"
    piece = f"SELECT pg_logical_emit_message(false, 'bascule-test', {text})"
    pieces = -(-size_bytes // WAL_PIECE_BYTES)
    await run_sql(cluster, node, "SET synchronous_commit = local", *[piece] * pieces)
