"""How a session to a server is made, and its deadline."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import anyio
import psycopg

from replication.access.credentials import Credentials
from replication.wire.connection import Connection
from replication.wire.conninfo import Address, open_connection
from replication.wire.errors import Refused
from replication.wire.refusals import refusal_with
from replication.wire.session import Session

CONNECT_DEADLINE_S = 2.0
"""As ``StorageSettings.connect_deadline_s``, which says why. libpq's own limit is 130 s."""


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
        Refused: the server, or a program in its place, does not take us.
        psycopg.Error: not connected within ``deadline_s``, or lost again.
    """
    connection: Connection | None = None
    try:
        with anyio.fail_after(deadline_s):
            connection = await open_connection(address, credentials, settings or {})
            session = Session(connection, node=address.node)
            await session.look()
            return session
    except BaseException as error:
        if connection is not None:
            connection.cut()
        if isinstance(error, TimeoutError):
            raise psycopg.errors.ConnectionTimeout(
                f"{address.node} did not take a connection within {deadline_s:g} s"
            ) from None
        if isinstance(error, psycopg.Error) and not isinstance(error, Refused) and error.sqlstate:
            # It let us in, and refused the first question.
            meaning = refusal_with(error.sqlstate).meaning
            raise Refused(meaning, error.sqlstate, str(error)) from error
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
