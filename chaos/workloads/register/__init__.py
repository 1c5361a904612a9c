"""The register workload: a few rows with a value and a version: read, written, set if unchanged.

Each row is a register, and all calls on it must be linearizable: as if they came one at a time,
each between its begin and its end (``check_linearizable.py``). The versions that PostgreSQL counts
say in which order, so that judging takes no search.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Self

from chaos.workloads.kind import WorkloadKind, WorkloadOptions
from cluster.toml.reader import TomlTable


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterOptions(WorkloadOptions):
    """The registers."""

    registers: int = 8
    """How many rows: so few that calls meet on them."""
    versions: bool = True
    """The history has the versions. Without them the order is searched for, and a search that
    reaches its limit is UNKNOWN."""

    @classmethod
    def read(cls, table: TomlTable) -> Self:
        """From the ``[workload]`` of a scenario."""
        default = cls()
        return cls(
            registers=table.integer("registers", default.registers, minimum=1),
            versions=table.flag("versions", default.versions),
        )

    @classmethod
    def drawn(cls, random: Random) -> Self:
        """Few registers or many; always with their versions, so that judging needs no search."""
        return cls(registers=random.randint(1, 16))


REGISTER = WorkloadKind(
    key="register",
    options=RegisterOptions,
    rate_per_s=50.0,
    limits="What is judged are reads, writes and compare-and-sets of single rows on the primary. "
    "Nothing is said about transactions of several rows, nor about reads on replicas.",
    load="chaos.workloads.register.load:Registers",
    clients=("storage", "psycopg"),
    checkers=("chaos.workloads.register.check_linearizable:CHECKER",),
    judge="chaos.workloads.register.native:judge_run",
    judged_as="register",
)
"""Reads, writes, and sets registers if they are unchanged."""
