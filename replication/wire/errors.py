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


class Ended(psycopg.OperationalError):
    """The server closed the connection, and said why."""

    def __init__(self, sqlstate: str, message: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class Refused(psycopg.OperationalError):
    """The server refused a connection, with the SQLSTATE that its words stand for."""

    def __init__(self, sqlstate: str, message: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


# libpq does not pass on the SQLSTATE of a refused connection, only the words
# (src/backend/storage/lmgr/proc.c, utils/init/postinit.c, tcop/backend_startup.c, libpq/auth.c).
# A server that speaks another language is treated like one that cannot be reached.
_WORDS = (
    ("53300", ("too many clients already", "remaining connection slots", "too many connections")),
    ("57P03", ("the database system is",)),
    ("28P01", ("password authentication failed", "no password supplied")),
    ("28000", ("no pg_hba.conf entry", "authentication method requirement", 'role "')),
    ("3D000", ('database "',)),
)


def refusal_of(error: psycopg.OperationalError) -> psycopg.OperationalError:
    """``error`` of a failed connect, with a SQLSTATE where its words have one."""
    words = str(error)
    for sqlstate, parts in _WORDS:
        if any(part in words for part in parts):
            return Refused(sqlstate, words)
    return error


def is_not_admitted(sqlstate: str | None) -> bool:
    """The server is there, and does not want us: another try would be refused again."""
    return sqlstate is not None and (sqlstate[:2] == "28" or sqlstate == "3D000")


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
