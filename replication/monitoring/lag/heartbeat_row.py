"""The heartbeat's table: one row a writer, in it a counter; its SQL, and the rights it needs.

The exporter writes its next number on the primary in an ordinary transaction, so the number comes
to a replica as any data does: when the WAL that carries it is replayed there. The commit does not
wait for a standby (``WAIT_FOR_NO_STANDBY``): otherwise the loss of a quorum would stop the clock
that shows how long it has been lost.

A writer is one run of an exporter, with a new random name, so it never mistakes the numbers of
another run for its own. Rows of runs that have ended are removed.
"""

from __future__ import annotations

from typing import LiteralString

from psycopg import sql

from replication.wire import Session

_TABLE: tuple[LiteralString, ...] = (
    "CREATE SCHEMA IF NOT EXISTS bascule",
    """
    CREATE TABLE IF NOT EXISTS bascule.heartbeat (
        writer text PRIMARY KEY,
        number bigint NOT NULL CHECK (number > 0),
        written_at timestamptz NOT NULL DEFAULT now()
    )
    """,
)
_GRANTS: tuple[LiteralString, ...] = (
    "GRANT USAGE ON SCHEMA bascule TO {role}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON bascule.heartbeat TO {role}",
    # Without it pg_stat_replication and pg_stat_wal_receiver show empty columns.
    "GRANT pg_read_all_stats TO {role}",
)

SESSION_SETTINGS = {"lock_timeout": "1s", "statement_timeout": "5s"}
"""Of every session of the exporter, so that it does not disturb others."""

WAIT_FOR_NO_STANDBY = "SET synchronous_commit = local"
"""Sent in every new session, after ``wire`` has set its own to wait for a standby."""

BEAT = """
WITH before AS (SELECT number FROM bascule.heartbeat WHERE writer = %(writer)s)
INSERT INTO bascule.heartbeat AS h (writer, number) VALUES (%(writer)s, %(number)s)
ON CONFLICT (writer) DO UPDATE SET number = EXCLUDED.number, written_at = now()
    WHERE h.number < EXCLUDED.number
RETURNING (SELECT number FROM before)
"""
"""Returns what the row had before (NULL: there was none). No row comes back when it has a higher
number by now: a late packet of ours changes nothing."""

READ = "SELECT number FROM bascule.heartbeat WHERE writer = %s"

PRUNE = """
DELETE FROM bascule.heartbeat WHERE writer <> %(writer)s
    AND written_at < (SELECT max(written_at) FROM bascule.heartbeat) - interval '1 day'
"""
"""The rows of runs that have ended. Their times are compared with each other, not with the server's
clock: on a primary whose clock is ahead the rows of writers that run would be old, and who finds
his row gone forgets how long a replica has been behind."""


def setup_statements(role: str) -> tuple[sql.Composed, ...]:
    """What the owner of the database runs once: the table, and the rights of the exporter's
    ``role``, which gets no more than it needs. Idempotent."""
    name = sql.Identifier(role)
    return tuple(sql.SQL(text.strip()).format(role=name) for text in (*_TABLE, *_GRANTS))


def setup_text(role: str) -> str:
    """``setup_statements`` as a script."""
    return "\n".join(f"{statement.as_string()};" for statement in setup_statements(role))


async def install(session: Session, role: str) -> None:
    """Run ``setup_statements``.

    Raises:
        psycopg.Error: the server refused, or was lost; run it again.
    """
    for statement in setup_statements(role):
        await session.fetch(statement)
