"""The ledger workload: every operation adds one entry with an id of its own, and no more.

Because entries are never changed, what must be in the ledger at the end follows from the answers
alone: what was acknowledged is there once, what failed is not there, what is in doubt is there
once or not at all. The checkers of all workloads check that; it needs none of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from chaos.workloads.kind import WorkloadKind, WorkloadOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerOptions(WorkloadOptions):
    """The ledger has nothing to set."""


LEDGER = WorkloadKind(
    key="ledger",
    options=LedgerOptions,
    rate_per_s=100.0,
    limits="What is judged is the ledger of the load processes: single-row transactions with an id "
    "each. Nothing is said about other workloads.",
    load="chaos.workloads.ledger.load:Ledger",
    points="bascule.ledger",
    clients=("storage", "psycopg"),
    shares_units=True,
)
