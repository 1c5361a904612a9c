"""The set workload: every operation adds an element, and reads on all members look for it.

What was added must appear everywhere and stay (``check_elements.py``); how late it appears is told
of each member.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Self

from chaos.workloads.kind import (
    WorkloadKind,
    WorkloadOptions,
    draw_replica_reads,
    read_replica_reads,
)
from cluster.toml.reader import TomlTable


@dataclass(frozen=True, slots=True, kw_only=True)
class SetOptions(WorkloadOptions):
    """How much is read."""

    replica_reads: float = 1.0
    """Reads on the nearest member for each addition; every second one is causal."""

    @classmethod
    def read(cls, table: TomlTable) -> Self:
        """From the ``[workload]`` of a scenario."""
        return cls(replica_reads=read_replica_reads(table, cls().replica_reads))

    @classmethod
    def drawn(cls, random: Random) -> Self:
        """More reads or fewer."""
        return cls(replica_reads=draw_replica_reads(random))


SET = WorkloadKind(
    key="set",
    options=SetOptions,
    rate_per_s=50.0,
    limits="What is judged is a set that only grows: additions on the primary, reads of the newest "
    "elements on all members. Nothing is said about changes and removals.",
    load="chaos.workloads.set.load:GrowingSet",
    clients=("storage", "psycopg"),
    checkers=("chaos.workloads.set.check_elements:CHECKER",),
    judge="chaos.workloads.set.native:judge_run",
    judged_as="set",
)
"""Adds elements to a set, and looks for them on all members."""
