"""Makes the warehouse: its tables, a profile of generated patients, and the keys after them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from chaos.errors import PreflightError
from chaos.workloads.warehouse.feed import FEED_MIGRATIONS
from chaos.workloads.warehouse.generator import Generator
from chaos.workloads.warehouse.tables import (
    KEY_MIGRATIONS,
    SERIES,
    TABLE_MIGRATIONS,
    TABLES,
    OmopTable,
)
from replication import Storage
from replication.bulk import AppliedChunk, BulkLoad
from replication.bulk.chunk_units import CopyTarget, copy_statement
from replication.schema import migrate
from replication.units.unit import Transaction
from replication.wire import Session

ALL_MIGRATIONS = (*TABLE_MIGRATIONS, *KEY_MIGRATIONS, *FEED_MIGRATIONS)

_NOTE_ROWS = """
    INSERT INTO feed.generated AS g (table_name, profile, seed, rows) VALUES (%s, %s, %s, %s)
    ON CONFLICT (table_name) DO UPDATE SET rows = g.rows + excluded.rows
"""
_NOTED = "SELECT table_name, profile, seed, rows FROM feed.generated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """So far so many rows of all are in the database; ``table`` has just got some."""

    table: str
    rows: int
    rows_total: int


OnFilled = Callable[[Filled], None]


async def fill_through(
    storage: Storage, generator: Generator, *, on_filled: OnFilled | None = None
) -> int:
    """Fill the warehouse through the storage layer: exactly once, through failovers.

    An interrupted fill goes on where it stopped, if it is called with the same profile and seed.

    Args:
        storage: connects as the owner; its tables (``schema.install``) are there.
        generator: the patients.
        on_filled: called after each chunk.

    Returns:
        The rows of the profile.

    Raises:
        PreflightError: it has been filled with another profile or seed.
        NotApplied, Unknown, MigrationFailed: see ``BulkLoad.run`` and ``schema.migrate``.
    """
    await migrate(storage, TABLE_MIGRATIONS, series=SERIES)
    noted = (await storage.run(_read_noted)).value
    _require_same(noted, generator)
    progress = _Counter(generator, on_filled)
    for table in TABLES:
        load = BulkLoad(
            storage,
            name=f"warehouse-{table.name}",
            table=(table.schema, table.name),
            columns=table.names,
            beside=partial(_note_chunk, table, generator),
        )
        reported = noted.get(table.name, ("", 0, 0))[2]
        progress.add(table, reported)
        loaded = await load.run_encoded(
            partial(generator.chunks, table),
            on_progress=lambda done, table=table: progress.at(table, done.rows_total),  # type: ignore[misc]
        )
        progress.at(table, loaded.rows)
    await migrate(storage, ALL_MIGRATIONS, series=SERIES)
    return progress.total


async def fill_on(session: Session, generator: Generator) -> None:
    """Fill the warehouse in one session, a transaction a table. Idempotent.

    For a cluster that is being prepared: what is lost with the primary is not brought back.

    Args:
        session: of the owner.
        generator: the patients.

    Raises:
        PreflightError: it has been filled with another profile or seed.
        psycopg.Error: the server refused, or was lost.
        MigrationFailed: the same, of a migration.
    """
    await migrate(session, TABLE_MIGRATIONS, series=SERIES)
    noted = {str(row[0]): (str(row[1]), row[2], row[3]) for row in await session.fetch(_NOTED)}
    _require_same(noted, generator)
    for table in TABLES:
        if table.name in noted:
            continue
        target = CopyTarget(table=(table.schema, table.name), columns=table.names)
        statement = copy_statement(target, {"format": "binary"})
        session.begin()
        rows = 0
        for chunk in generator.chunks(table):
            rows += await session.copy_in(statement, (chunk.data,))
        profile = generator.profile.name
        await session.execute(_NOTE_ROWS, (table.name, profile, generator.seed, rows))
        await session.commit()
    await migrate(session, ALL_MIGRATIONS, series=SERIES)
    await session.fetch("ANALYZE")


async def _read_noted(transaction: Transaction) -> dict[str, tuple[str, int, int]]:
    found = await transaction.execute(_NOTED)
    return {str(row[0]): (str(row[1]), int(row[2]), int(row[3])) for row in found.rows}


async def _note_chunk(
    table: OmopTable, generator: Generator, transaction: Transaction, chunk: AppliedChunk
) -> None:
    values = (table.name, generator.profile.name, generator.seed, chunk.rows)
    await transaction.execute(_NOTE_ROWS, values)


def _require_same(noted: dict[str, tuple[str, int, int]], generator: Generator) -> None:
    """Refuse to mix two profiles, or two seeds.

    Raises:
        PreflightError: see above.
    """
    asked = (generator.profile.name, generator.seed)
    other = next((what[:2] for what in noted.values() if what[:2] != asked), None)
    if other is not None:
        raise PreflightError(
            f"the warehouse was filled with the profile {other[0]} and seed {other[1]}, not"
            f" {asked[0]} and {asked[1]}: ask for those, or fill an empty database"
        )


class _Counter:
    """Adds up the rows of all tables, for whoever looks on."""

    def __init__(self, generator: Generator, on_filled: OnFilled | None) -> None:
        self._on_filled = on_filled
        self._rows: dict[str, int] = {}
        self.total = sum(generator.profile.rows(table) for table in TABLES)

    def add(self, table: OmopTable, rows: int) -> None:
        self._rows[table.name] = rows

    def at(self, table: OmopTable, rows: int) -> None:
        self._rows[table.name] = rows
        if self._on_filled is not None:
            done = Filled(table=table.name, rows=sum(self._rows.values()), rows_total=self.total)
            self._on_filled(done)
