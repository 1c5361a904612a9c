"""JSON lines, tolerantly: a line that cannot be read is damage, not an error."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path


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
