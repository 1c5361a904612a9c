"""The long-fork workload: everybody writes keys of their own, and reads of all keys are compared.

Each key is written once. Two reads of the same keys that saw two writes in opposite orders fork;
where that is a failure and where it is told is data (``promises.py``).
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
class LongForkOptions(WorkloadOptions):
    """What the transactions ask for, and how many more read on replicas."""

    isolation: IsolationName = "repeatable-read"
    """The level of every unit of work. Reads on replicas, which know no ``serializable``, are
    ``repeatable-read`` then."""
    replica_reads: float = 1.0
    """Reads on the nearest member for each unit of work; every second one is causal."""

    @classmethod
    def read(cls, table: TomlTable) -> Self:
        """From the ``[workload]`` of a scenario."""
        default = cls()
        return cls(
            isolation=read_isolation(table, default.isolation),
            replica_reads=read_replica_reads(table, default.replica_reads),
        )

    @classmethod
    def drawn(cls, random: Random) -> Self:
        """Each level as often, and more reads or fewer."""
        return cls(
            isolation=draw_isolation(random),
            replica_reads=draw_replica_reads(random, some=True),
        )


LONG_FORK = WorkloadKind(
    key="long-fork",
    options=LongForkOptions,
    rate_per_s=50.0,
    limits="What is judged is in which order single writes become visible, on the primary and on "
    "each member. Nothing is said about transactions that write several rows.",
    load="chaos.workloads.long_fork.load:SingleWrites",
    clients=("storage", "psycopg"),
    checkers=("chaos.workloads.long_fork.check_forks:CHECKER",),
    judge="chaos.workloads.long_fork.native:judge_run",
    judged_as="long-fork",
)
"""Writes single keys, and reads all of them in one transaction."""
