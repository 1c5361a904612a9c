"""What can be wrong with a history that somebody asks about."""

from __future__ import annotations

from chaos.errors import ChaosError


class OperationNumber(int):
    """In place of a line, from 1: the number of an operation, in a list without a line for each."""


def place_of(number: int) -> str:
    """Where something stands in a file, in words: ``line 7``, or ``operation 7``."""
    return f"{'operation' if isinstance(number, OperationNumber) else 'line'} {number:,}"


class HistoryFileError(ChaosError):
    """A file cannot be read as a history of the model that was asked for.

    Attributes:
        file: The file, as it was given.
        line: The line of the first thing that is wrong, from 1; 0 where it is the whole file.
        reason: What is wrong there.
        remedy: What to do about it; empty where the reason says it.
    """

    def __init__(self, reason: str, *, file: str, line: int = 0, remedy: str = "") -> None:
        where = f"{file}:{line}" if line else file
        if isinstance(line, OperationNumber):
            where = f"{file}, {place_of(line)}"
        super().__init__(f"{where}: {reason}" + (f"\n  remedy: {remedy}" if remedy else ""))
        self.file = file
        self.line = line
        self.reason = reason
        self.remedy = remedy


class HistoryValueError(ChaosError):
    """A value in a history does not have the form that its model needs; without a file.

    Attributes:
        line: Its line, from 1; 0 where it is not known.
        reason: What is wrong there.
        remedy: What to do about it; empty where the reason says it.
    """

    def __init__(self, reason: str, *, line: int = 0, remedy: str = "") -> None:
        super().__init__(f"{place_of(line)}: {reason}" if line else reason)
        self.line = line
        self.reason = reason
        self.remedy = remedy
