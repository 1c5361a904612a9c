"""Histories as Jepsen, Elle and elle-cli write them: EDN or JSON, one operation a line or one list.

An operation is a map with ``type`` (invoke, ok, fail, info), ``f``, ``value`` and ``process``, and
perhaps ``time``, ``index`` and ``error``. The order in the file is the clock. Those of the process
``nemesis`` are no operations of a client; they are left out. Every other process is a number.

Source: Jepsen's history format, https://github.com/jepsen-io/history; elle-cli's README.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from chaos.consistency.edn import read_edn
from chaos.consistency.errors import HistoryFileError, HistoryValueError, OperationNumber

EventType = Literal["invoke", "ok", "fail", "info"]
_TYPES = frozenset(get_args(EventType))

_FIRST_KEY_IN_QUOTES = re.compile(r'(?:[\s,\[(]|;[^\n]*\n)*\{\s*"')
_TOO_LARGE = re.compile(r"\d{20}|-\d{19}")
"""Whole numbers that may not fit in 64 bits: orjson makes floats of them, which are others."""
NEMESES = frozenset({"nemesis", ":nemesis"})
"""The one process that is no client's, in EDN and in JSON: who breaks things."""
PROCESS_MAX = 2**63 - 1
"""Processes are kept in columns of 64 bits."""
NO_PROCESS = -1
"""The process of events that name none: they are all of one."""


@dataclass(frozen=True, slots=True)
class HistoryEvent:
    """The begin or the end of an operation."""

    line: int
    """Where it stands in the file, from 1: for messages. An ``OperationNumber`` where operations
    have no lines of their own."""
    type: EventType
    process: int
    f: str
    value: object
    """Of the types that JSON has; None where there is none."""
    fields: dict[object, object]
    """The whole map."""


def read_events(path: Path) -> list[HistoryEvent]:
    """The events of clients in a file, in their order.

    Raises:
        HistoryFileError: the file is neither EDN nor JSON, or an operation in it lacks something.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise HistoryFileError(
            "this is no text", file=str(path), remedy="give the history itself, unpacked"
        ) from error
    try:
        return list(_events(_values(text)))
    except HistoryValueError as error:
        raise HistoryFileError(
            error.reason, file=str(path), line=error.line, remedy=error.remedy
        ) from error
    except RecursionError as error:
        raise HistoryFileError("a value in it is nested too deeply", file=str(path)) from error


def events_of_text(text: str) -> list[HistoryEvent]:
    """The events of clients in a text.

    Raises:
        HistoryValueError: as ``read_events``.
    """
    return list(_events(_values(text)))


def _values(text: str) -> Iterator[tuple[int, object]]:
    """The maps in a text, with the line on which each begins."""
    if _is_json(text):
        yield from _json_values(text)
        return
    for form in read_edn(_opened(text)):
        if isinstance(form.value, list):
            yield from ((form.line, one) for one in form.value)
        else:
            yield form.line, form.value


def _opened(text: str) -> str:
    """One vector or list without its brackets, so that each operation in it has its own line."""
    begin, end = len(text) - len(text.lstrip()), len(text.rstrip()) - 1
    if text[begin : begin + 1] + text[end : end + 1] not in {"[]", "()"}:
        return text
    return f"{text[:begin]} {text[begin + 1 : end]}"


def _is_json(text: str) -> bool:
    """JSON puts its keys in quotes: the first thing in its first object is a quote."""
    return _FIRST_KEY_IN_QUOTES.match(text) is not None and ":" in text


def _json_value(text: str) -> object:
    import orjson  # noqa: PLC0415 - only where a file is read

    return json.loads(text) if _TOO_LARGE.search(text) else orjson.loads(text)


def _json_values(text: str) -> Iterator[tuple[int, object]]:
    try:
        whole = _json_value(text)
    except ValueError:
        for number, line in enumerate(text.split("\n"), 1):
            plain = line.strip().strip("[],").strip() if line.strip() in "[]," else line.strip()
            if not plain:
                continue
            try:
                yield number, _json_value(plain.rstrip(","))
            except ValueError as error:
                raise HistoryValueError(
                    f"this is no JSON: {error}",
                    line=number,
                    remedy="one list of operations, or one operation a line",
                ) from error
    else:
        if isinstance(whole, list):
            yield from zip(_lines_of(text, len(whole)), whole, strict=True)
        else:
            yield 1, whole


def _lines_of(text: str, count: int) -> Sequence[int]:
    """The line of each operation in a list; its number where they have no lines of their own."""
    lines = [(number, line.strip(" \t\r[],")) for number, line in enumerate(text.split("\n"), 1)]
    full = [(number, line) for number, line in lines if line]
    if len(full) == count and all(line[0] + line[-1] == "{}" for _, line in full):
        return [number for number, _ in full]
    return [OperationNumber(number) for number in range(1, count + 1)]


def _events(values: Iterator[tuple[int, object]]) -> Iterator[HistoryEvent]:
    for line, value in values:
        if not isinstance(value, dict):
            raise HistoryValueError(
                f"expected an operation (a map), found {str(value)[:40]!r}", line=line
            )
        kind = value.get("type")
        if not isinstance(kind, str) or kind not in _TYPES:
            raise HistoryValueError(
                f"an operation of type {kind!r}", line=line, remedy="invoke, ok, fail or info"
            )
        process = value.get("process")
        if not (isinstance(process, str) and process in NEMESES):
            f = value.get("f")
            yield HistoryEvent(
                line, cast(EventType, kind), _process(process, line), "" if f is None else str(f),
                value.get("value"), value,
            )  # fmt: skip


def _process(value: object, line: int) -> int:
    """The number of a client's process."""
    if value is None:
        return NO_PROCESS
    if isinstance(value, str) and value.isdecimal() and len(value) <= len(str(PROCESS_MAX)):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= PROCESS_MAX:
        return value
    raise HistoryValueError(
        f"a process {str(value)[:40]!r}, which is no number of a client",
        line=line,
        remedy="number the clients 0, 1, 2, …; only the process nemesis is left out",
    )
