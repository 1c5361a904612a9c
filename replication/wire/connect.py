"""How a session to a server is made: its deadline, its settings, its sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
import psycopg
from psycopg.conninfo import make_conninfo

from replication.credentials import Credentials
from replication.wire.connection import Connection
from replication.wire.errors import refusal_of
from replication.wire.session import Session

CONNECT_DEADLINE_S = 2.0
"""Connecting took 3 to 10 ms in the lab; two lost SYNs cost 1 + 2 s. libpq's own limit is 130 s."""

# The second net, for sockets whose peer lost its power while nobody waits in Python: unanswered
# data ends the connection after 4 s, an idle one is probed after 1 s, every second, three times.
_SOCKET_OPTIONS: Mapping[str, int] = {
    "keepalives": 1,
    "keepalives_idle": 1,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 4000,
}

# Set in the start packet, which outranks what ALTER ROLE or ALTER DATABASE say. Were warnings
# filtered by the server, a cancelled synchronous wait would look like a commit. A client that
# vanished must not hold its id row's key for long, so idle transactions are ended. A COPY that is
# waiting for data is not idle: only the server's probes notice that its client's host is gone.
_SERVER_SETTINGS: Mapping[str, str] = {
    "client_min_messages": "warning",
    "idle_in_transaction_session_timeout": "30s",
    "tcp_user_timeout": "10s",
    "tcp_keepalives_idle": "5s",
    "tcp_keepalives_interval": "2s",
    "tcp_keepalives_count": "3",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a server takes connections; ``node`` is its name."""

    node: str
    host: str
    port: int


async def connect(
    address: Address,
    credentials: Credentials,
    *,
    deadline_s: float = CONNECT_DEADLINE_S,
    settings: Mapping[str, str] | None = None,
) -> Session:
    """A session that knows the role of its server.

    Args:
        settings: server settings for this session, beside those that correctness needs.

    Raises:
        psycopg.Error: not connected within ``deadline_s``. libpq gives no SQLSTATE here.
    """
    connection: Connection | None = None
    try:
        with anyio.fail_after(deadline_s):
            connection = await Connection.connect(
                _conninfo(address, credentials, settings or {}), autocommit=True
            )
            session = Session(connection, node=address.node)
            await session.look()
            return session
    except TimeoutError:
        if connection is not None:
            connection.pgconn.finish()
        raise psycopg.errors.ConnectionTimeout(
            f"{address.node} did not take a connection within {deadline_s} s"
        ) from None
    except psycopg.OperationalError as error:
        if connection is not None:
            connection.pgconn.finish()
            raise
        raise refusal_of(error) from error
    except BaseException:
        if connection is not None:
            connection.pgconn.finish()
        raise


@asynccontextmanager
async def session_to(
    address: Address,
    credentials: Credentials,
    *,
    deadline_s: float = CONNECT_DEADLINE_S,
    settings: Mapping[str, str] | None = None,
) -> AsyncIterator[Session]:
    """``connect``, closed at the end."""
    session = await connect(address, credentials, deadline_s=deadline_s, settings=settings)
    try:
        yield session
    finally:
        await session.close()


def _conninfo(address: Address, credentials: Credentials, settings: Mapping[str, str]) -> str:
    options = {**_SERVER_SETTINGS, **settings}
    return make_conninfo(
        "",
        host=address.host,
        port=address.port,
        user=credentials.user,
        password=credentials.password,
        dbname=credentials.dbname,
        application_name=credentials.application_name,
        options=" ".join(f"-c {name}={value}" for name, value in options.items()),
        **_SOCKET_OPTIONS,
    )
