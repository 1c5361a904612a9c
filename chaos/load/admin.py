"""A superuser's session on a node, over the node's console: it needs no place in the sites'
network, and no fault of a link ends it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cluster.patroni.config import POSTGRES_PORT, SUPERUSER
from cluster.raised import RaisedCluster
from cluster.substrates.relay import relay
from replication import Credentials
from replication.wire import Address, Session, connect

DBNAME = "postgres"


@asynccontextmanager
async def superuser_session(
    cluster: RaisedCluster, node: str, *, application: str, dbname: str = DBNAME
) -> AsyncIterator[Session]:
    """A session that lasts as long as the context.

    Args:
        cluster: whose superuser.
        node: where.
        application: its ``application_name``.
        dbname: the database.

    Raises:
        psycopg.Error, StorageError: the node does not take it.
    """
    admin = superuser(cluster, application=application, dbname=dbname)
    async with relay(cluster.substrate.console, node, POSTGRES_PORT) as port:
        session = await connect(Address(node=node, host="127.0.0.1", port=port), admin)
        try:
            yield session
        finally:
            await session.close()


def superuser(cluster: RaisedCluster, *, application: str, dbname: str = DBNAME) -> Credentials:
    """What lets the superuser of a cluster in."""
    return Credentials(
        user=SUPERUSER,
        password=cluster.credentials.superuser,
        dbname=dbname,
        application_name=application,
    )
