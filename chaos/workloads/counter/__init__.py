"""The counter workload: every operation adds one to a single row, and is told the new value.

No two may be told the same value, and none a smaller one than was told before it began
(``check_values.py``): two primaries that both acknowledge show within a few operations.
"""

from __future__ import annotations

from dataclasses import dataclass

from chaos.workloads.kind import WorkloadKind, WorkloadOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterOptions(WorkloadOptions):
    """The counter has nothing to set."""


COUNTER = WorkloadKind(
    key="counter",
    options=CounterOptions,
    # All wait for one row, which is locked until a replica has confirmed.
    rate_per_s=30.0,
    limits="What is judged is one counter, in single-row updates. Nothing is said about "
    "transactions of several rows, nor about reads on replicas.",
    load="chaos.workloads.counter.load:OneCounter",
    clients=("storage", "psycopg"),
    checkers=("chaos.workloads.counter.check_values:CHECKER",),
    judge="chaos.workloads.counter.native:judge_run",
    judged_as="counter",
)
"""Adds one to a counter and is told its new value."""
