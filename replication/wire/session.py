"""One connection as a unit of work uses it: few round trips, a commit with a reliable answer."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress

import anyio
import psycopg
from psycopg import sql
from psycopg.pq import ConnStatus, TransactionStatus
from psycopg.pq.abc import PGconn, PGresult
from psycopg.rows import TupleRow

from replication.wire.connection import Connection, closed_pgconn
from replication.wire.conninfo import SERVER_SETTINGS
from replication.wire.copying import send_blocks
from replication.wire.errors import CommitWarning, Ended, Refused, RolledBack
from replication.wire.exchange import Exchanges
from replication.wire.pages import BinaryRows, SelectedRows, copied, selected
from replication.wire.refusals import Meaning
from replication.wire.statement import (
    Params,
    Query,
    Statement,
    require_inside,
    rowcount_of,
    rows_of,
    statement_of,
)
from replication.wire.wal import timeline_of

ROLLBACK_DEADLINE_S = 1.0
"""A ROLLBACK that takes longer is not worth the connection it would save."""

_LOOK = (
    "SELECT pg_is_in_recovery(),"
    " CASE WHEN NOT pg_is_in_recovery() THEN pg_walfile_name(pg_current_wal_insert_lsn()) END,"
    " (SELECT system_identifier FROM pg_control_system()),"
    " current_setting('synchronous_commit'),"
    " current_setting('default_transaction_read_only') = 'on',"
    " pg_backend_pid(), current_setting('client_min_messages')"
)

_COMMIT, _ROLLBACK = Statement(b"COMMIT"), Statement(b"ROLLBACK")

_AS_PROMISED = Statement(
    b"SELECT set_config('client_min_messages', 'warning', false),"
    b" set_config('synchronous_commit', CASE current_setting('synchronous_commit')"
    b" WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false)"
)
"""Undoes what a function has set, before its COMMIT and for the next user of the session: a commit
that waits for no standby, or whose warning is filtered, would look like one that holds."""

_MAY_SET = frozenset({b"SET", b"RESET", b"DISCARD ALL", b"DO", b"CALL"})
"""Command tags of statements that may change settings; ``set_config`` is known by its name. Only
a function that hides its ``set_config`` escapes this."""

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
        self.is_read_only = False
        """Its transactions are, unless they say otherwise; as of the last answer."""
        self.made_s = time.monotonic()
        self.losses = 0
        """How often a primary had been lost when it was made (``Router``)."""
        self._connection = connection
        self._exchanges = Exchanges(connection)
        self._unsent: list[Statement] = []
        """Of a transaction that was begun: they travel with the next statement."""
        self._header: PGresult | None = None
        self._header_error: psycopg.Error | None = None
        self._prepares = True
        """Whether statements of the open transaction may be prepared."""
        self._has_own_settings = False
        """A statement may have changed what the promise of ``commit`` depends on."""
        self._last_words: Ended | None = None
        self._warning: tuple[str | None, str] | None = None
        """The first one since a statement was sent that may commit."""
        connection.add_notice_handler(self.on_notice)

    @property
    def is_broken(self) -> bool:
        """The connection is closed, or has turned out to be lost."""
        return self._connection.pgconn.status == ConnStatus.BAD

    @property
    def is_closed_here(self) -> bool:
        """It was good until it was closed on this side: by its borrower, or because a wait for an
        answer was cancelled. That says nothing about the server."""
        return self._connection.is_closed_here

    @property
    def has_ended(self) -> bool:
        """Its server has said, on it, that it ends it."""
        return self._connection.has_ended or self._last_words is not None

    def note(self, error: psycopg.Error) -> None:
        """``error`` is what the server has answered while the connection was on loan."""
        self._connection.note(error)

    def require_open(self) -> None:
        """Check that there is a connection to send a COMMIT on.

        Raises:
            psycopg.OperationalError: there is none, so no COMMIT was sent.
        """
        if self.is_broken:
            raise self.with_last_words(psycopg.OperationalError("the connection is closed"))

    def close_here(self) -> None:
        """Close the connection while it is on loan; see ``is_closed_here``."""
        self._connection.cut()

    @property
    def is_clean(self) -> bool:
        """Connected, in no transaction, and with nothing that waits to be sent."""
        status = self._connection.pgconn.transaction_status
        return not self._unsent and status == TransactionStatus.IDLE

    async def look(self) -> None:
        """Ask the server for its role, its timeline (a primary's) and its cluster.

        Whatever a role or a database has as its default, commits wait for their standby unless a
        transaction says otherwise.

        Raises:
            Refused: another program answers in the server's name, and its answer cannot be trusted.
        """
        (row,) = await self.fetch(_LOOK)
        in_recovery, wal_file, self.system_identifier, commit, self.is_read_only, *others = row
        self._require_nobody_between(*others)
        self.in_recovery = bool(in_recovery)
        self.timeline = 0 if wal_file is None else timeline_of(wal_file)
        if commit not in _WAITS_FOR_FLUSH:  # the role's or the database's own default
            await self.fetch("SET synchronous_commit = on")

    def _require_nobody_between(self, pid: int, min_messages: str) -> None:
        """A pooler may give every transaction another server, and what was asked for at connecting
        to none. It is known by its own process number, which it gave us instead of the server's.

        Raises:
            Refused: there is one.
        """
        told = self._connection.pgconn.backend_pid
        words = None
        if pid != told:
            words = f"it says that it is process {told}, and statements run in process {pid}"
        elif min_messages != SERVER_SETTINGS["client_min_messages"]:
            words = (
                f"what we set at connecting is not in force (client_min_messages: {min_messages})"
            )
        if words is not None:
            raise Refused(
                Meaning.START_REFUSED,
                None,
                f"{self.node} is not PostgreSQL itself, a pooler is in between: {words}",
            )

    async def fetch(self, query: Query, params: Params | None = None) -> list[TupleRow]:
        """Run one statement and return its rows.

        Raises:
            CommitWarning: outside a transaction the statement is its own commit, and the server
                warned about it.
        """
        own_commit = self.is_clean
        self._warning = None
        result = await self._exchange(statement_of(query, params, self._connection))
        if own_commit and self._warning is not None:
            raise CommitWarning(*self._warning)
        return rows_of(result, self._connection)

    def begin(
        self,
        header: Query | None = None,
        params: Params | None = None,
        *,
        begin: Query = "BEGIN",
        preamble: Sequence[Query] = (),
        prepare: bool = True,
    ) -> None:
        """Begin a transaction; nothing is sent before its first statement (or ``fetch_header``).

        Args:
            header: the statement whose row ``fetch_header`` returns.
            params: its parameters.
            begin: BEGIN with its modes.
            preamble: statements between the two, without rows.
            prepare: False keeps prepared statements, which others can spoil, out of it.
        """
        self._prepares = prepare
        self._header = self._header_error = None
        self._unsent = [
            statement_of(statement, None, self._connection) for statement in (begin, *preamble)
        ]
        if header is not None:
            self._unsent.append(statement_of(header, params, self._connection))

    async def execute(self, query: Query, params: Params | None) -> tuple[list[TupleRow], int]:
        """Run a statement of the open transaction: its rows, and how many rows it touched.

        Raises:
            psycopg.ProgrammingError: it would end the transaction; it was not sent.
        """
        statement = statement_of(query, params, self._connection)
        require_inside(statement)
        result = await self._exchange(statement)
        return rows_of(result, self._connection), rowcount_of(result)

    async def fetch_header(self) -> TupleRow:
        """The row that the statement given to ``begin`` returned.

        Raises:
            psycopg.Error: why there is none, even if the function has swallowed that error before.
        """
        if self._header_error is not None:
            raise self._header_error
        if self._unsent:
            self._header = (await self._send(()))[-1]
        if self._header is None:
            self.require_open()  # its wait was cancelled, and the function has swallowed that
        assert self._header is not None, "begin comes first"
        (row,) = rows_of(self._header, self._connection)
        return row

    async def commit(self, proof: Query | None = None) -> TupleRow | None:
        """Send COMMIT and wait for its answer.

        Args:
            proof: a statement that travels with it and is run right after it; its row is returned.

        Raises:
            CommitWarning: it may have taken effect.
            RolledBack: it did not.
        """
        self._warning = None
        statements = [_COMMIT]
        if proof is not None:
            statements.append(statement_of(proof, None, self._connection))
            if self._has_own_settings:
                statements.insert(0, _AS_PROMISED)
                self._has_own_settings = False
        try:
            results = await self._send(statements)
        except psycopg.Error as error:
            answered = (result.command_status for result in self._exchanges.answered)
            if error.sqlstate is not None and b"COMMIT" in answered:  # it is the proof that failed
                raise CommitWarning(error.sqlstate, str(error)) from error
            raise
        if self._warning is not None:
            raise CommitWarning(*self._warning)
        status = results[-1 if proof is None else -2].command_status
        if status != b"COMMIT":
            raise RolledBack(f"COMMIT was answered with {(status or b'nothing').decode()}")
        return None if proof is None else rows_of(results[-1], self._connection)[0]

    async def rollback(self) -> None:
        """Roll back what is open; where that does not work at once, close the connection."""
        self._unsent = []
        try:
            with anyio.fail_after(ROLLBACK_DEADLINE_S):
                if not self.is_clean:
                    await self._exchanges.send([_ROLLBACK])
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

    async def select(self, *queries: tuple[Query, Params | None]) -> list[SelectedRows]:
        """As ``execute``, several in one packet, with columns, size and the last row as text."""
        statements = [statement_of(*query, self._connection) for query in queries]
        for statement in statements:
            require_inside(statement)
            self._has_own_settings |= b"set_config" in statement.query
        results = await self._send(statements)
        return [selected(result, self._connection) for result in results[-len(statements) :]]

    async def copy_binary(self, query: Query, params: Params | None) -> BinaryRows:
        """The rows of ``query`` in binary, all at once; the parameters go into its text.

        Texts in them are in UTF-8: in this format a COPY knows no other encoding than the session's
        (PostgreSQL manual, COPY), so another one is changed for the rest of the transaction.
        """
        if self._connection.pgconn._encoding != "utf-8":
            await self.execute("SET LOCAL client_encoding = 'UTF8'", None)
        if self._unsent:
            self._header = (await self._send(()))[-1]
        text = psycopg.AsyncClientCursor(self._connection).mogrify(query, params)
        copy = f"COPY ({text}) TO STDOUT (FORMAT binary)"
        try:
            return await copied(self._connection, copy.encode(self._connection.pgconn._encoding))
        except psycopg.Error as error:
            raise self.with_last_words(error) from error.__cause__

    async def copy_in(self, statement: sql.SQL | sql.Composed, blocks: Iterable[bytes]) -> int:
        """Run a ``COPY ... FROM STDIN`` in the open transaction; the rows that it counted.

        libpq has no COPY in pipeline mode (PostgreSQL manual, 34.5): what waits to be sent goes
        first, in an exchange of its own.
        """
        if self._unsent:
            self._header = (await self._send(()))[-1]
        try:
            return await send_blocks(self._connection, statement, blocks)
        except psycopg.Error as error:
            raise self.with_last_words(error) from error.__cause__

    async def reset(self) -> None:
        """Undo whatever a user of it may have done to it (``SET``, ``LISTEN``, PREPARE...).

        Raises:
            psycopg.Error: it cannot be used any more.
        """
        await self.fetch("DISCARD ALL")
        # What was prepared is gone; psycopg notices that only the first time that it sends this.
        self._connection.unwatch()
        used, self._connection = self._connection, Connection(self._connection.pgconn)
        used.pgconn = closed_pgconn()
        self._exchanges = Exchanges(self._connection)
        await self._connection.set_autocommit(True)
        self._connection.add_notice_handler(self.on_notice)
        await self.look()
        self._has_own_settings = False

    async def for_lending(self) -> PGconn:
        """libpq's connection, with nothing to be sent, and unwatched; for ``lent`` alone.

        Raises:
            psycopg.Error: what was to be sent before has failed.
        """
        if self._unsent:
            self._header = (await self._send(()))[-1]
        self._connection.unwatch()
        self._has_own_settings = True  # as far as that can be known
        return self._connection.pgconn

    def abandon(self) -> None:
        """Close at once, without a message to the server, whatever state the connection is in."""
        self._connection.cut()

    async def close(self) -> None:
        """As ``abandon``, for callers that need not return at once."""
        self._connection.cut()
        with suppress(psycopg.Error):
            await self._connection.close()

    def scram_verifier(self, user: str, password: str) -> str:
        """What ``ALTER ROLE ... PASSWORD`` stores: the password itself never reaches the server,
        and so none of its logs (libpq ``PQencryptPasswordConn``)."""
        pgconn = self._connection.pgconn
        return pgconn.encrypt_password(password.encode(), user.encode(), b"scram-sha-256").decode()

    async def _exchange(self, statement: Statement) -> PGresult:
        """Send ``statement``, and before it what waits to be sent; its result."""
        begins = bool(self._unsent)
        results = await self._send((statement,))
        if begins:
            self._header = results[-2]
        if results[-1].command_status in _MAY_SET or b"set_config" in statement.query:
            self._has_own_settings = True
        return results[-1]

    async def _send(self, statements: Sequence[Statement]) -> list[PGresult]:
        """One exchange, of what waits to be sent and ``statements``; all results."""
        unsent, self._unsent = self._unsent, []
        try:
            return await self._exchanges.send([*unsent, *statements], prepare=self._prepares)
        except psycopg.Error as error:
            told = self.with_last_words(error)
            if unsent:  # the transaction has not begun, or is aborted: there is no header in it
                self._header_error = told
            raise told from told.__cause__

    def with_last_words(self, error: psycopg.Error) -> psycopg.Error:
        """``error``, or why the server closed the connection, if it has said so.

        What a server says when nothing was asked of it (an idle transaction's timeout) is a notice
        to libpq; the next statement then only finds that the stream has ended.
        """
        if self._last_words is None or not self.is_broken or error.sqlstate is not None:
            return error
        self._last_words.__cause__ = error
        return self._last_words

    def on_notice(self, notice: psycopg.errors.Diagnostic) -> None:
        if notice.severity_nonlocalized == "FATAL" and notice.sqlstate is not None:
            self._last_words = Ended(notice.sqlstate, notice.message_primary or "")
        if notice.severity_nonlocalized == "WARNING" and self._warning is None:
            self._warning = notice.sqlstate, notice.message_primary or "a warning"
