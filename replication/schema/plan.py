"""Which migration comes next, and whether what is applied is what is asked for. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from replication.errors import Facts
from replication.schema.errors import MigrationChanged
from replication.schema.migration import Migration


def check_ids(migrations: Sequence[Migration]) -> None:
    """Check that every id is there once.

    Raises:
        ValueError: one is there twice.
    """
    seen: set[str] = set()
    for migration in migrations:
        if migration.id in seen:
            raise ValueError(f"two migrations have the id {migration.id}")
        seen.add(migration.id)


def next_of(migrations: Sequence[Migration], applied: Mapping[str, str]) -> Migration | None:
    """The first that is not applied, None if all are.

    Args:
        applied: digest by id. Ids that are not in the list are left alone: a newer version of the
            application may have added them.

    Raises:
        MigrationChanged: one was applied with another content, or comes before one that is applied.
    """
    pending: Migration | None = None
    for migration in migrations:
        digest = applied.get(migration.id)
        if digest is None:
            pending = pending or migration
        elif pending is not None:
            raise _changed(
                pending.id, f"{pending.id} comes before {migration.id}, which is applied already"
            )
        elif digest != migration.digest:
            raise _changed(
                migration.id,
                f"{migration.id} was applied with another content: leave it as it was, and write"
                " another migration",
            )
    return pending


def _changed(id_: str, message: str) -> MigrationChanged:
    facts = Facts(unit_id=id_, node=None, sqlstate=None, elapsed_s=0.0, attempts=0)
    return MigrationChanged(message, **facts)
