"""Files with histories of rw-register, and the verdict on them."""

from __future__ import annotations

from pathlib import Path

from chaos.consistency.answer import HistoryAnswer
from chaos.consistency.errors import HistoryFileError, HistoryValueError
from chaos.consistency.foreign.jepsen import read_events
from chaos.consistency.levels import LEVELS
from chaos.consistency.rw_register.histories import from_events
from chaos.consistency.rw_register.judge import RwRegisterJudge


def judge_file(path: Path, level: str) -> HistoryAnswer:
    """Read a file and judge it.

    Raises:
        HistoryFileError: it is no history of rw-register.
    """
    try:
        history = from_events(read_events(path))
    except HistoryValueError as error:
        raise HistoryFileError(
            error.reason, file=str(path), line=error.line, remedy=error.remedy
        ) from error
    except RecursionError as error:
        raise HistoryFileError("a value in it is nested too deeply", file=str(path)) from error
    return RwRegisterJudge(history).judge(LEVELS[level])
