"""What the logs of a cluster's processes say, for the words of an error: causes, and last lines."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

LOG_TAIL_LINES = 8
TRACEBACK = ("  ", "Traceback", "During handling", "multiprocessing.")
"""How the lines of a Python traceback begin: an operator does not need them."""
GRAVITY = (
    re.compile(r"\b(FATAL|PANIC): "),
    re.compile(r"^\S+: error: |\bCRITICAL: |^(\w+\.)*\w*(Exception|Error): "),
    re.compile(r"\bERROR: "),
)
"""What a line of trouble looks like, the gravest first: a server's end, a program's
(``pg_basebackup: error:``, ``Exception:``), anything else. For people only: no decision uses it."""
PASSING = re.compile(r"the database system is (starting up|not yet accepting connections)")
"""The answer to a question that comes too early; that is no cause."""
PREFIX = re.compile(r"^\d{4}-\d\d-\d\d [\d:.,]+( [A-Z]+)?( \[\d+\])?( \S*@\S*)? ")
"""The time, and PostgreSQL's process and client (``log_line_prefix``)."""
LOGS_NAMED_MAX = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A line that may be the cause, without its time; smaller gravity is graver."""

    gravity: int
    words: str


def log_tail(path: Path) -> str:
    """The last lines of a log that say something, indented below its path."""
    telling = [line for line in _lines(path) if line.strip() and not line.startswith(TRACEBACK)]
    return "\n".join([f"  {path}:", *(f"    {line}" for line in telling[-LOG_TAIL_LINES:])])


def log_causes(paths: Iterable[Path]) -> str:
    """The gravest line of each log, the same ones once, each with the logs that have it.

    Returns:
        Indented lines, the gravest first; the last lines of every log where none has trouble.
    """
    found: dict[Trouble, list[Path]] = {}
    paths = list(paths)
    for path in paths:
        if (trouble := find_trouble(_lines(path))) is not None:
            found.setdefault(trouble, []).append(path)
    if not found:
        return "\n".join(log_tail(path) for path in paths)
    order = sorted(found, key=lambda trouble: (trouble.gravity, -len(found[trouble])))
    return "\n".join(f"  {trouble.words}\n    {_named(found[trouble])}" for trouble in order)


def find_trouble(lines: Iterable[str]) -> Trouble | None:
    """The gravest line, the last one of those; None if nothing went wrong."""
    gravest: Trouble | None = None
    for line in lines:
        words = PREFIX.sub("", line).strip()
        for gravity, pattern in enumerate(GRAVITY):
            if pattern.search(words) and not PASSING.search(words):
                if gravest is None or gravity <= gravest.gravity:
                    gravest = Trouble(gravity=gravity, words=words)
                break
    return gravest


def _named(paths: list[Path]) -> str:
    more = len(paths) - LOGS_NAMED_MAX
    names = ", ".join(str(path) for path in paths[:LOGS_NAMED_MAX])
    return f"{names} and {more} more" if more > 0 else names


def _lines(path: Path) -> list[str]:
    return path.read_text(errors="replace").splitlines() if path.exists() else []
