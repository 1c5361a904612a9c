"""Lays the ground of a drill, and starts the final read: the only SQL that the director has.

It goes over the nodes' consoles, so that it needs no place in the sites' network.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg

from chaos.drill.loads import DBNAME, ROLE
from chaos.errors import PreflightError
from chaos.evidence.decode import encode
from chaos.scenarios.model import WorkloadSpec
from chaos.workloads import prepare as ground
from cluster.cluster import PatroniCluster
from cluster.patroni import POSTGRES_PORT, SUPERUSER
from cluster.relay import relay
from cluster.substrate import Unit
from replication import Credentials, StorageError
from replication.lag import heartbeat_row
from replication.wire import Address, Session, connect

FINAL_READ_UNIT = "final-read"
FINAL_READ_DEADLINE_S = 30.0


async def prepare(cluster: PatroniCluster, password: str, spec: WorkloadSpec) -> str:
    """Make the load's role and tables on the primary.

    Args:
        cluster: whole, with a primary.
        password: for the load's role.
        spec: the workload.

    Returns:
        The primary's ``synchronous_standby_names``, as it is in force.

    Raises:
        PreflightError: there is no primary, or it refused.
    """
    async with as_admin(cluster, f"the tables of the workload {spec.kind}") as session:
        await ground.prepare(session, role=ROLE, password=password, spec=spec)
        rows = await session.fetch("SHOW synchronous_standby_names")
    return str(rows[0][0])


async def prepare_exporter(cluster: PatroniCluster, role: str, password: str) -> None:
    """Make the role that the exporter's probes connect as, and the heartbeat's table.

    Raises:
        PreflightError: there is no primary, or it refused.
    """
    async with as_admin(cluster, "the exporter's role and table") as session:
        await ground.make_role(session, role, password)
        for statement in heartbeat_row.SCHEMA_STATEMENTS:
            await session.fetch(statement)
        for grant in heartbeat_row.grants(role):
            await session.fetch(grant)


@asynccontextmanager
async def as_admin(cluster: PatroniCluster, what: str) -> AsyncIterator[Session]:
    """A superuser's session to the primary, for what is to be made there.

    Raises:
        PreflightError: there is no primary, or it refused; it names ``what``.
    """
    primary = await cluster.primary()
    if primary is None:
        raise PreflightError("there is no primary")
    admin = Credentials(
        user=SUPERUSER,
        password=cluster.credentials.superuser,
        dbname=DBNAME,
        application_name="bascule-prepare",
    )
    try:
        async with relay(cluster.substrate.console, primary, POSTGRES_PORT) as port:
            address = Address(node=primary, host="127.0.0.1", port=port)
            session = await connect(address, admin)
            try:
                yield session
            finally:
                await session.close()
    except (psycopg.Error, StorageError) as error:
        raise PreflightError(f"{what} could not be made on {primary}: {error}") from error


async def start_final_read(
    cluster: PatroniCluster, host: str, folder: Path, password: str, spec: WorkloadSpec
) -> None:
    """Start the process that reads what the workload left on every node, on a client's host."""
    substrate = cluster.substrate
    config = {
        "nodes": [
            {"name": node, "host": substrate.address(node), "port": POSTGRES_PORT}
            for node in cluster.rest
        ],
        "user": ROLE,
        "password": password,
        "dbname": DBNAME,
        "out_dir": str(folder),
        "deadline_s": FINAL_READ_DEADLINE_S,
        "workload": encode(spec),
    }
    argv = (substrate.python, "-m", "chaos.workloads.final_read")
    unit = Unit(name=FINAL_READ_UNIT, argv=argv, stdin=json.dumps(config) + "\n")
    await substrate.start_unit(host, unit)
