"""Files with histories of list-append, and the verdict on them."""

from __future__ import annotations

from pathlib import Path

from chaos.consistency.answer import HistoryAnswer
from chaos.consistency.append.histories import from_events
from chaos.consistency.append.judge import judge_transactions
from chaos.consistency.append.quick import NotPlainError, read_quickly
from chaos.consistency.errors import HistoryFileError, HistoryValueError
from chaos.consistency.foreign.jepsen import read_events
from chaos.consistency.transactions.columns import Transactions


def read_transactions(path: Path) -> Transactions:
    """The history in a file, whatever its format.

    Raises:
        HistoryFileError: it is none.
    """
    try:
        return read_quickly(path)
    except NotPlainError:
        events = read_events(path)
    try:
        return from_events(events)
    except HistoryValueError as error:
        raise HistoryFileError(
            error.reason, file=str(path), line=error.line, remedy=error.remedy
        ) from error
    except RecursionError as error:
        raise HistoryFileError("a value in it is nested too deeply", file=str(path)) from error


def judge_file(path: Path, level: str) -> HistoryAnswer:
    """Read a file and judge it.

    Raises:
        HistoryFileError: it is no history of list-append.
    """
    return judge_transactions(read_transactions(path), level)
