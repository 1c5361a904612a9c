"""The heartbeat's table: one row a writer, in it a counter; its SQL, and the rights it needs.

The exporter writes its next number on the primary in an ordinary transaction, so the number comes
to a replica as any data does: when the WAL that carries it is replayed there. The commit waits for
no standby (``WAIT_FOR_NO_STANDBY``): were it to wait, a quorum that is lost would stop the very
clock that shows how long it is lost.

A writer is one run of an exporter, with a name that is drawn anew, so numbers of another run are
never taken for one's own. Rows of runs that have ended are removed.
"""

from __future__ import annotations

from typing import LiteralString

from psycopg import sql

SCHEMA_STATEMENTS: tuple[LiteralString, ...] = (
    "CREATE SCHEMA IF NOT EXISTS bascule",
    """
    CREATE TABLE IF NOT EXISTS bascule.heartbeat (
        writer text PRIMARY KEY,
        number bigint NOT NULL CHECK (number > 0),
        written_at timestamptz NOT NULL DEFAULT now()
    )
    """,
)
"""Idempotent. Run by whoever owns the database."""

_GRANTS: tuple[LiteralString, ...] = (
    "GRANT USAGE ON SCHEMA bascule TO {role}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON bascule.heartbeat TO {role}",
    # Without it pg_stat_replication and pg_stat_wal_receiver show empty columns.
    "GRANT pg_read_all_stats TO {role}",
)

SESSION_SETTINGS = {"lock_timeout": "1s", "statement_timeout": "5s"}
"""Of every session of the exporter: it is in nobody's way."""

WAIT_FOR_NO_STANDBY = "SET synchronous_commit = local"
"""Said in every new session, after ``wire`` has made its own wait for a standby."""

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

PRUNE = "DELETE FROM bascule.heartbeat WHERE written_at < now() - interval '1 hour'"
"""The only use of a server's clock, against itself. A writer that lives on makes its row again."""


def grants(role: str) -> list[sql.Composed]:
    """What the exporter's role needs, and no more."""
    name = sql.Identifier(role)
    return [sql.SQL(grant).format(role=name) for grant in _GRANTS]
