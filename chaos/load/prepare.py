"""Prepares the database for a load: its role, the tables of its workload and of its marks."""

from __future__ import annotations

from typing import LiteralString

from psycopg import sql

from chaos.load import reads
from chaos.scenarios.model import WorkloadSpec
from chaos.workloads.base import Filling, load_workload
from replication import schema
from replication.schema.own import make_role
from replication.wire import Session

_GRANTS: tuple[LiteralString, ...] = (
    # So that the final read can say on which timeline a replica is (pg_stat_wal_receiver).
    "GRANT pg_read_all_stats TO {role}",
)


async def prepare(
    admin: Session, *, role: str, password: str, spec: WorkloadSpec | None = None
) -> None:
    """Make the role that the load connects as, the schema and the tables. Idempotent.

    Args:
        admin: a session of a superuser to the primary.
        role: its name; it gets what the load and the final read need, and nothing else.
        password: stored as a SCRAM verifier made on this side, so no server log can show it.
        spec: the workload; the ledger if None.

    Raises:
        psycopg.Error: the server refused, or was lost.
        MigrationFailed: the same, of the storage layer's own tables (``replication.schema``).
        PreflightError: the workload cannot fill its tables.
    """
    workload = load_workload(spec or WorkloadSpec())
    name = sql.Identifier(role)
    await make_role(admin, role, password)
    await schema.install(admin)
    await schema.grant(admin, role)
    for statement in (*workload.tables, reads.MAKE_TABLE, reads.EMPTY_TABLE):
        await admin.fetch(statement)
    if isinstance(workload, Filling):
        await workload.fill(admin)
    for grant in (*_GRANTS, reads.GRANT, *workload.grants):
        await admin.fetch(sql.SQL(grant).format(role=name))
    for opening, values in workload.opening():
        await admin.fetch(opening, values)
