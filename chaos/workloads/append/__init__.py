"""The append workload: transactions that append to lists and read them, on every isolation level.

Lists that only grow show in every read what came before: so the whole history can be judged, at the
level that the transactions asked for, and an order of all of them is the proof
(``check_isolation.py``).
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
    draw_replica_reads,
    read_isolation,
    read_replica_reads,
)
from cluster.toml.reader import TomlTable


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendOptions(WorkloadOptions):
    """What the transactions ask for, and how many more read on replicas."""

    isolation: IsolationName = "serializable"
    """The level of every unit of work. Reads on replicas, which know no ``serializable``, are
    ``repeatable-read`` then."""
    replica_reads: float = 0.5
    """Reads on the nearest member for each unit of work; every second one is causal."""
    keys: int = 6
    """Lists in use at a time: so few that transactions meet on them."""

    @classmethod
    def read(cls, table: TomlTable) -> Self:
        """From the ``[workload]`` of a scenario."""
        default = cls()
        return cls(
            isolation=read_isolation(table, default.isolation),
            replica_reads=read_replica_reads(table, default.replica_reads),
            keys=table.integer("keys", default.keys, minimum=1),
        )

    @classmethod
    def drawn(cls, random: Random) -> Self:
        """Each level as often; few lists or many, no reads on replicas or as many as units."""
        return cls(
            isolation=draw_isolation(random),
            replica_reads=draw_replica_reads(random),
            keys=random.randint(2, 12),
        )


APPEND = WorkloadKind(
    key="append",
    options=AppendOptions,
    # Up to four lists, the entry, and now and then another attempt after a serialization failure.
    rate_per_s=30.0,
    limits="What is judged are transactions on lists, addressed by two keys. Nothing is said about "
    "predicates (rows that a condition finds), nor about other workloads.",
    load="chaos.workloads.append.load:Appends",
    clients=("storage", "psycopg"),
    checkers=("chaos.workloads.append.check_isolation:CHECKER",),
    judge="chaos.workloads.append.native:judge_run",
    judged_as="list-append",
)
"""Appends to lists and reads them; every isolation level, also on replicas."""
