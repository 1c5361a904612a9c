"""The transfers workload: amounts move between accounts, and the sum of all balances is kept.

Half a transfer shows in the total, and a lost update in the difference between a balance and what
the entries add up to.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Self

from chaos.workloads.kind import WorkloadKind, WorkloadOptions
from cluster.toml.reader import TomlTable

ACCOUNTS_MIN = 2
"""A transfer needs two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransfersOptions(WorkloadOptions):
    """The accounts that amounts move between."""

    accounts: int = 20
    """How many. So few that operations meet on the same rows all the time."""
    opening_balance: int = 1000
    """What every account begins with."""

    @classmethod
    def read(cls, table: TomlTable) -> Self:
        """From the ``[workload]`` of a scenario."""
        default = cls()
        return cls(
            accounts=table.integer("accounts", default.accounts, minimum=ACCOUNTS_MIN),
            opening_balance=table.integer("opening_balance", default.opening_balance, minimum=0),
        )

    @classmethod
    def drawn(cls, random: Random) -> Self:
        """A pair of accounts, or many."""
        return cls(accounts=random.randint(ACCOUNTS_MIN, 40))


TRANSFERS = WorkloadKind(
    key="transfers",
    options=TransfersOptions,
    # A transfer takes four round trips, an entry of the ledger one.
    rate_per_s=50.0,
    limits="What is judged are transfers between a few accounts, each in one transaction under row "
    "locks, and reads of their total. Nothing is said about other workloads, nor about "
    "transactions that take no locks.",
    load="chaos.workloads.transfers.load:Transfers",
    clients=("storage", "psycopg"),
    checkers=(
        "chaos.workloads.transfers.check_totals:CHECKER",
        "chaos.workloads.transfers.check_balances:CHECKER",
    ),
    shares_units=True,
)
