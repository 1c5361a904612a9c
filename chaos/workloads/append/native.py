"""The history of a run of the append workload, as columns, and what ``bascule judge`` says of it.

The final read of a node is a transaction too, after all others: it reads every list in one
snapshot. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from chaos.checkers.authority import authority
from chaos.consistency.answer import HistoryAnswer
from chaos.consistency.append.judge import judge_transactions
from chaos.consistency.transactions.columns import FAIL, INFO, NEVER, OK, Transactions, ints
from chaos.consistency.transactions.histories import Columns
from chaos.evidence.records import FinalRead, Scalar
from chaos.evidence.run import Run
from chaos.workloads.append import AppendOptions
from chaos.workloads.append.micro import MicroOp, list_parsed, lists_parsed, parsed
from chaos.workloads.append.promises import ReadPlace, promises_of
from chaos.workloads.native import PlacedOperation, placed, reads_of, units_of
from replication.wire.wal import format_lsn

_OUTCOMES: Mapping[str, int] = {"ok": OK, "fail": FAIL, "info": INFO}

FINAL_READER = -1
"""The process of the final reads."""


def judge_run(run: Run, level: str | None) -> HistoryAnswer:
    """The verdict on all transactions of a run, on whatever member.

    Args:
        run: with this workload.
        level: None: the one that is promised for all members together.

    Raises:
        ValueError: an operation in it is no transaction on lists.
    """
    if level is None:
        level = next(one.level for one in promises_of(run) if one.place == "everywhere")
    return judge_transactions(transactions_of(run, "everywhere"), level)


def options_of(run: Run) -> AppendOptions:
    """What the transactions of a run with this workload asked for."""
    options = run.info.scenario.workload.options
    assert isinstance(options, AppendOptions)  # only such runs are judged here
    return options


def micro_ops_of(one: PlacedOperation) -> tuple[MicroOp, ...]:
    """What an operation did.

    Raises:
        ValueError: it is no transaction on lists.
    """
    return parsed(str(one.operation.work.get("txn", "")))


def lists_of(one: PlacedOperation) -> Iterator[tuple[int, ...]]:
    """What the reads of an acknowledged operation saw.

    Raises:
        ValueError: it does not say that of lists.
    """
    return lists_parsed(str(one.operation.result.get("read", "")))


def transactions_of(run: Run, place: ReadPlace) -> Transactions:
    """The transactions of a run on the primary, or on all members together.

    Raises:
        ValueError: an operation in it is no transaction on lists.
    """
    everywhere = place == "everywhere"
    some = placed([*units_of(run), *(reads_of(run) if everywhere else ())])
    columns = Columns()
    for index, one in enumerate(some):
        lists = lists_of(one) if one.outcome == "ok" else None
        for micro in micro_ops_of(one):
            if micro.value is not None:
                columns.write(index, micro.key, micro.value)
            else:
                columns.read(index, micro.key, None if lists is None else next(lists))
    finals = _finals(run, everywhere=everywhere)
    keys = _keys(columns, finals)
    for index, final in enumerate(finals, len(some)):
        held = {int(row.id): list_parsed(row.content) for row in final.state}
        for key in keys:
            columns.read(index, key, held.get(key, ()))
    last = max((one.ended or one.began for one in some), default=0) + 1
    ends = [NEVER if one.ended is None or one.outcome != "ok" else one.ended for one in some]
    return Transactions(
        outcome=np.array(
            [*(_OUTCOMES[one.outcome] for one in some), *(OK for _ in finals)], np.int8
        ),
        process=ints([*(one.process for one in some), *(FINAL_READER for _ in finals)]),
        began=ints([*(one.began for one in some), *(last + 2 * n for n in range(len(finals)))]),
        ended=ints([*ends, *(last + 2 * n + 1 for n in range(len(finals)))]),
        op=ints(columns.op),
        is_read=np.array(columns.is_read, np.bool_),
        key=ints(columns.key),
        value=ints(columns.value),
        offset=ints(columns.offset),
        length=ints(columns.length),
        elements=ints(columns.elements),
        keys=len(columns.keys),
        key_name=columns.keys.name,
        value_name=columns.values.name,
        details=lambda op: some[op].details if op < len(some) else _details(finals[op - len(some)]),
    )


def _finals(run: Run, *, everywhere: bool) -> list[FinalRead]:
    """The final reads, the primary's first."""
    primary = authority(run)
    others = [one for one in run.final_reads if one is not primary and one.error is None]
    return [*([] if primary is None else [primary]), *(others if everywhere else [])]


def _keys(columns: Columns, finals: Sequence[FinalRead]) -> list[int]:
    """Every list that anybody named, or that some node holds."""
    named = [columns.keys.name(number) for number in range(len(columns.keys))]
    held = (int(row.id) for final in finals for row in final.state)
    return sorted({*(key for key in named if isinstance(key, int)), *held})


def _details(final: FinalRead) -> Mapping[str, Scalar]:
    return {
        "operation": "final read",
        "node": final.node,
        "source": "primary" if final.is_primary else "replica",
        "timeline": final.timeline,
        "lsn": None if final.lsn is None else format_lsn(final.lsn),
        "outcome": "ok",
    }
