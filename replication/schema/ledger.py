"""The ledger of migrations, and the lock for migrating.

**A commit in doubt** is resolved through the ledger. A process that reads it holds the lock, and
the lock is the transaction's: so every earlier attempt on this primary has ended, and its row is
there or will never be. A write makes the answer survive a failover: ``acknowledge`` has a commit of
its own, later in the same WAL than what it saw, under the same synchronous rule (``id_row``).
The random key of the attempt says **whose** row it is: after a failover that lost our commit,
another process may have applied the same migration before we came to look.

**The column of the key** is added by the first process that migrates with this version, under the
lock. Processes of earlier versions go on working: they leave it NULL.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from replication.wire import Session

LEDGER_STATEMENTS = (
    """
    CREATE TABLE bascule.migration (
        series text NOT NULL,
        id text NOT NULL,
        number integer NOT NULL CHECK (number > 0),
        digest text NOT NULL,
        asked integer NOT NULL DEFAULT 0,
        applied_at timestamptz NOT NULL DEFAULT now(),
        applied_by text NOT NULL DEFAULT current_user,
        attempt_key uuid,
        PRIMARY KEY (series, id)
    )
    """,
)

KEY_STATEMENT = "ALTER TABLE bascule.migration ADD COLUMN attempt_key uuid"

LOCK_KEY = int.from_bytes(hashlib.sha256(b"bascule.migration").digest()[:8], "big", signed=True)
"""One lock for all series of a database: the first process that gets it creates the ledger."""

_EXISTS = """
    SELECT to_regnamespace('bascule') IS NOT NULL, to_regclass('bascule.migration') IS NOT NULL,
        EXISTS (
            SELECT FROM pg_attribute WHERE attrelid = to_regclass('bascule.migration')
            AND attname = 'attempt_key' AND NOT attisdropped
        )
"""
_APPLIED = "SELECT id, digest, attempt_key FROM bascule.migration WHERE series = %s ORDER BY number"
_INSERT = (
    "INSERT INTO bascule.migration (series, id, number, digest, attempt_key)"
    " VALUES (%s, %s, %s, %s, %s)"
)
_ACKNOWLEDGE = "UPDATE bascule.migration SET asked = asked + 1 WHERE series = %s AND id = %s"


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedMigration:
    """A migration that is applied; ``attempt_key`` is None if an earlier version applied it."""

    digest: str
    attempt_key: UUID | None


async def begin_locked(session: Session, *, lock_timeout: str) -> bool:
    """Begin a transaction that holds the lock; False if another process has it.

    It tries the lock and does not wait for it: a waiting transaction holds a snapshot, which would
    block the process that has the lock if that one waits for old snapshots. ``Session.begin`` puts
    the session into pipeline mode, where the server refuses more than one command in a statement:
    no COMMIT can hide behind a semicolon.

    Args:
        session: to the primary.
        lock_timeout: for every other lock of the transaction, as PostgreSQL writes it.
    """
    session.begin(
        "SELECT pg_try_advisory_xact_lock(%s), set_config('lock_timeout', %s, true)",
        (LOCK_KEY, lock_timeout),
    )
    return bool((await session.fetch_header())[0])


async def read_applied(session: Session, series: str) -> Mapping[str, AppliedMigration]:
    """What is applied, by id, in order. Makes the ledger, or its column, where there is none."""
    has_schema, has_ledger, has_key = (await session.fetch(_EXISTS))[0]
    if not has_schema:  # IF NOT EXISTS needs the right to create it even if it exists
        await session.fetch("CREATE SCHEMA bascule")
    if not has_ledger:
        for statement in LEDGER_STATEMENTS:
            await session.fetch(statement)
    elif not has_key:
        await session.fetch(KEY_STATEMENT)
    rows = await session.fetch(_APPLIED, (series,))
    return {id_: AppliedMigration(digest=digest, attempt_key=key) for id_, digest, key in rows}


async def enter(  # noqa: PLR0913 (one a column)
    session: Session, series: str, id_: str, *, number: int, digest: str, attempt_key: UUID
) -> None:
    """The row of a migration, in its transaction."""
    await session.fetch(_INSERT, (series, id_, number, digest, attempt_key))


async def acknowledge(session: Session, series: str, id_: str) -> None:
    """Write, so that the commit of this transaction proves what it saw."""
    await session.fetch(_ACKNOWLEDGE, (series, id_))
