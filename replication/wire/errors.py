"""Errors that psycopg has no class for, and every error as the table of ``outcomes`` takes it."""

from __future__ import annotations

import psycopg

from replication.outcomes import Failure


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
