"""Histories of rw-register as Jepsen, Elle and elle-cli write them, to columns. Pure.

``value`` is a list of micro-operations, ``[w key value]`` and ``[r key value]``. An acknowledged
read of nil saw that nothing was written yet; of any other read nobody knows what it saw.
"""

from __future__ import annotations

from collections.abc import Sequence

from chaos.consistency.foreign.jepsen import HistoryEvent
from chaos.consistency.transactions import histories
from chaos.consistency.transactions.columns import OK, Transactions


def from_events(events: Sequence[HistoryEvent]) -> Transactions:
    """The columns of a foreign history. A register is read as a list of its value, or of none.

    Raises:
        HistoryValueError: a transaction that is none, with its line.
    """
    return histories.from_events(
        events,
        _add,
        model="rw-register",
        remedy="a value is a list of [w key value] and [r key value]",
    )


def _add(
    columns: histories.Columns, op: int, event: HistoryEvent, outcome: int, micro: object
) -> bool:
    del event
    match micro:
        case [_, *rest] if any(isinstance(one, dict) for one in rest):
            return False
        case ["w", key, value]:
            columns.write(op, key, value)
        case ["r", key, *seen] if len(seen) <= 1:
            value = seen[0] if seen else None
            known = () if value is None else (value,)
            columns.read(op, key, known if outcome == OK else None)
        case _:
            return False
    return True
