"""Errors of migrations. After one that is a ``NotApplied`` the migration it names took no
effect."""

from __future__ import annotations

from typing import Unpack

from replication.errors import DeadlineExceeded, Facts, NotApplied, Unknown


class MigrationFailed(NotApplied):
    """A statement of a migration was refused, and would be refused again.

    Args:
        message: one sentence, with the remedy where there is one.
        statement: its number in the migration, from 1; None for a migration that is a function.
    """

    def __init__(self, message: str, *, statement: int | None, **facts: Unpack[Facts]) -> None:
        super().__init__(message, **facts)
        self.statement = statement


class MigrationChanged(NotApplied):
    """What was applied differs from what is asked for, in content or in order."""


class MigrationLate(DeadlineExceeded):
    """The deadline passed. The migration named, and those after it, took no effect."""


class MigrationUnknown(Unknown):
    """The commit of a migration was in doubt at the deadline; ``migrate`` again finds out."""
