"""What transfers moved and what the accounts hold, as a run's evidence says. Pure."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

from chaos.evidence.records import FinalRead, LedgerRow, Operation, Scalar
from chaos.evidence.run import Run
from chaos.workloads.transfers import TransfersOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What one transfer moved, as its entry or its invocation says."""

    source: str
    target: str
    amount: int


def options_of(run: Run) -> TransfersOptions:
    """The accounts of a run with this workload."""
    options = run.info.scenario.workload.options
    assert isinstance(options, TransfersOptions)  # only such runs are judged here
    return options


def wrong_balances(options: TransfersOptions, read: FinalRead) -> list[dict[str, Scalar]]:
    """The accounts of a node whose balance differs from what its entries add up to."""
    if read.error is not None:
        return []
    says: Counter[str] = Counter({str(n): options.opening_balance for n in range(options.accounts)})
    for row in read.rows:
        moved = moved_of_entry(row)
        says[moved.source] -= moved.amount
        says[moved.target] += moved.amount
    found = balances_of(read)
    return [
        {
            "node": read.node,
            "account": account,
            "balance": found.get(account),
            "entries_say": says.get(account),
        }
        for account in sorted(says.keys() | found.keys(), key=lambda name: (len(name), name))
        if found.get(account) != says.get(account)
    ]


def balances_of(read: FinalRead) -> dict[str, int]:
    """Account to balance, as the node held them."""
    return {row.id: int(row.content) for row in read.state}


def moved_of_entry(row: LedgerRow) -> Moved:
    """What an entry says (``load.py`` writes it as JSON).

    Raises:
        ValueError, KeyError: it says something else.
    """
    content = json.loads(row.content)
    return Moved(
        source=str(content["source"]), target=str(content["target"]), amount=int(content["amount"])
    )


def moved_of_operation(operation: Operation) -> Moved | None:
    """What an operation was asked to move; None if it is no transfer."""
    work = operation.work
    if not operation.leaves_entry or not {"source", "target", "amount"} <= work.keys():
        return None
    return Moved(
        source=str(work["source"]), target=str(work["target"]), amount=int(str(work["amount"]))
    )
