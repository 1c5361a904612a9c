"""Makes what the exporter and the load need, on the primary of docker-compose.yml; idempotent.

Runs once, and again when it failed: while there is no primary it waits for one.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import anyio
import psycopg

from chaos.load.prepare import prepare
from replication import Credentials
from replication.monitoring.lag import heartbeat_row
from replication.schema.own import make_role
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
        await make_role(session, EXPORTER, secret("monitor"))
        await heartbeat_row.install(session, EXPORTER)
        await prepare(session, role=APP, password=secret("app"))
    finally:
        await session.close()


if __name__ == "__main__":
    anyio.run(main)
