"""Histories of list-append as Jepsen, Elle and elle-cli write them, to columns. Pure.

``value`` is a list of micro-operations, ``[append key value]`` and ``[r key list]``; in an
invocation the list of a read is nil. What is uncertain is read as Elle reads it:

- an acknowledged read of nil saw the empty list; in an ``info`` it saw nobody knows what;
- an ``info``, and a transaction without an end, may have taken effect;
- a transaction of which only the end is there began before everything else, by the clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from chaos.consistency.append.columns import (
    FAIL,
    INFO,
    NEVER,
    OK,
    UNKNOWN_LENGTH,
    Numbering,
    Transactions,
    ints,
)
from chaos.consistency.errors import HistoryValueError
from chaos.consistency.foreign.jepsen import HistoryEvent
from chaos.evidence.records import Scalar

APPEND, READ = "append", "r"
_OUTCOMES = {"ok": OK, "fail": FAIL, "info": INFO}
_TOLD = ("index", "time", "node", "lsn", "error")
"""What a history may say of a transaction that helps people to find it."""


@dataclass(slots=True)
class _Transaction:
    begin: HistoryEvent | None
    end: HistoryEvent | None = None
    began: int = -1
    ended: int = NEVER

    @property
    def outcome(self) -> int:
        return INFO if self.end is None else _OUTCOMES[self.end.type]

    @property
    def told(self) -> HistoryEvent:
        """The event that says what it did: its end, if that says anything."""
        if self.end is not None and (self.end.value is not None or self.begin is None):
            return self.end
        assert self.begin is not None
        return self.begin


@dataclass(slots=True)
class _Columns:
    """The columns while they are filled."""

    op: list[int] = field(default_factory=list)
    is_read: list[bool] = field(default_factory=list)
    key: list[int] = field(default_factory=list)
    value: list[int] = field(default_factory=list)
    offset: list[int] = field(default_factory=list)
    length: list[int] = field(default_factory=list)
    elements: list[int] = field(default_factory=list)
    keys: Numbering = field(default_factory=Numbering)
    values: Numbering = field(default_factory=Numbering)

    def append(self, op: int, key: object, value: object) -> None:
        self._add(op, False, key)
        self.value.append(self.values.of(value))
        self.length.append(UNKNOWN_LENGTH)

    def read(self, op: int, key: object, seen: Sequence[object] | None) -> None:
        self._add(op, True, key)
        self.value.append(-1)
        self.length.append(UNKNOWN_LENGTH if seen is None else len(seen))
        if seen:
            number = self.values.of
            self.elements.extend([number(one) for one in seen])

    def _add(self, op: int, is_read: bool, key: object) -> None:
        self.op.append(op)
        self.is_read.append(is_read)
        self.key.append(self.keys.of(key))
        self.offset.append(len(self.elements))


def from_events(events: Sequence[HistoryEvent]) -> Transactions:
    """The columns of a foreign history.

    Raises:
        HistoryValueError: a transaction that is none, with its line.
    """
    transactions = _paired(events)
    columns = _Columns()
    for op, transaction in enumerate(transactions):
        _fill(columns, op, transaction)
    return Transactions(
        outcome=np.array([one.outcome for one in transactions], np.int8),
        process=ints([one.told.process for one in transactions]),
        began=ints([one.began for one in transactions]),
        ended=ints([one.ended if one.outcome == OK else NEVER for one in transactions]),
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
        details=lambda op: _details(transactions[op]),
    )


def _paired(events: Sequence[HistoryEvent]) -> list[_Transaction]:
    """Invocations with their ends: a process does one thing after the other."""
    transactions: list[_Transaction] = []
    running: dict[int, _Transaction] = {}
    for position, event in enumerate(events):
        if event.type == "invoke":
            begun = running[event.process] = _Transaction(event, began=position)
            transactions.append(begun)
            continue
        transaction = running.pop(event.process, None)
        if transaction is None:
            transaction = _Transaction(None)
            transactions.append(transaction)
        transaction.end, transaction.ended = event, position
    return transactions


def _fill(columns: _Columns, op: int, transaction: _Transaction) -> None:
    """Its micro-operations. Without a value it did nothing to any list."""
    event, outcome = transaction.told, transaction.outcome
    if event.value is None:
        return
    if not isinstance(event.value, list):
        raise _no_transaction(event, event.value)
    for micro in event.value:
        match micro:
            case ["append", key, value]:
                columns.append(op, key, value)
            case ["r", key, *seen] if len(seen) <= 1:
                columns.read(op, key, _seen(event, outcome, seen[0] if seen else None))
            case _:
                raise _no_transaction(event, micro)


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


def _no_transaction(event: HistoryEvent, what: object) -> HistoryValueError:
    return HistoryValueError(
        f"{str(what)[:60]!r} is no micro-operation of list-append",
        line=event.line,
        remedy="a value is a list of [append key value] and [r key list]",
    )


def _details(transaction: _Transaction) -> Mapping[str, Scalar]:
    """What people need to find it again."""
    told: dict[str, Scalar] = {"process": transaction.told.process}
    for name, event in (("began", transaction.begin), ("ended", transaction.end)):
        if event is not None:
            told[f"{name}_line"] = event.line
            for key in _TOLD:
                if isinstance(value := event.fields.get(key), str | int | float):
                    told[f"{name}_{key}"] = value
    told["outcome"] = "unknown" if transaction.end is None else transaction.end.type
    return told
