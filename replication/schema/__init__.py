"""Changes of the schema through failovers, the package's own tables, and their pruning."""

from replication.schema.errors import (
    MigrationChanged,
    MigrationFailed,
    MigrationLate,
    MigrationUnknown,
)
from replication.schema.migrate import Migrated, migrate
from replication.schema.migration import Migration
from replication.schema.own import (
    OWN_MIGRATIONS,
    grant,
    grant_statements,
    grants_text,
    install,
)
from replication.schema.pruning import Pruned, keep_pruned, prune

__all__ = [
    "OWN_MIGRATIONS",
    "Migrated",
    "Migration",
    "MigrationChanged",
    "MigrationFailed",
    "MigrationLate",
    "MigrationUnknown",
    "Pruned",
    "grant",
    "grant_statements",
    "grants_text",
    "install",
    "keep_pruned",
    "migrate",
    "prune",
]
