"""The only module that waits on psycopg.

Rules that hold for everything in here:

- Every wait has a deadline, and one that is missed closes the connection on the spot: it is never
  used again, and **no cancel request is sent**. psycopg's own clean-up sends one and waits for its
  effect; a server that went silent makes that 11 s (measured), and worse, a cancel request that
  reaches a COMMIT waiting for its synchronous standby makes the transaction visible though it is
  not replicated.
- A session counts as one of the primary only after the server itself said that it is not in
  recovery; the same answer carries timeline and system identifier.
- Warnings in answer to COMMIT are errors here (``CommitWarning``): they say that the synchronous
  wait was cancelled (``src/backend/replication/syncrep.c``), and the commit is then in doubt.
- Statements are sent through libpq's pipeline: BEGIN, the id row and the first statement of the
  caller travel together, so a unit of work with one statement costs two round trips, not four.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, LiteralString

import anyio
import psycopg
from psycopg import sql, waiting
from psycopg.abc import RV, PQGen
from psycopg.conninfo import make_conninfo
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

from replication.outcomes import Failure

Query = LiteralString | sql.SQL | sql.Composed
"""SQL comes from literals and from psycopg's ``sql``, never from strings put together."""

Params = Sequence[Any] | Mapping[str, Any]

CONNECT_DEADLINE_S = 2.0
"""Connecting took 3 to 10 ms in the lab; two lost SYNs cost 1 + 2 s. libpq's own limit is 130 s."""

ROLLBACK_DEADLINE_S = 1.0
"""A ROLLBACK that takes longer is not worth the connection it would save."""

_WAKE_INTERVAL_S = 0.1
"""psycopg's own default: how often a wait looks whether its socket was closed under it."""

_LOOK = (
    "SELECT pg_is_in_recovery(),"
    " CASE WHEN NOT pg_is_in_recovery() THEN pg_walfile_name(pg_current_wal_insert_lsn()) END,"
    " (SELECT system_identifier FROM pg_control_system())"
)

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
# vanished must not hold its id row's key for long, so idle transactions are ended.
_SERVER_SETTINGS: Mapping[str, str] = {
    "client_min_messages": "warning",
    "idle_in_transaction_session_timeout": "30s",
    "tcp_user_timeout": "10s",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a server takes connections; ``node`` is its name."""

    node: str
    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Who connects to what. The password is in no repr."""

    user: str
    password: str = field(repr=False)
    dbname: str
    application_name: str = "bascule"


class CommitWarning(psycopg.OperationalError):
    """The server answered COMMIT with a warning: the commit is in doubt."""

    def __init__(self, sqlstate: str | None, message: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class RolledBack(psycopg.InternalError):
    """The server answered COMMIT with ROLLBACK: an error in the transaction had been swallowed."""

    sqlstate = "25P02"


class NotPrimary(psycopg.OperationalError):
    """The server is in recovery, or on a timeline that is history, or of another cluster."""

    sqlstate = "25006"


class _Connection(psycopg.AsyncConnection[TupleRow]):
    """A connection that is closed, not cleaned up, when a wait on it is cancelled."""

    async def wait(
        self,
        gen: PQGen[RV],
        interval: float = _WAKE_INTERVAL_S,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is psycopg's
    ) -> RV:
        """Replaces psycopg's own, which would send a cancel request and wait for its effect."""
        try:
            return await waiting.wait_async(
                gen, self.pgconn.socket, interval=interval, timeout=timeout
            )
        except (asyncio.CancelledError, KeyboardInterrupt, SystemExit):
            self.pgconn.finish()
            raise


class Session:
    """One connection, to a server whose role was asked when it was made."""

    def __init__(self, connection: _Connection, *, node: str) -> None:
        self.node = node
        self.in_recovery = True
        self.timeline = 0
        self.system_identifier = 0
        self._connection = connection
        self._pipeline: psycopg.AsyncPipeline | None = None
        self._exit = AsyncExitStack()
        self._header: psycopg.AsyncCursor[TupleRow] | None = None
        self._warnings: list[tuple[str | None, str]] = []
        connection.add_notice_handler(self._on_notice)

    @property
    def is_clean(self) -> bool:
        """Connected, and in no transaction."""
        return self._connection.pgconn.transaction_status == TransactionStatus.IDLE

    async def look(self) -> None:
        """Ask the server for its role, its timeline (a primary's) and its cluster."""
        in_recovery, wal_file, self.system_identifier = (await self.fetch(_LOOK))[0]
        self.in_recovery = bool(in_recovery)
        self.timeline = 0 if wal_file is None else int(wal_file[:8], 16)

    async def fetch(self, query: Query, params: Params | None = None) -> list[TupleRow]:
        """Run one statement and return its rows.

        Raises:
            CommitWarning: outside a transaction the statement is its own commit, and the server
                warned about it.
        """
        own_commit = self.is_clean
        self._warnings.clear()
        cursor = await self._send_and_wait(query, params)
        if own_commit and self._warnings:
            raise CommitWarning(*self._warnings[0])
        return [] if cursor.description is None else await cursor.fetchall()

    async def begin(self, header: Query, params: Params) -> None:
        """Send BEGIN and the first statement; neither is waited for (``fetch_header``)."""
        if self._pipeline is None:
            self._pipeline = await self._exit.enter_async_context(self._connection.pipeline())
        await self._connection.execute("BEGIN")
        self._header = await self._connection.execute(header, params)

    async def execute(self, query: Query, params: Params | None) -> tuple[list[TupleRow], int]:
        """Run a statement of the open transaction: its rows, and how many rows it touched."""
        cursor = await self._send_and_wait(query, params)
        rows = [] if cursor.description is None else await cursor.fetchall()
        return rows, cursor.rowcount

    async def fetch_header(self) -> TupleRow:
        """The row that the statement given to ``begin`` returned."""
        assert self._header is not None, "begin comes first"
        row = await self._header.fetchone()
        assert row is not None, "the header statement returns a row"
        return row

    async def commit(self) -> None:
        """Send COMMIT and wait for its answer.

        Raises:
            CommitWarning: it may have taken effect.
            RolledBack: it did not.
        """
        self._warnings.clear()
        cursor = await self._send_and_wait("COMMIT", None)
        if self._warnings:
            raise CommitWarning(*self._warnings[0])
        if cursor.statusmessage != "COMMIT":
            raise RolledBack(f"COMMIT was answered with {cursor.statusmessage}")

    async def rollback(self) -> None:
        """Roll back what is open; where that does not work at once, close the connection."""
        try:
            with anyio.fail_after(ROLLBACK_DEADLINE_S):
                if not self.is_clean:
                    await self._send_and_wait("ROLLBACK", None)
        except (psycopg.Error, TimeoutError):
            await self.close()

    async def copy_rows(self, query: Query) -> AsyncIterator[tuple[str | None, ...]]:
        """The rows of ``COPY (query) TO STDOUT``, as text, as they arrive.

        The deadline is the caller's: it may be set around each row.
        """
        inner = sql.SQL(query) if isinstance(query, str) else query
        copy_out = sql.SQL("COPY ({}) TO STDOUT").format(inner)
        async with self._connection.cursor() as cursor, cursor.copy(copy_out) as copy:
            async for row in copy.rows():
                yield row

    async def close(self) -> None:
        """Close at once; waits for nothing, whatever state the connection is in."""
        self._connection.pgconn.finish()
        with suppress(psycopg.Error):
            await self._exit.aclose()  # leaves the pipeline's context, which finds it closed
        await self._connection.close()

    def scram_verifier(self, user: str, password: str) -> str:
        """What ``ALTER ROLE ... PASSWORD`` stores: the password itself never reaches the server,
        and so none of its logs (libpq ``PQencryptPasswordConn``)."""
        pgconn = self._connection.pgconn
        return pgconn.encrypt_password(password.encode(), user.encode(), b"scram-sha-256").decode()

    async def _send_and_wait(
        self, query: Query, params: Params | None
    ) -> psycopg.AsyncCursor[TupleRow]:
        try:
            cursor = await self._connection.execute(query, params)
            if self._pipeline is not None:
                await self._pipeline.sync()
        except psycopg.Error:
            await self._leave_failed_pipeline()
            raise
        return cursor

    async def _leave_failed_pipeline(self) -> None:
        """After an error the server skips everything up to the next Sync: send one."""
        if self._pipeline is None or self._connection.closed:
            return
        # It raises the same error again, or "pipeline aborted": the first one is what counts.
        with suppress(psycopg.Error):
            await self._pipeline.sync()

    def _on_notice(self, notice: psycopg.errors.Diagnostic) -> None:
        if notice.severity_nonlocalized == "WARNING":
            self._warnings.append((notice.sqlstate, notice.message_primary or "a warning"))


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
    connection: _Connection | None = None
    try:
        with anyio.fail_after(deadline_s):
            connection = await _Connection.connect(
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


def failure_of(error: psycopg.Error) -> Failure:
    """``error`` as the table of ``outcomes`` takes it."""
    if isinstance(error, CommitWarning):
        return Failure(kind="warning", sqlstate=error.sqlstate, message=str(error))
    if error.sqlstate is not None:
        return Failure(kind="error", sqlstate=error.sqlstate, message=str(error))
    # Without a SQLSTATE it was said by libpq or psycopg, not by the server: OperationalError and
    # InterfaceError when the connection is gone, the others when a statement was never sent.
    lost = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return Failure(kind="lost" if lost else "client", message=str(error))


def is_id_row_conflict(error: psycopg.Error, table: tuple[str, str]) -> bool:
    """Whether ``error`` is a duplicate key of ``table`` (schema, name)."""
    diag = error.diag
    return error.sqlstate == "23505" and (diag.schema_name, diag.table_name) == table
