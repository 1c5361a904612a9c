"""One connection as a unit of work uses it: pipelined statements, a commit that is believed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any, LiteralString

import anyio
import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

from replication.wire.connection import Connection
from replication.wire.copying import send_blocks
from replication.wire.errors import CommitWarning, RolledBack

Query = LiteralString | sql.SQL | sql.Composed
"""SQL comes from literals and from psycopg's ``sql``, never from strings put together."""

Params = Sequence[Any] | Mapping[str, Any]

ROLLBACK_DEADLINE_S = 1.0
"""A ROLLBACK that takes longer is not worth the connection it would save."""

_LOOK = (
    "SELECT pg_is_in_recovery(),"
    " CASE WHEN NOT pg_is_in_recovery() THEN pg_walfile_name(pg_current_wal_insert_lsn()) END,"
    " (SELECT system_identifier FROM pg_control_system()),"
    " current_setting('synchronous_commit')"
)

_WAITS_FOR_FLUSH = ("on", "remote_apply")
"""Values of ``synchronous_commit`` under which an acknowledged commit is on a standby's disk
(PostgreSQL manual, 19.5.1)."""


class Session:
    """One connection, to a server whose role was asked when it was made."""

    def __init__(self, connection: Connection, *, node: str) -> None:
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
        """Ask the server for its role, its timeline (a primary's) and its cluster.

        Whatever a role or a database has as its default, commits wait for their standby unless a
        transaction says otherwise.
        """
        in_recovery, wal_file, self.system_identifier, commit = (await self.fetch(_LOOK))[0]
        self.in_recovery = bool(in_recovery)
        self.timeline = 0 if wal_file is None else int(wal_file[:8], 16)
        if commit not in _WAITS_FOR_FLUSH:  # the role's or the database's own default
            await self.fetch("SET synchronous_commit = on")

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

    async def begin(
        self,
        header: Query,
        params: Params | None = None,
        *,
        begin: Query = "BEGIN",
        preamble: Sequence[Query] = (),
    ) -> None:
        """Send BEGIN and the first statements; nothing is waited for (``fetch_header``).

        Args:
            header: the statement whose row ``fetch_header`` returns.
            params: its parameters.
            begin: BEGIN with its modes.
            preamble: statements between the two, without rows.
        """
        await self._enter_pipeline()
        for statement in (begin, *preamble):
            await self._connection.execute(statement)
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

    async def commit(self, proof: Query | None = None) -> TupleRow | None:
        """Send COMMIT and wait for its answer.

        Args:
            proof: a statement that travels with it and is run right after it; its row is returned.

        Raises:
            CommitWarning: it may have taken effect.
            RolledBack: it did not.
        """
        self._warnings.clear()
        if proof is None:
            cursor, after = await self._send_and_wait("COMMIT", None), None
        else:
            cursor, after = await self._send_both("COMMIT", proof)
        if self._warnings:
            raise CommitWarning(*self._warnings[0])
        if cursor.statusmessage != "COMMIT":
            raise RolledBack(f"COMMIT was answered with {cursor.statusmessage}")
        return None if after is None else await after.fetchone()

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

    async def copy_in(self, statement: sql.SQL | sql.Composed, blocks: Iterable[bytes]) -> int:
        """Run a ``COPY ... FROM STDIN`` in the open transaction; the rows that it counted.

        libpq has no COPY in pipeline mode (libpq manual, "Pipeline Mode"): the pipeline is left
        here, once what is pending in it was answered; ``begin`` enters it again.
        """
        await self._leave_pipeline()
        return await send_blocks(self._connection, statement, blocks)

    def abandon(self) -> None:
        """Close at once and without a word, whatever state the connection is in."""
        self._connection.pgconn.finish()

    async def close(self) -> None:
        """As ``abandon``, for those who are not in a hurry to return."""
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

    async def _enter_pipeline(self) -> psycopg.AsyncPipeline:
        if self._pipeline is None:
            self._pipeline = await self._exit.enter_async_context(self._connection.pipeline())
        return self._pipeline

    async def _leave_pipeline(self) -> None:
        if self._pipeline is None:
            return
        try:
            await self._pipeline.sync()
        except psycopg.Error:
            await self._leave_failed_pipeline()
            raise
        await self._exit.aclose()
        self._pipeline = None

    async def _send_both(
        self, first: Query, second: Query
    ) -> tuple[psycopg.AsyncCursor[TupleRow], psycopg.AsyncCursor[TupleRow]]:
        """Two statements in one round trip; each ends a transaction or is one of its own."""
        pipeline = await self._enter_pipeline()  # a COPY has left it
        try:
            cursors = await self._connection.execute(first), await self._connection.execute(second)
            await pipeline.sync()
        except psycopg.Error:
            await self._leave_failed_pipeline()
            raise
        return cursors

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
