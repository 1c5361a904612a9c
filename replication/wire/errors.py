"""Errors that psycopg has no class for, and every error as the table of ``failures`` takes it."""

from __future__ import annotations

from typing import Literal, Protocol, cast

import psycopg

from replication.failures import Failure, Severity
from replication.wire.refusals import Meaning


class Liveness(Protocol):
    """The state of a connection, as a ``Session`` reports it."""

    @property
    def is_broken(self) -> bool:
        """It is closed, or has turned out to be lost."""
        ...

    @property
    def is_closed_here(self) -> bool:
        """It was good until it was closed on this side."""
        ...

    @property
    def has_ended(self) -> bool:
        """Its server has said, on it, that it ends it."""
        ...


class Lost(psycopg.OperationalError):
    """The server is silent, or is not the one that it should be: its connection counts as lost."""


class CommitWarning(psycopg.OperationalError):
    """The server answered COMMIT with a warning: the commit is in doubt."""

    def __init__(self, sqlstate: str | None, message: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class NotSent(psycopg.ProgrammingError):
    """Nothing could be sent, not even a COMMIT: the program had left something else under way on
    the connection, which is closed."""

    def __init__(self) -> None:
        super().__init__("a COPY, a stream of rows or a pipeline was left open on the connection")


class RolledBack(psycopg.InternalError):
    """The server answered COMMIT with ROLLBACK: an error in the transaction had been swallowed."""

    sqlstate = "25P02"


class NotPrimary(Lost):
    """The server is in recovery, or on a timeline that is history, or of another cluster."""

    sqlstate = "25006"


class Ended(Lost):
    """The server closed the connection, and said why."""

    def __init__(self, sqlstate: str, message: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class StaleStatement(psycopg.OperationalError):
    """Another session has spoilt what this one had prepared. The transaction is rolled back; run
    again, it does not fail for this."""

    def __init__(self, sqlstate: str | None, message: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class Refused(psycopg.OperationalError):
    """A server refused a connection, and said why; or libpq refused the server (no SQLSTATE)."""

    def __init__(self, meaning: Meaning, sqlstate: str | None, message: str) -> None:
        super().__init__(message)
        self.meaning = meaning
        self.sqlstate = sqlstate


def final_refusal(error: BaseException) -> Refused | None:
    """``error``, if it is a refusal to connect that would come again."""
    return error if isinstance(error, Refused) and error.meaning.is_final else None


def failure_of(error: psycopg.Error, session: Liveness | None = None) -> Failure:
    """``error`` as the table of ``failures`` takes it. To be called as soon as it is caught: what
    is done with the session afterwards may close it.

    Args:
        error: what was raised.
        session: whose connection it was raised on, lent or not; None if there was none yet.
    """
    sqlstate, message = error.sqlstate, str(error)
    if isinstance(error, CommitWarning | NotSent):
        is_unsent = isinstance(error, NotSent)
        kind: Literal["client", "warning"] = "client" if is_unsent else "warning"
        return Failure(kind=kind, sqlstate=sqlstate, message=message, is_unsent=is_unsent)
    if isinstance(error, StaleStatement):
        return Failure(
            kind="error",
            sqlstate=sqlstate,
            message=message,
            severity="ERROR",
            is_stale_statement=True,
        )
    severity, is_end = _severity_of(error, session), is_fatal(error)
    is_gone = session.is_broken if session is not None else _is_of_connecting(error)
    is_said = isinstance(error, Lost) or (is_end and (session is None or session.has_ended))
    if is_gone and not is_said and session is not None and session.is_closed_here:
        closed = f"{message.strip()} (the connection was closed on this side)"
        return Failure(kind="client", message=closed)
    if is_gone or is_said:
        return Failure(kind="lost", sqlstate=sqlstate, message=message, severity=severity)
    if sqlstate is None or is_end:  # the end of another server's session does not end ours
        return Failure(kind="client", sqlstate=sqlstate, message=message)
    return Failure(
        kind="error",
        sqlstate=sqlstate,
        message=message,
        severity=severity,
        source_function=error.diag.source_function,
    )


def is_fatal(error: psycopg.Error) -> bool:
    """A server has said, in ``error``, that it ends the session."""
    return error.pgresult is not None and _severity_of(error, None) in ("FATAL", "PANIC")


def _is_of_connecting(error: psycopg.Error) -> bool:
    return error.sqlstate is None and isinstance(
        error, psycopg.OperationalError | psycopg.InterfaceError
    )


def _severity_of(error: psycopg.Error, session: Liveness | None) -> Severity | None:
    """Field ``V`` of the server's message; PostgreSQL sends it since 9.6, poolers do not.

    A SQLSTATE without a message is one that a function raised by itself, or is our own.
    """
    if error.pgresult is None:
        return None if session is None or error.sqlstate is None else "ERROR"
    word = error.diag.severity_nonlocalized
    return cast(Severity, word) if word in ("ERROR", "FATAL", "PANIC") else None


def is_id_row_conflict(error: psycopg.Error, table: tuple[str, str]) -> bool:
    """Whether ``error`` is a duplicate key of ``table`` (schema, name)."""
    diag = error.diag
    return error.sqlstate == "23505" and (diag.schema_name, diag.table_name) == table
