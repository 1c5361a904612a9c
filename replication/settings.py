"""placeholder until merge"""

from __future__ import annotations

from dataclasses import dataclass

from replication.durability import Durability


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageSettings:
    """placeholder."""

    prefer_site: str | None = None
    deadline_s: float = 30.0
    durability: Durability = "quorum"
    sessions_max: int = 16
    replica_sessions_max: int = 8
    watch_interval_s: float = 2.0
    circuit_after: int = 5
    circuit_open_s: float = 5.0
    statement_timeout_s: float | None = None
    id_row_retention_s: float = 7 * 86400.0
