"""Foreign histories of registers, counters, sets, banks and forks: from a file to an answer.

What only the file knows is decided here: whose conventions hold, and what a register held at first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from chaos.consistency import bank, comments, counter, long_fork, registers, sets
from chaos.consistency.answer import HistoryAnswer
from chaos.consistency.calls import READ, Call
from chaos.consistency.errors import HistoryFileError, HistoryValueError
from chaos.consistency.foreign.attempts import read_attempts
from chaos.consistency.foreign.calls import (
    lock_calls,
    register_calls,
    text_calls,
    transaction_calls,
)
from chaos.consistency.foreign.jepsen_log import is_log, read_log
from chaos.consistency.objects import MultiRegister, Mutex, Register, SequentialObject, Text
from chaos.consistency.registers import LINEARIZABLE
from chaos.findings import Verdict

T = TypeVar("T")

ZERO = 0
"""What registers hold at first in Knossos' own tests; in its models, and in etcd, it is nil."""


def judge_register(path: Path, level: str, *, model: str = "register") -> HistoryAnswer:
    """A register: Jepsen's log lines by Porcupine's conventions, EDN and JSON by Knossos'.

    Raises:
        HistoryFileError: the file is no such history.
    """
    del level
    if path.is_file() and is_log(path):
        return _judge_calls(_named(path, lambda: read_log(path)), Register, model)
    attempts = read_attempts(path)
    calls = _named(path, lambda: register_calls(attempts))
    nil_was_read = any(one.f == READ and one.is_ok and one.answered is None for one in attempts)
    return _from_nil_or_zero(calls, Register, model, is_nil_likely=nil_was_read)


def judge_mutex(path: Path, level: str) -> HistoryAnswer:
    """A lock, free at first.

    Raises:
        HistoryFileError: the file is no such history.
    """
    del level
    attempts = read_attempts(path)
    return _judge_calls(_named(path, lambda: lock_calls(attempts)), Mutex, "mutex")


def judge_text(path: Path, level: str) -> HistoryAnswer:
    """Texts under keys, empty at first (Porcupine's ``kv``).

    Raises:
        HistoryFileError: the file is no such history.
    """
    del level
    attempts = read_attempts(path)
    return _judge_calls(_named(path, lambda: text_calls(attempts)), Text, "kv")


def judge_multi_register(path: Path, level: str) -> HistoryAnswer:
    """Registers that one transaction reads and writes several of.

    Raises:
        HistoryFileError: the file is no such history.
    """
    del level
    attempts = read_attempts(path)
    calls = _named(path, lambda: transaction_calls(attempts))
    keys = [key for call in calls for _, key, _ in _parts(call)]
    return _from_nil_or_zero(
        calls, lambda opening: MultiRegister(keys, opening), "multi-register", is_nil_likely=False
    )


def judge_counter(path: Path, level: str) -> HistoryAnswer:
    """Jepsen's counter.

    Raises:
        HistoryFileError: the file is no such history.
    """
    return _judged(path, level, counter.judge, model="counter")


def judge_set(path: Path, level: str) -> HistoryAnswer:
    """Jepsen's set with one last read.

    Raises:
        HistoryFileError: the file is no such history.
    """
    return _judged(path, level, sets.judge_last_read, model="set")


def judge_set_full(path: Path, level: str) -> HistoryAnswer:
    """Jepsen's set with reads all along.

    Raises:
        HistoryFileError: the file is no such history.
    """
    return _judged(path, level, sets.judge_all_reads, model="set-full")


def judge_bank(path: Path, level: str) -> HistoryAnswer:
    """Jepsen's bank.

    Raises:
        HistoryFileError: the file is no such history.
    """
    return _judged(path, level, bank.judge, model="bank")


def judge_long_fork(path: Path, level: str) -> HistoryAnswer:
    """Jepsen's long fork.

    Raises:
        HistoryFileError: the file is no such history.
    """
    return _judged(path, level, long_fork.judge, model="long-fork")


def judge_comments(path: Path, level: str) -> HistoryAnswer:
    """The comments of elle-cli and of Jepsen's CockroachDB suite.

    Raises:
        HistoryFileError: the file is no such history.
    """
    return _judged(path, level, comments.judge, model="comments")


def _judged(
    path: Path, level: str, judge: Callable[..., HistoryAnswer], *, model: str
) -> HistoryAnswer:
    attempts = read_attempts(path)
    if not attempts:
        return _empty(model, level)
    return _named(path, lambda: judge(attempts, level=level))


def _judge_calls(
    calls: Sequence[Call], on: Callable[[], SequentialObject], model: str
) -> HistoryAnswer:
    return registers.judge(calls, on, model=model) if calls else _empty(model, LINEARIZABLE)


def _empty(model: str, level: str) -> HistoryAnswer:
    return HistoryAnswer(
        model=model,
        level=level,
        verdict=Verdict.UNKNOWN,
        reason="There is nothing to judge: no operation of a client is left that says anything.",
        counts={"operations": 0},
    )


def _from_nil_or_zero(
    calls: Sequence[Call],
    on: Callable[[object], SequentialObject],
    model: str,
    *,
    is_nil_likely: bool,
) -> HistoryAnswer:
    """The answer where the history does not say what the register held at first.

    Nil is Knossos' default. Where that is refuted, and zero, with which Knossos' own tests begin,
    is not, the verdict hangs on which it was. Then zero is taken if no read saw nil.
    """
    answer = _judge_calls(calls, lambda: on(None), model)
    if answer.verdict is not Verdict.INVALID:
        return answer
    from_zero = registers.judge(calls, lambda: on(ZERO), model=model)
    if from_zero.verdict is not Verdict.VALID:
        return answer
    if not is_nil_likely:
        note = "The register held 0 at first: no order explains the reads if it was empty."
        return replace(from_zero, notes=(*from_zero.notes, note))
    return HistoryAnswer(
        model=model,
        level=answer.level,
        verdict=Verdict.UNKNOWN,
        reason="What the register held at first decides, and the history does not say it: if it "
        "was empty the history is not linearizable, if it held 0 it is. Begin it with a write.",
        counts=answer.counts,
        notes=tuple(sentence for one in answer.anomalies for sentence in one.sentences),
    )


def _parts(call: Call) -> Sequence[tuple[str, object, object]]:
    return call.value if isinstance(call.value, tuple) else ()


def _named(path: Path, read: Callable[[], T]) -> T:
    """What ``read`` returns; its errors with the name of the file."""
    try:
        return read()
    except HistoryValueError as error:
        raise HistoryFileError(
            error.reason, file=str(path), line=error.line, remedy=error.remedy
        ) from error
    except RecursionError as error:
        raise HistoryFileError("a value in it is nested too deeply", file=str(path)) from error
