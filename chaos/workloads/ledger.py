"""The ledger workload: every operation adds one entry with an id of its own, and no more.

Because entries are never changed, what must be in the ledger at the end follows from the answers
alone: what was acknowledged is there once, what failed is not there, what is in doubt is there
once or not at all.

``bascule.ledger.id`` is deliberately **not unique**. A unique key would turn an entry applied
twice into an error, and the drill could never see what it is there to find.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import LiteralString

from psycopg import sql

from replication.unit_rows import SCHEMA_STATEMENTS
from replication.units import Transaction
from replication.wire import Session

LEDGER_STATEMENTS: tuple[LiteralString, ...] = (
    """
    CREATE TABLE IF NOT EXISTS bascule.ledger (
        seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        id text NOT NULL,
        site text NOT NULL,
        worker integer NOT NULL,
        n integer NOT NULL,
        written_at timestamptz NOT NULL DEFAULT clock_timestamp()
    )
    """,
)

INSERT_ENTRY = "INSERT INTO bascule.ledger (id, site, worker, n) VALUES (%s, %s, %s, %s)"

READ_ENTRIES = "SELECT id, ledger::text FROM bascule.ledger ORDER BY seq"
"""The id, and every column as text, in the order of the ledger. Two nodes render a row alike only
under the same ``READ_SETTINGS``."""

READ_SETTINGS = {"TimeZone": "UTC", "DateStyle": "ISO", "default_transaction_read_only": "on"}

_GRANTS = (
    "GRANT USAGE ON SCHEMA bascule TO {role}",
    "GRANT SELECT, INSERT, UPDATE ON bascule.unit_of_work TO {role}",
    "GRANT SELECT, INSERT ON bascule.ledger TO {role}",
    # So that the final read can say on which timeline a replica is (pg_stat_wal_receiver).
    "GRANT pg_read_all_stats TO {role}",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of the ledger; ``n`` counts the operations of its worker."""

    id: str
    site: str
    worker: int
    n: int


async def add_entry(transaction: Transaction, entry: Entry) -> None:
    """The unit of work of this workload."""
    await transaction.execute(INSERT_ENTRY, (entry.id, entry.site, entry.worker, entry.n))


async def prepare(admin: Session, *, role: str, password: str) -> None:
    """Make the role that the load connects as, the schema and the tables. Idempotent.

    Args:
        admin: a session of a superuser to the primary.
        role: its name; it gets what the load and the final read need, and nothing else.
        password: stored as a SCRAM verifier made on this side, so no server log can show it.

    Raises:
        psycopg.Error: the server refused, or was lost.
    """
    name = sql.Identifier(role)
    if not await admin.fetch("SELECT FROM pg_roles WHERE rolname = %s", (role,)):
        await admin.fetch(sql.SQL("CREATE ROLE {}").format(name))
    await admin.fetch(
        sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(
            name, sql.Literal(admin.scram_verifier(role, password))
        )
    )
    for statement in (*SCHEMA_STATEMENTS, *LEDGER_STATEMENTS):
        await admin.fetch(statement)
    for grant in _GRANTS:
        await admin.fetch(sql.SQL(grant).format(role=name))
