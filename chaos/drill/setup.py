"""Prepares the database for a drill, and starts the final read: the director's only SQL.

The SQL goes over the nodes' consoles, so it needs no place in the sites' network.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg

from chaos.drill.fed import start_ahead, start_with
from chaos.drill.loads import DBNAME, ROLE
from chaos.errors import PreflightError
from chaos.load import prepare as ground
from chaos.load.admin import superuser_session
from chaos.load.final_read import FinalReadConfig
from chaos.scenarios.model import WorkloadSpec
from chaos.workloads.registry import kind_of
from cluster.patroni.config import POSTGRES_PORT
from cluster.raised import RaisedCluster
from replication import StorageError
from replication.monitoring.lag import heartbeat_row
from replication.schema.own import make_role
from replication.wire import Address, Session

LOOK_TIMEOUT_S = 10.0
"""For a cluster that is whole to say so: at once, but on a busy machine answers are late."""
FINAL_READ_UNIT = "final-read"
FINAL_READ_MODULE = "chaos.load.final_read"


async def prepare(cluster: RaisedCluster, password: str, spec: WorkloadSpec) -> str:
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


async def prepare_exporter(cluster: RaisedCluster, role: str, password: str) -> None:
    """Make the role that the exporter's probes connect as, and the heartbeat's table.

    Raises:
        PreflightError: there is no primary, or it refused.
    """
    async with as_admin(cluster, "the exporter's role and table") as session:
        await make_role(session, role, password)
        await heartbeat_row.install(session, role)


@asynccontextmanager
async def as_admin(cluster: RaisedCluster, what: str) -> AsyncIterator[Session]:
    """A session of the superuser to the primary, for what is to be made there.

    Raises:
        PreflightError: there is no primary, or it refused; it names ``what``.
    """
    primary = await cluster.wait_primary(timeout_s=LOOK_TIMEOUT_S)
    if primary is None:
        raise PreflightError("there is no primary")
    try:
        async with superuser_session(
            cluster, primary, application="bascule-prepare", dbname=DBNAME
        ) as session:
            yield session
    except (psycopg.Error, StorageError) as error:
        raise PreflightError(f"{what} could not be made on {primary}: {error}") from error


async def start_final_read_ahead(cluster: RaisedCluster, host: str) -> bool:
    """Start the process of the final read ahead, where that can be; whether it waits now."""
    return await start_ahead(cluster.substrate, host, FINAL_READ_UNIT, FINAL_READ_MODULE)


async def start_final_read(  # noqa: PLR0913 (what it is to read, and how)
    cluster: RaisedCluster,
    host: str,
    folder: Path,
    password: str,
    spec: WorkloadSpec,
    *,
    is_ahead: bool = False,
) -> None:
    """Start the process that reads what the workload left on every node, on a client's host; one
    that waits there is told what to read."""
    substrate = cluster.substrate
    config = FinalReadConfig(
        nodes=tuple(
            Address(node=node, host=substrate.address(node), port=POSTGRES_PORT)
            for node in cluster.rest
        ),
        user=ROLE,
        password=password,
        dbname=DBNAME,
        out_dir=str(folder),
        deadline_s=kind_of(spec.options).final_read_s,
        workload=spec,
    )
    await start_with(
        substrate, host, FINAL_READ_UNIT, FINAL_READ_MODULE, config.to_line(), is_ahead=is_ahead
    )
