"""Makes what the exporter and the load need, on the primary of docker-compose.yml; idempotent.

Runs once, and again when it failed: while there is no primary it waits for one.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import anyio
import psycopg
from psycopg import sql

from chaos.cli.exporter import setup_statements
from chaos.workloads.prepare import prepare
from replication import Credentials
from replication.wire import Address, Session, connect

SECRETS = Path("/run/secrets")
EXPORTER, APP = "bascule_exporter", "bascule_app"
PATIENCE_S = 120.0
POLL_S = 0.5


def secret(name: str) -> str:
    """A password."""
    return (SECRETS / name).read_text().strip()


async def primary() -> Session:
    """A session of the superuser to the primary; SystemExit when none comes up."""
    admin = Credentials(user="postgres", password=secret("superuser"), dbname="postgres")
    end_s, last = time.monotonic() + PATIENCE_S, "none was asked"
    while time.monotonic() < end_s:
        for node in os.environ["MEMBERS"].split():
            try:
                session = await connect(Address(node=node, host=node, port=5432), admin)
            except psycopg.Error as error:
                last = f"{node}: {error}"
                continue
            if not session.in_recovery:
                return session
            await session.close()
        await anyio.sleep(POLL_S)
    raise SystemExit(f"there is no primary after {PATIENCE_S:g} s; {last}")


async def main() -> None:
    """Roles, tables and rights."""
    session = await primary()
    try:
        if not await session.fetch("SELECT FROM pg_roles WHERE rolname = %s", (EXPORTER,)):
            await session.fetch(sql.SQL("CREATE ROLE {}").format(sql.Identifier(EXPORTER)))
        verifier = session.scram_verifier(EXPORTER, secret("monitor"))
        alter = sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}")
        await session.fetch(alter.format(sql.Identifier(EXPORTER), sql.Literal(verifier)))
        for statement in setup_statements(EXPORTER).split(";\n"):
            await session.fetch(sql.SQL(statement.rstrip(";")))  # type: ignore[arg-type]
        await prepare(session, role=APP, password=secret("app"))
    finally:
        await session.close()


if __name__ == "__main__":
    anyio.run(main)
