"""Histories of transactions as Jepsen, Elle and elle-cli write them, to columns. Pure.

``value`` is a list of micro-operations, which each model reads in its own way (``MicroOps``). What
is uncertain is read as Elle reads it:

- an ``info``, and a transaction without an end, may have taken effect;
- a transaction of which only the end is there began before everything else, by the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from chaos.consistency.errors import HistoryValueError, OperationNumber
from chaos.consistency.foreign.jepsen import HistoryEvent
from chaos.consistency.transactions.columns import (
    FAIL,
    INFO,
    NEVER,
    OK,
    UNKNOWN_LENGTH,
    Numbering,
    Transactions,
    ints,
)
from chaos.evidence.records import Scalar

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
class Columns:
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

    def write(self, op: int, key: object, value: object) -> None:
        """A micro-operation that appends or writes."""
        self._add(op, False, key)
        self.value.append(self.values.of(value))
        self.length.append(UNKNOWN_LENGTH)

    def read(self, op: int, key: object, seen: Sequence[object] | None) -> None:
        """A micro-operation that saw a list; None: nobody knows what it saw."""
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


MicroOps = Callable[[Columns, int, HistoryEvent, int, object], bool]
"""Adds one micro-operation of a transaction to the columns, given the event that tells of it and
how it ended; False: it is none of this model."""


def from_events(
    events: Sequence[HistoryEvent], add: MicroOps, *, model: str, remedy: str
) -> Transactions:
    """The columns of a foreign history.

    Args:
        events: What happened, in the order of the clock.
        add: Reads the micro-operations of a model.
        model: The name of the model, for messages.
        remedy: How a value of it is written, for messages.

    Raises:
        HistoryValueError: a transaction that is none, with its line.
    """
    transactions = _paired(events)
    columns = Columns()
    for op, transaction in enumerate(transactions):
        event = transaction.told
        for micro in _micro_ops(event, model, remedy):
            if not add(columns, op, event, transaction.outcome, micro):
                raise _no_transaction(event, micro, model, remedy)
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


def _micro_ops(event: HistoryEvent, model: str, remedy: str) -> list[object]:
    """What a transaction did. Without a value it did nothing."""
    if event.value is None:
        return []
    if not isinstance(event.value, list):
        raise _no_transaction(event, event.value, model, remedy)
    return event.value


def _no_transaction(
    event: HistoryEvent, what: object, model: str, remedy: str
) -> HistoryValueError:
    return HistoryValueError(
        f"{str(what)[:60]!r} is no micro-operation of {model}", line=event.line, remedy=remedy
    )


def _details(transaction: _Transaction) -> Mapping[str, Scalar]:
    """What people need to find it again."""
    told: dict[str, Scalar] = {"process": transaction.told.process}
    for name, event in (("began", transaction.begin), ("ended", transaction.end)):
        if event is not None:
            word = "operation" if isinstance(event.line, OperationNumber) else "line"
            told[f"{name}_{word}"] = event.line
            for key in _TOLD:
                if isinstance(value := event.fields.get(key), str | int | float):
                    told[f"{name}_{key}"] = value
    told["outcome"] = "unknown" if transaction.end is None else transaction.end.type
    return told
