"""Histories of list-append in a line a transaction, for tests.

``p1 ok +x1 ?y[1 2]`` is a transaction of process 1 that was acknowledged, appended 1 to x and saw y
as [1 2]. ``?y[]`` saw the empty list, ``?y`` nobody knows what. Without a process each transaction
has its own; without an outcome it was acknowledged. Each begins after the one before has ended,
but lines after ``|`` begin together and end in their order.
"""

from __future__ import annotations

import re

from chaos.consistency.append.histories import from_events
from chaos.consistency.foreign.jepsen import HistoryEvent
from chaos.consistency.transactions.columns import Transactions

_PART = re.compile(r"([+?])([a-z])(?:(\d+)|\[([\d ]*)\])?")


def transactions(*lines: str) -> Transactions:
    """The history of these lines."""
    return from_events(events(*lines))


def events(*lines: str) -> list[HistoryEvent]:
    """The events of these lines: a begin and an end each."""
    together = [line for line in lines if line.startswith("|")]
    alone = [line for line in lines if not line.startswith("|")]
    found: list[HistoryEvent] = []
    for number, line in enumerate(alone):
        found += _both(line, number, len(found) + 1)
    pairs = [_both(line.strip("| "), len(alone) + n, 0) for n, line in enumerate(together)]
    for position in (0, 1):
        for pair in pairs:
            one = pair[position]
            found.append(
                HistoryEvent(len(found) + 1, one.type, one.process, one.f, one.value, one.fields)
            )
    return found


def _both(line: str, number: int, first: int) -> list[HistoryEvent]:
    words = line.split(" ")
    process = int(words.pop(0)[1:]) if words[0][0] == "p" else 100 + number
    outcome = words.pop(0) if words[0] in {"ok", "fail", "info"} else "ok"
    asked: list[list[object]] = []
    answered: list[list[object]] = []
    for sign, key, value, seen in _PART.findall(" ".join(words)):
        if sign == "+":
            asked.append(["append", key, int(value)])
            answered.append(["append", key, int(value)])
        else:
            asked.append(["r", key, None])
            is_known = f"?{key}[" in line
            answered.append(["r", key, [int(one) for one in seen.split()] if is_known else None])
    return [
        HistoryEvent(first, "invoke", process, "txn", asked, {}),
        HistoryEvent(first + 1, outcome, process, "txn", answered, {}),  # type: ignore[arg-type]
    ]
