"""JSON lines: typed access to the fields of one, and files of them, written and read tolerantly.

A line that cannot be read is damage, not an error.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from chaos.evidence.records import Scalar


def given(said: Mapping[str, object]) -> dict[str, object]:
    """A line's fields without those that say nothing: None."""
    return {name: value for name, value in said.items() if value is not None}


class LineFile:
    """Appends JSON objects as lines; each is with the operating system before ``append`` returns.

    Each has a number (``seq``, from 0 on), so that one that was lost later is missed. So the death
    of the process loses no line, and cuts none but the last. Not synced to disk: the file must
    survive the process, not the machine. Use it as a context manager.
    """

    def __init__(self, path: Path) -> None:
        self._seq = 0
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._fd)

    def append(self, line: Mapping[str, object]) -> None:
        """Append one line.

        Raises:
            OSError: the disk is full, say; nothing must be called ok without its line.
        """
        data = f"{json.dumps({'seq': self._seq, **line})}\n".encode()
        self._seq += 1
        while data:
            data = data[os.write(self._fd, data) :]


_NOTHING: Mapping[str, Scalar] = {}


class Fields:
    """The fields of a line. Every method raises ``ValueError`` that names the field."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = values

    def text(self, name: str) -> str:
        """A text that must be there."""
        value = self.text_or_none(name)
        if value is None:
            raise ValueError(f"{name} is missing")
        return value

    def text_or_none(self, name: str) -> str | None:
        """A text; None if it is absent or null."""
        value = self._values.get(name)
        if value is None or isinstance(value, str):
            return value
        raise ValueError(f"{name} is no text")

    def integer(self, name: str) -> int:
        """An integer that must be there."""
        value = self.integer_or_none(name)
        if value is None:
            raise ValueError(f"{name} is missing")
        return value

    def integer_or_none(self, name: str) -> int | None:
        """An integer; None if it is absent or null."""
        value = self._values.get(name)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        raise ValueError(f"{name} is no integer")

    def number(self, name: str) -> float:
        """A number that must be there."""
        value = self.number_or_none(name)
        if value is None:
            raise ValueError(f"{name} is missing")
        return value

    def number_or_none(self, name: str) -> float | None:
        """A number; None if it is absent or null."""
        value = self._values.get(name)
        if value is None:
            return None
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        raise ValueError(f"{name} is no number")

    def boolean(self, name: str) -> bool:
        """True or false, which must be there."""
        value = self._values.get(name)
        if isinstance(value, bool):
            return value
        raise ValueError(f"{name} is neither true nor false")

    def flag(self, name: str, *, default: bool = False) -> bool:
        """True or false; ``default`` where it is absent or null."""
        return default if self._values.get(name) is None else self.boolean(name)

    def scalars(self, name: str) -> Mapping[str, Scalar]:
        """An object of texts, numbers and booleans; empty where it is absent or null."""
        value = self._values.get(name)
        if value is None:
            return _NOTHING
        if not isinstance(value, dict):
            raise ValueError(f"{name} is no object")  # noqa: TRY004 - damage of a line, no bug
        for key, item in value.items():
            if item is not None and not isinstance(item, str | int | float | bool):
                raise ValueError(f"{name}.{key} is neither text nor number")
        return value


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)
"""Python reads NaN and Infinity by default; a time that is no number would poison comparisons."""


def read_lines(path: Path, damage: list[str]) -> Iterator[tuple[int, Mapping[str, object]]]:
    """The objects of a ``.jsonl`` file with their line numbers, from 1.

    Args:
        path: The file.
        damage: Takes one entry for every line that is no JSON object. A last line without its
            newline is one that was being written when its writer was killed: it is left out even if
            it happens to be JSON, because a number may have lost digits.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        damage.append(f"{path.name}: cannot be read ({error.strerror})")
        return
    lines = content.split(b"\n")
    if lines[-1]:
        damage.append(f"{path.name}: line {len(lines)} is cut short")
    for number, line in enumerate(lines[:-1], start=1):
        try:
            value = _DECODER.decode(line.decode("utf-8"))
        except (ValueError, RecursionError):
            damage.append(f"{path.name}: line {number} is no JSON")
            continue
        if isinstance(value, dict):
            yield number, value
        else:
            damage.append(f"{path.name}: line {number} is no JSON object")


def missing_lines(numbers: Sequence[int | None], one: str) -> Iterator[str]:
    """What the numbers (``seq``, from 0 on) of a file's lines show of missing lines.

    Older run folders have no numbers, so they show nothing. A line that cannot be read is
    damage already, and is counted a second time here: its number is missing.

    Args:
        numbers: Of the lines, in the order of the file; None for a line without one.
        one: What a line is called in words: ``event``, ``line``.
    """
    if all(number is None for number in numbers):
        return
    expected = 0
    for number in numbers:
        if number is None:
            yield f"{'an' if one[0] in 'aeiou' else 'a'} {one} has no number (seq)"
        elif number < expected:
            yield f"{one} {number} stands twice, or in the wrong place"
        else:
            if number > expected:
                yield f"{_counted(one, expected, number - 1)} missing"
            expected = number + 1


def _counted(one: str, first: int, last: int) -> str:
    return f"{one} {first} is" if first == last else f"{one}s {first} to {last} are"
