"""Histories of transactions in a line each, for tests: of lists, and of registers.

``p1 ok +x1 ?y[1 2]`` is a transaction of process 1 that was acknowledged, appended 1 to x and saw y
as [1 2]. ``?y[]`` saw the empty list, ``?y`` nobody knows what. With registers ``+x1`` wrote 1 to
x, ``?x1`` read 1, and ``?x_`` nil. Without a process each transaction has its own; without an
outcome it was acknowledged. Each begins after the one before has ended, but lines after ``|`` begin
together and end in their order.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from chaos.consistency.append.histories import from_events
from chaos.consistency.foreign.jepsen import HistoryEvent
from chaos.consistency.rw_register import histories as rw_register
from chaos.consistency.transactions.columns import Transactions

_OF_LISTS = re.compile(r"([+?])([a-z])(?:(\d+)|\[([\d ]*)\])?")
_OF_REGISTERS = re.compile(r"([+?])([a-z])(\d+|_)?")

MicroOp = tuple[list[object], list[object]]
"""As it was asked for, and as it was answered."""


def transactions(*lines: str) -> Transactions:
    """The history of lists of these lines."""
    return from_events(events(*lines))


def register_transactions(*lines: str) -> Transactions:
    """The history of registers of these lines."""
    return rw_register.from_events(register_events(*lines))


def register_events(*lines: str) -> list[HistoryEvent]:
    """The events of these lines, of registers: a begin and an end each."""
    return events(*lines, micro_ops=_of_registers)


def _of_lists(line: str) -> list[MicroOp]:
    found: list[MicroOp] = []
    for sign, key, value, seen in _OF_LISTS.findall(line):
        if sign == "+":
            found.append((["append", key, int(value)], ["append", key, int(value)]))
        else:
            is_known = f"?{key}[" in line
            answer = [int(one) for one in seen.split()] if is_known else None
            found.append((["r", key, None], ["r", key, answer]))
    return found


def _of_registers(line: str) -> list[MicroOp]:
    found: list[MicroOp] = []
    for sign, key, text in _OF_REGISTERS.findall(line):
        value = int(text) if text.isdigit() else None
        if sign == "+":
            found.append((["w", key, value], ["w", key, value]))
        else:
            found.append((["r", key, None], ["r", key, value]))
    return found


def events(
    *lines: str, micro_ops: Callable[[str], list[MicroOp]] = _of_lists
) -> list[HistoryEvent]:
    """The events of these lines: a begin and an end each."""
    together = [line for line in lines if line.startswith("|")]
    alone = [line for line in lines if not line.startswith("|")]
    found: list[HistoryEvent] = []
    for number, line in enumerate(alone):
        found += _both(micro_ops, line, number, len(found) + 1)
    pairs = [
        _both(micro_ops, line.strip("| "), len(alone) + n, 0) for n, line in enumerate(together)
    ]
    for position in (0, 1):
        for pair in pairs:
            one = pair[position]
            found.append(
                HistoryEvent(len(found) + 1, one.type, one.process, one.f, one.value, one.fields)
            )
    return found


def _both(
    micro_ops: Callable[[str], list[MicroOp]], line: str, number: int, first: int
) -> list[HistoryEvent]:
    words = line.split(" ")
    process = int(words.pop(0)[1:]) if words[0][0] == "p" else 100 + number
    outcome = words.pop(0) if words[0] in {"ok", "fail", "info"} else "ok"
    both = micro_ops(" ".join(words))
    asked, answered = [one for one, _ in both], [one for _, one in both]
    return [
        HistoryEvent(first, "invoke", process, "txn", asked, {}),
        HistoryEvent(first + 1, outcome, process, "txn", answered, {}),  # type: ignore[arg-type]
    ]
