"""Statements that travel together: one packet there, one wait, all answers back.

libpq's pipeline mode (PostgreSQL manual, 34.5), used without psycopg's own pipeline, which sends a
packet of its own for each statement (``pipeline_communicate``) and wakes the server for each.
docs/decisions/0014-one-packet.md

Invariants: after an exchange the connection is out of pipeline mode, with no answer outstanding, or
it is closed. An error makes the server skip the rest up to the end of the exchange, so nothing that
was sent behind a failed statement is ever run.

A prepared statement may fail because of what others did (``prepared.is_stale``). An exchange that
began outside of a transaction has left nothing then, and is sent once more, unprepared; in a
transaction the error is a ``StaleStatement``, and the caller that began it may begin it again.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus, PipelineStatus, TransactionStatus
from psycopg.pq.abc import PGresult

from replication.wire.connection import Connection, is_under_way
from replication.wire.errors import NotSent, StaleStatement
from replication.wire.prepared import Prepared, is_stale
from replication.wire.statement import Statement

_OK = (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK, ExecStatus.EMPTY_QUERY)
_COPIES = (ExecStatus.COPY_IN, ExecStatus.COPY_OUT, ExecStatus.COPY_BOTH)
_SYNC = ExecStatus.PIPELINE_SYNC
_IDLE = TransactionStatus.IDLE


class Exchanges:
    """Exchanges on one connection, one at a time."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._prepared = Prepared()
        self.answered: list[PGresult] = []
        """Of the last exchange, the results before its first error."""

    async def send(
        self, statements: Sequence[Statement], *, prepare: bool = True
    ) -> list[PGresult]:
        """Run ``statements`` in one round trip.

        Args:
            prepare: False sends each for itself, so that what others do to prepared statements
                cannot make it fail.

        Returns:
            A result for each.

        Raises:
            NotSent: something else is under way: the last user of the connection left it so.
            StaleStatement: in a transaction, which it has aborted: another try would not fail so.
            psycopg.Error: of the first that failed; those behind it were not run. Without a
                SQLSTATE the connection is lost.
        """
        async with self._connection.lock:
            self._require_free()
            was_idle = self._connection.pgconn.transaction_status == _IDLE
            try:
                results = await self._send(statements, prepare=prepare)
            except StaleStatement:
                if not was_idle or any(one.command_status == b"COMMIT" for one in self.answered):
                    raise
                await self._start_over()
                results = await self._send(statements, prepare=prepare)
            stale = self._prepared.stale(results)
            if stale is not None:
                await self._send([stale], prepare=False)
        return results

    def _require_free(self) -> None:
        """Check that statements can be sent; else what is open is given up with the connection."""
        pgconn = self._connection.pgconn
        if pgconn.status == ConnStatus.OK and (
            is_under_way(pgconn) or pgconn.pipeline_status != PipelineStatus.OFF
        ):
            self._connection.cut()
            raise NotSent

    async def _start_over(self) -> None:
        """Undo an exchange that began outside of a transaction and has failed."""
        open_one = self._connection.pgconn.transaction_status != _IDLE
        undo = [Statement(b"ROLLBACK")] if open_one else []
        await self._send([*undo, Statement(b"DEALLOCATE ALL")], prepare=False)

    async def _send(self, statements: Sequence[Statement], *, prepare: bool) -> list[PGresult]:
        pgconn, self.answered = self._connection.pgconn, []
        try:
            pgconn.enter_pipeline_mode()
            new = [self._put(statement, prepare=prepare) for statement in statements]
            pgconn.pipeline_sync()
            await self._connection.flush()
            answers = await self._receive()
            pgconn.exit_pipeline_mode()
        except BaseException:
            self._connection.cut()
            raise
        results = self._sort(statements, new, answers) if any(new) else answers
        self.answered = [result for result in results if result.status in _OK]
        if answers[-1].status not in _OK:
            error, failed = self._error(answers[-1]), len(self.answered)
            statement, is_new = statements[failed], new[failed] is not None
            was_named = prepare and (is_new or self._prepared.name_of(statement))
            if was_named and is_stale(error, statement, is_new=is_new):
                self._prepared.forget(error)
                raise StaleStatement(error.sqlstate, str(error)) from error
            raise error
        return results

    def _sort(
        self,
        statements: Sequence[Statement],
        names: Sequence[bytes | None],
        answers: Sequence[PGresult],
    ) -> list[PGresult]:
        """Take out the answers to preparations, also before an error: they outlive a rollback."""
        results: list[PGresult] = []
        taken = iter(answers)
        for statement, name in zip(statements, names, strict=True):
            if name is not None:
                prepared = next(taken, None)
                if prepared is not None and prepared.status in _OK:
                    self._prepared.added(statement, name)
            result = next(taken, None)
            if result is not None:
                results.append(result)
        return results

    def _put(self, statement: Statement, *, prepare: bool) -> bytes | None:
        """Add one to what is sent; its name if it is prepared on the way."""
        pgconn, new = self._connection.pgconn, None
        query, params, types, formats = statement
        name = self._prepared.name_of(statement) if prepare else None
        if name is None:
            name = new = self._prepared.new_name(statement) if prepare else None
            if name is None:
                pgconn.send_query_params(query, params, param_types=types, param_formats=formats)
                return None
            pgconn.send_prepare(name, query, param_types=types)
        pgconn.send_query_prepared(name, params, param_formats=formats)
        return new

    async def _receive(self) -> list[PGresult]:
        """Every answer up to the end of the exchange; the first error ends the list."""
        connection, pgconn = self._connection, self._connection.pgconn
        answers: list[PGresult] = []
        is_failed = False
        while True:
            try:
                while pgconn.is_busy():
                    await connection.receive()
            except psycopg.OperationalError:
                if is_failed:  # the server said why before it hung up
                    raise self._error(answers[-1]) from None
                raise
            answer = pgconn.get_result()
            if answer is None:
                if pgconn.status == ConnStatus.BAD:
                    raise psycopg.OperationalError(pgconn.get_error_message())
                continue
            if answer.status == _SYNC:
                return answers
            if answer.status in _COPIES:
                raise self._error(answer)
            if not is_failed:
                answers.append(answer)
            is_failed = is_failed or answer.status not in _OK

    def _error(self, answer: PGresult) -> psycopg.Error:
        if answer.status == ExecStatus.FATAL_ERROR:
            error = error_from_result(answer, encoding=self._connection.pgconn._encoding)
            self._connection.note(error)
            return error
        kind = ExecStatus(answer.status).name
        return psycopg.ProgrammingError(f"a statement of this kind cannot be run here ({kind})")
