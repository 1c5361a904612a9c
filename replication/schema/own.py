"""The tables of an application, as migrations of the series ``bascule``; roles, and their rights.

A migration that was published is never changed: a test holds their digests. What existed before
there were migrations (``bascule.unit_of_work``, made by ``id_row.SCHEMA_STATEMENTS``) is taken
over as it is, since those on that table make only what is missing. The exporter has a table of its
own, which is in no migration: an application needs none of it (``lag.heartbeat_row``).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import LiteralString

from psycopg import sql

from replication.bulk import ledger as bulk_ledger
from replication.schema.migrate import DEADLINE_S, Migrated, migrate
from replication.schema.migration import Migration
from replication.storage import Storage
from replication.units import id_row
from replication.wire import Session

SERIES = "bascule"

OWN_MIGRATIONS = (
    Migration(
        id="0001-unit-of-work",
        statements=tuple(sql.SQL(text) for text in id_row.TABLE_STATEMENTS),
    ),
    Migration(
        id="0002-bulk",
        statements=tuple(sql.SQL(text) for text in bulk_ledger.SCHEMA_STATEMENTS),
    ),
    Migration(
        id="0003-attempt-key",
        statements=tuple(sql.SQL(text) for text in id_row.KEY_STATEMENTS),
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

_MAKE_ROLE: LiteralString = """BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {text}) THEN CREATE ROLE {role}; END IF;
END"""


def role_statements(role: str, verifier: str) -> tuple[sql.Composed, ...]:
    """What makes a role that may log in, or gives the one that is there this password. Idempotent.

    Args:
        verifier: of its password (SCRAM, made on this side), so that no server log can show it.
    """
    name = sql.Identifier(role)
    make = sql.SQL(_MAKE_ROLE).format(text=sql.Literal(role), role=name)
    return (
        sql.SQL("DO {}").format(sql.Literal(make.as_string())),
        sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(name, sql.Literal(verifier)),
    )


async def make_role(session: Session, role: str, password: str) -> None:
    """Run ``role_statements``.

    Raises:
        psycopg.Error: the server refused, or was lost; run it again.
    """
    for statement in role_statements(role, session.scram_verifier(role, password)):
        await session.fetch(statement)


async def install(
    target: Storage | Session,
    *,
    deadline_s: float = DEADLINE_S,
    clock: Callable[[], float] = time.monotonic,
) -> Migrated:
    """Create the package's tables, or bring them to this version. Idempotent.

    Args:
        target: connects as the role that is to own the tables; it needs CREATE on the database the
            first time.

    Raises:
        MigrationChanged, MigrationFailed, MigrationLate, MigrationUnknown: see ``migrate``.
    """
    return await migrate(target, OWN_MIGRATIONS, series=SERIES, deadline_s=deadline_s, clock=clock)


def grant_statements(role: str, *, prune: bool = False) -> tuple[sql.Composed, ...]:
    """What a role needs to run units of work and bulk loads, or, with ``prune``, to prune.

    An application does not need the right to delete what proves its writes: give ``prune`` to
    another role.
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
