"""The tables of this package, as migrations of the series ``bascule``, and who may use them.

A migration that was published is never changed: a test holds their digests. What existed before
there were migrations (``bascule.unit_of_work``, made by ``unit_rows.SCHEMA_STATEMENTS``) is taken
over as it is, since the first migration makes only what is missing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import LiteralString

from psycopg import sql

from replication import unit_rows
from replication.bulk import ledger as bulk_ledger
from replication.schema.migrate import DEADLINE_S, Migrated, migrate
from replication.schema.migration import Migration
from replication.storage import Storage
from replication.wire import Session

SERIES = "bascule"

OWN_MIGRATIONS = (
    Migration(
        id="0001-unit-of-work",
        statements=tuple(sql.SQL(text) for text in unit_rows.SCHEMA_STATEMENTS),
    ),
    Migration(
        id="0002-bulk",
        statements=tuple(sql.SQL(text) for text in bulk_ledger.SCHEMA_STATEMENTS),
    ),
)

_GRANTS: tuple[LiteralString, ...] = (
    "GRANT USAGE ON SCHEMA bascule TO {role}",
    "GRANT SELECT, INSERT, UPDATE ON bascule.unit_of_work TO {role}",
    "GRANT SELECT, INSERT, UPDATE ON bascule.bulk_load TO {role}",
    "GRANT SELECT, INSERT ON bascule.bulk_chunk TO {role}",
)
_PRUNE_GRANTS: tuple[LiteralString, ...] = (
    "GRANT USAGE ON SCHEMA bascule TO {role}",
    "GRANT SELECT, DELETE ON bascule.unit_of_work TO {role}",
    "GRANT SELECT ON bascule.bulk_load TO {role}",
    "GRANT SELECT, DELETE ON bascule.bulk_chunk TO {role}",
)


async def install(
    target: Storage | Session,
    *,
    deadline_s: float = DEADLINE_S,
    clock: Callable[[], float] = time.monotonic,
) -> Migrated:
    """Make the package's tables, or bring them to this version. Idempotent.

    Args:
        target: as the role that shall own the tables; it needs CREATE on the database the first
            time.

    Raises:
        MigrationChanged, MigrationFailed, MigrationLate, MigrationUnknown: see ``migrate``.
    """
    return await migrate(target, OWN_MIGRATIONS, series=SERIES, deadline_s=deadline_s, clock=clock)


def grant_statements(role: str, *, prune: bool = False) -> tuple[sql.Composed, ...]:
    """What a role needs to run units of work and bulk loads, or, with ``prune``, to prune.

    An application need not have the right to delete what proves its writes: give ``prune`` to a
    role of its own.
    """
    grants = _PRUNE_GRANTS if prune else _GRANTS
    return tuple(sql.SQL(grant).format(role=sql.Identifier(role)) for grant in grants)


def grants_text(role: str, *, prune: bool = False) -> str:
    """``grant_statements`` as a script."""
    return "".join(f"{grant.as_string(None)};\n" for grant in grant_statements(role, prune=prune))


async def grant(session: Session, role: str, *, prune: bool = False) -> None:
    """Run ``grant_statements``; idempotent.

    Args:
        session: of the owner of the tables.

    Raises:
        psycopg.Error: the server refused, or was lost; run it again.
    """
    for statement in grant_statements(role, prune=prune):
        await session.fetch(statement)
