"""The ledger of migrations, and the lock that those who migrate take.

**A commit in doubt** is resolved through the ledger. Whoever reads it holds the lock, and the lock
is the transaction's: so every earlier attempt on this primary has ended, and its row is there or
will never be. That the answer survives a failover is seen to by a write: ``acknowledge`` has a
commit of its own, later in the same WAL than what it saw, under the same synchronous rule
(``unit_rows``).
"""

from __future__ import annotations

import hashlib

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
        PRIMARY KEY (series, id)
    )
    """,
)

LOCK_KEY = int.from_bytes(hashlib.sha256(b"bascule.migration").digest()[:8], "big", signed=True)
"""One lock for all series of a database: the first who comes makes the ledger."""

_EXISTS = (
    "SELECT to_regnamespace('bascule') IS NOT NULL, to_regclass('bascule.migration') IS NOT NULL"
)
_APPLIED = "SELECT id, digest FROM bascule.migration WHERE series = %s ORDER BY number"
_INSERT = "INSERT INTO bascule.migration (series, id, number, digest) VALUES (%s, %s, %s, %s)"
_ACKNOWLEDGE = "UPDATE bascule.migration SET asked = asked + 1 WHERE series = %s AND id = %s"


async def begin_locked(session: Session) -> bool:
    """Begin a transaction that holds the lock; False if somebody else has it.

    It is tried and not waited for: a transaction that waits holds a snapshot, and so holds up
    whoever has the lock if he waits for old snapshots. ``Session.begin`` puts the session into
    pipeline mode, where the server refuses more than one command in a statement: no COMMIT can
    hide behind a semicolon.
    """
    session.begin("SELECT pg_try_advisory_xact_lock(%s)", (LOCK_KEY,))
    return bool((await session.fetch_header())[0])


async def read_applied(session: Session, series: str) -> dict[str, str]:
    """Id and digest of what is applied, in order. Makes the ledger where there is none."""
    has_schema, has_ledger = (await session.fetch(_EXISTS))[0]
    if not has_schema:  # IF NOT EXISTS asks for the right to create it even where it is there
        await session.fetch("CREATE SCHEMA bascule")
    if not has_ledger:
        for statement in LEDGER_STATEMENTS:
            await session.fetch(statement)
    return dict(await session.fetch(_APPLIED, (series,)))


async def enter(session: Session, series: str, id_: str, number: int, digest: str) -> None:
    """The row of a migration, in its transaction."""
    await session.fetch(_INSERT, (series, id_, number, digest))


async def acknowledge(session: Session, series: str, id_: str) -> None:
    """Write, so that the commit of this transaction proves what it saw."""
    await session.fetch(_ACKNOWLEDGE, (series, id_))
