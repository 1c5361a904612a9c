"""The synthetic host-loss run as one of transfers: every operation moves 1 from 0 to 1."""

from __future__ import annotations

import json
from dataclasses import replace

from chaos.evidence.records import FinalRead, LedgerRow, Operation, SiteHistory
from chaos.evidence.run import Run
from chaos.scenarios.model import WorkloadSpec
from chaos.workloads.transfers import TransfersOptions

OPTIONS = TransfersOptions(accounts=2, opening_balance=10_000)
SPEC = WorkloadSpec(options=OPTIONS)
MOVED = {"source": 0, "target": 1, "amount": 1}
READ_EVERY = 50


def transferred(run: Run, *, torn_node: str | None = None, torn_read: bool = False) -> Run:
    """``run`` with another workload.

    Args:
        run: a run of the ledger.
        torn_node: on this node 5 are missing from the last account.
        torn_read: the last read of the total misses 1.
    """
    histories = tuple(_history(history) for history in run.histories)
    reads = [op for history in histories for op in history.operations if not op.leaves_entry]
    if torn_read:
        last = max(reads, key=lambda op: op.invoked_s)
        torn = replace(last, result={**last.result, "total": 19_999})
        histories = tuple(
            replace(
                history,
                operations=tuple(torn if op is last else op for op in history.operations),
            )
            for history in histories
        )
    gone = {op.id for op in reads}
    scenario = replace(run.info.scenario, workload=SPEC)
    return replace(
        run,
        info=replace(run.info, scenario=scenario),
        histories=histories,
        final_reads=tuple(
            _final(read, gone, missing=5 if read.node == torn_node else 0)
            for read in run.final_reads
        ),
    )


def _history(history: SiteHistory) -> SiteHistory:
    return replace(
        history,
        operations=tuple(
            _total(op) if n % READ_EVERY == 0 else replace(op, work={"op": "transfer", **MOVED})
            for n, op in enumerate(history.operations)
        ),
    )


def _total(operation: Operation) -> Operation:
    return replace(
        operation,
        leaves_entry=False,
        work={"op": "total"},
        result={"total": 20_000, "accounts": 2},
    )


def _final(read: FinalRead, gone: set[str], *, missing: int) -> FinalRead:
    rows = tuple(
        LedgerRow(id=row.id, content=json.dumps(MOVED)) for row in read.rows if row.id not in gone
    )
    balances = (OPTIONS.opening_balance - len(rows), OPTIONS.opening_balance + len(rows) - missing)
    state = tuple(LedgerRow(id=str(n), content=str(held)) for n, held in enumerate(balances))
    return replace(read, rows=rows, state=state)
