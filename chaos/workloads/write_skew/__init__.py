"""The write-skew workload: whoever finds no row by a condition adds one, so there may be only one.

Two transactions that look at the same moment both find none. SERIALIZABLE lets one of them through;
the other levels let both, as their manual says (``check_takers.py``). Rows that a condition finds
are what lists by key (the workload ``append``) cannot show.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Self

from chaos.workloads.kind import (
    IsolationName,
    WorkloadKind,
    WorkloadOptions,
    draw_isolation,
    read_isolation,
)
from cluster.toml.reader import TomlTable


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteSkewOptions(WorkloadOptions):
    """What the transactions ask for."""

    isolation: IsolationName = "serializable"

    @classmethod
    def read(cls, table: TomlTable) -> Self:
        """From the ``[workload]`` of a scenario."""
        return cls(isolation=read_isolation(table, cls().isolation))

    @classmethod
    def drawn(cls, random: Random) -> Self:
        """Each level as often."""
        return cls(isolation=draw_isolation(random))


WRITE_SKEW = WorkloadKind(
    key="write-skew",
    options=WriteSkewOptions,
    rate_per_s=30.0,
    limits="What is judged are transactions that look for rows by a condition and add one. Nothing "
    "is said about reads on replicas.",
    load="chaos.workloads.write_skew.load:Takers",
    clients=("storage", "psycopg"),
    checkers=("chaos.workloads.write_skew.check_takers:CHECKER",),
)
"""Takes a place if a condition finds nobody there."""
