"""Histories of list-append as Jepsen, Elle and elle-cli write them, to columns. Pure.

``value`` is a list of micro-operations, ``[append key value]`` and ``[r key list]``; in an
invocation the list of a read is nil. An acknowledged read of nil saw the empty list; in an ``info``
it saw nobody knows what.
"""

from __future__ import annotations

from collections.abc import Sequence

from chaos.consistency.errors import HistoryValueError
from chaos.consistency.foreign.jepsen import HistoryEvent
from chaos.consistency.transactions import histories
from chaos.consistency.transactions.columns import FAIL, OK, Transactions


def from_events(events: Sequence[HistoryEvent]) -> Transactions:
    """The columns of a foreign history.

    Raises:
        HistoryValueError: a transaction that is none, with its line.
    """
    return histories.from_events(
        events,
        _add,
        model="list-append",
        remedy="a value is a list of [append key value] and [r key list]",
    )


def _add(
    columns: histories.Columns, op: int, event: HistoryEvent, outcome: int, micro: object
) -> bool:
    match micro:
        case ["append", key, value]:
            columns.write(op, key, value)
        case ["r", key, *seen] if len(seen) <= 1:
            columns.read(op, key, _seen(event, outcome, seen[0] if seen else None))
        case _:
            return False
    return True


def _seen(event: HistoryEvent, outcome: int, seen: object) -> Sequence[object] | None:
    """The list that a read saw; None where nobody knows."""
    if seen is None:
        return () if outcome == OK else None
    if not isinstance(seen, list):
        raise HistoryValueError(
            f"a read saw {seen!r}, which is no list",
            line=event.line,
            remedy="a read is [r key [1 2 3]], or [r key nil]",
        )
    return None if outcome == FAIL else seen
