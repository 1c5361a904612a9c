"""Isolation levels as options name them, and as PostgreSQL does."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.workloads.kind import IsolationName
from replication import Isolation

LEVELS: Mapping[IsolationName, Isolation] = {
    "read-committed": "read committed",
    "repeatable-read": "repeatable read",
    "serializable": "serializable",
}
ON_REPLICAS: Mapping[IsolationName, Isolation] = {**LEVELS, "serializable": "repeatable read"}
"""A replica refuses SERIALIZABLE (manual, 26.4.1)."""
