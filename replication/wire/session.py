"""One connection as a unit of work uses it: pipelined statements, a commit that is believed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any, LiteralString

import anyio
import psycopg
from psycopg import sql
from psycopg.pq import ConnStatus, TransactionStatus
from psycopg.rows import TupleRow

from replication.wire.connection import Connection
from replication.wire.copying import send_blocks
from replication.wire.errors import CommitWarning, Ended, RolledBack

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

_AS_PROMISED = (
    "SELECT set_config('client_min_messages', 'warning', false),"
    " set_config('synchronous_commit', CASE current_setting('synchronous_commit')"
    " WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false)"
)
"""Undoes what a function has set, before its COMMIT and for the next who gets the session: a
commit that waits for nobody, or whose warning is filtered, would look like one that holds."""

_MAY_SET = frozenset({"SET", "RESET", "DISCARD ALL", "DO", "CALL"})
"""Command tags of statements that may change settings; ``set_config`` is known by its name. Only
a function that hides its ``set_config`` escapes this."""


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
        self._header_error: psycopg.Error | None = None
        self._is_synced = True
        """Every statement that was sent was followed by a Sync, and its answer has come."""
        self._has_own_settings = False
        """A statement may have changed what the promise of ``commit`` depends on."""
        self._warnings: list[tuple[str | None, str]] = []
        self._last_words: Ended | None = None
        connection.add_notice_handler(self._on_notice)

    @property
    def is_clean(self) -> bool:
        """Connected, and in no transaction.

        libpq knows the state of the transaction only from the answer to a Sync: after a mere flush
        it says "idle" although a BEGIN was answered.
        """
        status = self._connection.pgconn.transaction_status
        return self._is_synced and status == TransactionStatus.IDLE

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
        self._is_synced = False
        self._header = self._header_error = None
        for statement in (begin, *preamble):
            await self._connection.execute(statement)
        self._header = await self._connection.execute(header, params)

    async def execute(self, query: Query, params: Params | None) -> tuple[list[TupleRow], int]:
        """Run a statement of the open transaction: its rows, and how many rows it touched."""
        cursor = await self._send_and_wait(query, params)
        rows = [] if cursor.description is None else await cursor.fetchall()
        return rows, cursor.rowcount

    async def fetch_header(self) -> TupleRow:
        """The row that the statement given to ``begin`` returned.

        Raises:
            psycopg.Error: why there is none, even if somebody has swallowed that error before.
        """
        if self._header_error is not None:
            raise self._header_error
        assert self._header is not None, "begin comes first"
        try:
            row = await self._header.fetchone()
        except psycopg.Error as error:
            told = self._with_last_words(error)
            raise told from told.__cause__
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
        if proof is not None and self._has_own_settings:
            await self._connection.execute(_AS_PROMISED)
            self._has_own_settings = False
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
                if not self._is_synced:
                    await self._sync_pipeline()
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
        self._is_synced = self._pipeline is None
        try:
            cursor = await self._connection.execute(query, params)
            if self._pipeline is not None:
                await self._pipeline.sync()
                self._is_synced = True
        except psycopg.Error as error:
            told = self._with_last_words(error)
            if self._header is not None and self._header.description is None:
                self._header_error = told  # sent before this statement, it failed before it
            await self._sync_pipeline()
            raise told from told.__cause__
        if cursor.statusmessage in _MAY_SET or "set_config" in _words_of(query):
            self._has_own_settings = True
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
        except psycopg.Error as error:
            told = self._with_last_words(error)
            await self._sync_pipeline()
            raise told from told.__cause__
        self._is_synced = True
        await self._exit.aclose()
        self._pipeline = None

    async def _send_both(
        self, first: Query, second: Query
    ) -> tuple[psycopg.AsyncCursor[TupleRow], psycopg.AsyncCursor[TupleRow]]:
        """Two statements in one round trip; each ends a transaction or is one of its own.

        Raises:
            CommitWarning: the server answered the first one, and the second one with an error.
        """
        pipeline = await self._enter_pipeline()  # a COPY has left it
        ahead: psycopg.AsyncCursor[TupleRow] | None = None
        self._is_synced = False
        try:
            ahead = await self._connection.execute(first)
            after = await self._connection.execute(second)
            await pipeline.sync()
            self._is_synced = True
        except psycopg.Error as error:
            told = self._with_last_words(error)
            await self._sync_pipeline()
            if error.sqlstate is not None and ahead is not None and ahead.statusmessage == "COMMIT":
                raise CommitWarning(error.sqlstate, str(error)) from error
            raise told from told.__cause__
        return ahead, after

    async def _sync_pipeline(self) -> None:
        """After an error the server skips everything up to the next Sync: send one.

        It raises the same error again, or "pipeline aborted" (the first one is what counts), and
        then leaves answers behind: until all of them are in, it is not known where the server is.
        """
        while self._pipeline is not None and not self._connection.closed:
            with suppress(psycopg.Error):
                await self._pipeline.sync()
            if not self._pipeline.result_queue:
                self._is_synced = True
                return

    def _with_last_words(self, error: psycopg.Error) -> psycopg.Error:
        """``error``, or why the server closed the connection, if it has said so.

        psycopg reports only that the stream has ended. What the server said when nothing was asked
        of it (an idle transaction's timeout) is a notice to libpq; what it says in the middle of a
        statement is lost, which is why the table treats a lost connection like 57P01.
        """
        is_gone = self._connection.pgconn.status == ConnStatus.BAD
        if self._last_words is None or not is_gone or error.sqlstate is not None:
            return error
        self._last_words.__cause__ = error
        return self._last_words

    def _on_notice(self, notice: psycopg.errors.Diagnostic) -> None:
        if notice.severity_nonlocalized == "FATAL" and notice.sqlstate is not None:
            self._last_words = Ended(notice.sqlstate, notice.message_primary or "")
        if notice.severity_nonlocalized == "WARNING":
            self._warnings.append((notice.sqlstate, notice.message_primary or "a warning"))


def _words_of(query: Query) -> str:
    """The text of ``query``, for a look at what it may do."""
    return query if isinstance(query, str) else repr(query)
