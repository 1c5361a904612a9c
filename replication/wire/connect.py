"""How a session to a server is made, and its deadline."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import anyio
import psycopg

from replication.credentials import Credentials
from replication.wire.connection import Connection
from replication.wire.conninfo import Address, open_connection
from replication.wire.errors import refusal_of
from replication.wire.session import Session

CONNECT_DEADLINE_S = 2.0
"""Connecting took 3 to 10 ms in the lab; two lost SYNs cost 1 + 2 s. libpq's own limit is 130 s."""


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
            connection = await open_connection(address, credentials, settings or {})
            session = Session(connection, node=address.node)
            await session.look()
            return session
    except TimeoutError:
        if connection is not None:
            connection.cut()
        raise psycopg.errors.ConnectionTimeout(
            f"{address.node} did not take a connection within {deadline_s} s"
        ) from None
    except psycopg.OperationalError as error:
        if connection is not None:
            connection.cut()
            raise
        raise refusal_of(error) from error
    except BaseException:
        if connection is not None:
            connection.cut()
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
