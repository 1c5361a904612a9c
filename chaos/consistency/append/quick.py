"""Large histories of whole numbers, one operation a line, to columns: block by block. Pure.

Most histories are so: every key and value is a number, and every line is one operation in JSON or
in EDN. They are read several times as fast as others, since no object outlives its block. Whatever
is not so, anywhere in the file, raises ``NotPlainError``, and the file is read as any other
(``histories.py``), which also says what is wrong with it. Both read the same history from a file.
"""

from __future__ import annotations

import gc
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, compress, islice
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

from chaos.consistency.edn import read_edn
from chaos.consistency.errors import HistoryValueError
from chaos.consistency.foreign.jepsen import NEMESES, PROCESS_MAX
from chaos.consistency.transactions.columns import (
    FAIL,
    INFO,
    NEVER,
    OK,
    UNKNOWN_LENGTH,
    VALUE_BITS,
    Bools,
    Ints,
    Transactions,
    ints,
)
from chaos.evidence.records import Scalar

_LINES_AT_ONCE = 2_000
_TRANSACTIONS_PER_BLOCK = 20_000
_KEYS_MAX = 2**31
_OUTCOMES = {"ok": OK, "fail": FAIL, "info": INFO}
_TOLD = ("index", "time", "node", "lsn", "error")

_KEYWORD = re.compile(rb'(?<=[\[,:]):([^\s,\[\]{}":]+)')
_EDN_WORDS = tuple(
    (f":{word},".encode(), f'"{word}":'.encode())
    for word in ("type", "f", "value", "process", "time", "index", "error")
) + tuple(
    (f":{word}".encode(), f'"{word}"'.encode())
    for word in ("invoke", "ok", "fail", "info", "txn", "append")
) + (
    (b":r,", b'"r",'),
    (b"nil", b"null"),
)  # fmt: skip
"""What an operation of list-append is written with in EDN, and in JSON."""


class NotPlainError(Exception):
    """The history is not of the plain kind that is read quickly."""


@dataclass(slots=True)
class _Block:
    """Transactions that have ended, until there are enough of them for arrays."""

    op: list[int] = field(default_factory=list)
    outcome: list[int] = field(default_factory=list)
    value: list[list[list[object]]] = field(default_factory=list)

    def add(self, op: int, value: object, outcome: int) -> None:
        """A transaction and what it did; without a value it did nothing."""
        if type(value) is list:
            self.op.append(op)
            self.outcome.append(outcome)
            self.value.append(value)
        elif value is not None:
            raise NotPlainError


def _longs() -> array[int]:
    return array("q")


@dataclass(slots=True)
class _Arrays:
    """The columns of the micro-operations, a part for each block."""

    op: list[Ints] = field(default_factory=list)
    is_read: list[Bools] = field(default_factory=list)
    key: list[Ints] = field(default_factory=list)
    value: list[Ints] = field(default_factory=list)
    length: list[Ints] = field(default_factory=list)
    elements: list[NDArray[np.integer]] = field(default_factory=list)

    def add(self, block: _Block) -> None:
        """The micro-operations of a block.

        Raises:
            NotPlainError: one of them is not of numbers.
        """
        flat = list(chain.from_iterable(block.value))
        if not flat:
            return
        try:
            f, keys, values = zip(*flat, strict=True)
        except (TypeError, ValueError) as error:
            raise NotPlainError from error
        counts = np.fromiter(map(len, block.value), np.int64, len(block.value))
        is_read = np.fromiter(map("r".__eq__, f), np.bool_, len(f))
        if int(is_read.sum()) + f.count("append") != len(f):
            raise NotPlainError
        outcome = np.repeat(ints(block.outcome), counts)[is_read]
        lists = list(compress(values, is_read.tolist()))
        appended = list(compress(values, (~is_read).tolist()))
        length = np.full(len(f), UNKNOWN_LENGTH, np.int64)
        read_length = _lengths(lists, outcome)
        length[is_read] = read_length
        value = np.full(len(f), -1, np.int64)
        value[~is_read] = _numbers(appended, 1 << VALUE_BITS)
        self.op.append(np.repeat(ints(block.op), counts))
        self.is_read.append(is_read)
        self.key.append(_numbers(keys, _KEYS_MAX))
        self.value.append(value)
        self.length.append(length)
        known = compress(lists, (read_length > 0).tolist())
        self.elements.append(
            _numbers(list(chain.from_iterable(known)), 1 << VALUE_BITS, small=True)
        )


def _lengths(lists: list[object], outcome: Ints) -> Ints:
    """The length of each read: a read of nil saw nothing if it was acknowledged."""
    if not set(map(type, lists)) <= {list, type(None)}:
        raise NotPlainError
    length = np.fromiter(
        (UNKNOWN_LENGTH if seen is None else len(seen) for seen in lists),  # type: ignore[arg-type]
        np.int64,
        len(lists),
    )
    length[(length < 0) & (outcome == OK)] = 0
    length[outcome == FAIL] = UNKNOWN_LENGTH
    return length


def _numbers(values: Iterable[object], limit: int, *, small: bool = False) -> Ints:
    """Whole numbers from 0 to below a limit."""
    try:
        column = np.array(values)
    except (ValueError, OverflowError) as error:
        raise NotPlainError from error
    if not len(column):
        return np.zeros(0, np.int64)
    if column.ndim != 1 or column.dtype != np.int64 or column.min() < 0 or column.max() >= limit:
        raise NotPlainError
    return column.astype(np.int32) if small and column.max() < _KEYS_MAX else column


@dataclass(slots=True)
class _LinesRead:
    """The transactions, while their lines are read. The number of a line is its time."""

    process: array[int] = field(default_factory=_longs)
    began: array[int] = field(default_factory=_longs)
    ended_op: array[int] = field(default_factory=_longs)
    ended: array[int] = field(default_factory=_longs)
    outcome: array[int] = field(default_factory=_longs)
    open: dict[int, tuple[int, object]] = field(default_factory=dict)
    """By process: the transaction that runs, and what it was asked to do."""
    block: _Block = field(default_factory=_Block)

    def take(self, first: int, operations: Sequence[Mapping[str, object] | None]) -> None:
        """Take the operations of some lines in, of which the first has the number ``first``.

        Raises:
            NotPlainError: one of them is of another kind.
        """
        running, add_process, add_began = self.open, self.process.append, self.began.append
        for line, operation in enumerate(operations, first):
            if operation is None:
                continue
            kind, process = operation.get("type"), operation.get("process")
            if type(process) is not int or abs(process) > PROCESS_MAX:
                if isinstance(process, str) and process in NEMESES:
                    continue
                raise NotPlainError
            if kind == "invoke":
                if process in running:
                    self.block.add(*running[process], INFO)
                running[process] = (len(self.process), operation.get("value"))
                add_process(process)
                add_began(line)
            elif isinstance(kind, str) and kind in _OUTCOMES and process in running:
                outcome = _OUTCOMES[kind]
                op, asked = running.pop(process)
                told = operation.get("value")
                self.block.add(op, asked if told is None else told, outcome)
                self.ended_op.append(op)
                self.ended.append(line)
                self.outcome.append(outcome)
            else:
                raise NotPlainError


def read_quickly(path: Path) -> Transactions:
    """The history in a file of the plain kind.

    Raises:
        NotPlainError: it is of another kind, or no history.
    """
    run, arrays = _LinesRead(), _Arrays()
    places: list[int] = []
    with _without_garbage_collection(), path.open("rb") as file:
        at = 0
        while lines := list(islice(file, _LINES_AT_ONCE)):
            run.take(len(places) * _LINES_AT_ONCE, _operations(lines))
            places.append(at)
            at += sum(map(len, lines))
            if len(run.block.op) >= _TRANSACTIONS_PER_BLOCK:
                arrays.add(run.block)
                run.block = _Block()
        for op, asked in run.open.values():
            run.block.add(op, asked, INFO)
        arrays.add(run.block)
    return _columns(_FileLines(path, places), run, arrays)


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """What is made here has no circles, and looking for them takes a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _operations(lines: list[bytes]) -> Sequence[Mapping[str, object] | None]:
    """The operation on each line; None where there is none."""
    try:
        if lines[0].startswith(b'{"'):
            together = b"[" + b",".join(lines) + b"]"
        else:
            together = b"[" + _json_of(b"".join(lines)) + b"]"
        operations = orjson.loads(together)
    except orjson.JSONDecodeError:
        operations = []
    if len(operations) == len(lines) and set(map(type, operations)) == {dict}:
        return operations  # type: ignore[no-any-return]
    return [_operation(line) for line in lines]


def _operation(line: bytes) -> Mapping[str, object] | None:
    """The operation on a line; None where there is none."""
    plain = line.strip()
    if plain[:2] in {b"[{", b",{"}:
        plain = plain[1:]
    if plain[-2:] in {b"},", b"}]"}:
        plain = plain[:-1]
    if not plain or plain in {b"[", b"]", b","} or plain[:1] == b";":
        return None
    if plain[:2] != b'{"':
        plain = _json_of(plain)
    try:
        operation = orjson.loads(plain)
    except orjson.JSONDecodeError:
        operation = _edn_of(line)
    if not isinstance(operation, dict):
        raise NotPlainError
    return operation


def _json_of(edn: bytes) -> bytes:
    """Operations in EDN as JSON; where there is anything unusual, what comes out is none."""
    text = edn.replace(b"#jepsen.history.Op", b"")
    if b'"' in text or b";" in text or b"#" in text:
        return b""
    text = b",".join(text.replace(b",", b" ").split())
    text = text.replace(b"[,", b"[").replace(b",]", b"]").replace(b"{,", b"{").replace(b",}", b"}")
    text = text.replace(b"][", b"],[").replace(b":value[", b":value,[")
    for word, replacement in _EDN_WORDS:
        text = text.replace(word, replacement)
    if b",:" in text or b"[:" in text or b"::" in text:
        text = _KEYWORD.sub(rb'"\1"', text)
    return text


def _edn_of(line: bytes) -> object:
    """An operation with something unusual in it: an error, say."""
    try:
        forms = list(read_edn(line.decode()))
    except (HistoryValueError, UnicodeDecodeError) as error:
        raise NotPlainError from error
    if len(forms) != 1:
        raise NotPlainError
    return forms[0].value


def _columns(lines: _FileLines, run: _LinesRead, arrays: _Arrays) -> Transactions:
    count = len(run.process)
    if not count or not arrays.op:
        raise NotPlainError
    process, began = _column(run.process), _column(run.began)
    ended_op = _column(run.ended_op)
    outcome = np.full(count, INFO, np.int8)
    outcome[ended_op] = _column(run.outcome)
    last_line = np.full(count, -1, np.int64)
    last_line[ended_op] = _column(run.ended)
    op = np.concatenate(arrays.op)
    order = np.argsort(op, kind="stable")
    length = np.concatenate(arrays.length)
    sizes = np.maximum(length, 0)
    names, key = np.unique(np.concatenate(arrays.key), return_inverse=True)
    return Transactions(
        outcome=outcome,
        process=process,
        began=began,
        ended=np.where(outcome == OK, last_line, NEVER),
        op=op[order],
        is_read=np.concatenate(arrays.is_read)[order],
        key=key.astype(np.int64)[order],
        value=np.concatenate(arrays.value)[order],
        offset=(np.cumsum(sizes) - sizes)[order],
        length=length[order],
        elements=np.concatenate(arrays.elements),
        keys=len(names),
        key_name=lambda number: int(names[number]),
        value_name=lambda value: value,
        details=lambda op: lines.details(int(process[op]), int(began[op]), int(last_line[op])),
    )


def _column(numbers: array[int]) -> Ints:
    return np.frombuffer(numbers, np.int64) if numbers else np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class _FileLines:
    """The lines of a file, read again when somebody asks for one."""

    path: Path
    places: list[int]
    """Where every ``_LINES_AT_ONCE``-th line begins, in bytes."""

    def details(self, process: int, began: int, ended: int) -> dict[str, Scalar]:
        """What the lines of a transaction say of it beside its micro-operations."""
        told: dict[str, Scalar] = {"process": process}
        outcome: Scalar = "unknown"
        for name, number in (("began", began), ("ended", ended)):
            if number < 0:
                continue
            told[f"{name}_line"] = number + 1
            operation = self._operation(number)
            for key in _TOLD:
                if isinstance(value := operation.get(key), str | int | float):
                    told[f"{name}_{key}"] = value
            outcome = str(operation.get("type")) if name == "ended" else outcome
        told["outcome"] = outcome
        return told

    def _operation(self, number: int) -> Mapping[str, object]:
        block, within = divmod(number, _LINES_AT_ONCE)
        with self.path.open("rb") as file:
            file.seek(self.places[block])
            return _operation(next(islice(file, within, None))) or {}
