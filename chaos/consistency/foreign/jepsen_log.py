"""Jepsen's log lines of a register, as in Porcupine's ``test_data/jepsen``.

A line is ``INFO  jepsen.util - 3 :invoke :cas [1 4]``: process, type, f and value, parted by blanks
or tabs. Other lines are passed over, as Porcupine's own reader does. Porcupine's conventions
(``porcupine_test.go``, ``etcdModel``): a read of ``nil`` saw the empty register, a failed
compare-and-set found something else than it expected, a failed read saw nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from chaos.consistency import calls
from chaos.consistency.calls import Call
from chaos.consistency.errors import HistoryValueError

_LINE = re.compile(
    r"^INFO\s+jepsen\.util\s+-\s+(?P<process>\d+)\s+:(?P<type>invoke|ok|fail|info)"
    r"\s+:(?P<f>read|write|cas)\s+(?P<value>.*?)\s*$"
)
_NUMBER = re.compile(r"-?\d+")
LENGTH_MAX = 4_000
"""No line of such a log has more characters: Python reads numbers of up to 4,300 digits."""


def is_log(path: Path) -> bool:
    """Whether a file holds such lines."""
    with path.open(encoding="utf-8-sig", errors="replace") as lines:
        return any(_LINE.match(line) for line in lines)


def read_log(path: Path) -> list[Call]:
    """The calls in a file, by their beginnings.

    Raises:
        HistoryValueError: as ``calls_of_log``.
    """
    with path.open(encoding="utf-8-sig", errors="replace") as lines:
        return calls_of_log(lines)


def calls_of_log(lines: Iterable[str]) -> list[Call]:
    """The calls of a log, by their beginnings.

    Raises:
        HistoryValueError: a compare-and-set of no pair, or a number that is too long.
    """
    running: dict[str, Call] = {}
    done: list[Call] = []
    for position, line in enumerate(lines):
        if (match := _LINE.match(line)) is None:
            continue
        process, f = match["process"], match["f"]
        if len(line) > LENGTH_MAX:
            raise HistoryValueError(
                f"a line with more than {LENGTH_MAX:,} characters", line=position + 1
            )
        if match["type"] == "invoke":
            if f == calls.CAS and len(_NUMBER.findall(match["value"])) != 2:
                raise HistoryValueError(
                    f"cas of {match['value']}, which is no pair",
                    line=position + 1,
                    remedy=":cas [expected new]",
                )
            if process in running:
                done.append(running[process])
            running[process] = Call(
                f=f,
                value=_value(match["value"]),
                process=int(process),
                began=position,
                line=position + 1,
            )
        elif match["type"] != "info" and (call := running.pop(process, None)) is not None:
            done += _ended(call, match["type"], match["value"], position)
    done += running.values()
    return sorted(done, key=lambda call: call.began)


def _ended(call: Call, outcome: str, value: str, position: int) -> list[Call]:
    """The call with its answer; none where it says nothing."""
    f, seen = call.f, call.value
    if outcome == "fail":
        if f != calls.CAS:
            return []
        f = calls.CAS_MISSED
    elif f == calls.READ:
        seen = _value(value)
    return [replace(call, f=f, value=seen, ended=position, end_line=position + 1)]


def _value(text: str) -> int | tuple[int, ...] | None:
    numbers = tuple(int(number) for number in _NUMBER.findall(text))
    if text.startswith("["):
        return numbers
    return numbers[0] if numbers else None
