"""One thing that is wrong with what a person wrote, and how a list of them reads. Values only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is wrong, and where."""

    key: str
    """The path of the key, as ``site[1].host[0].roles`` (counted from 0); empty for the whole."""
    words: str
    """What was expected and what was found."""

    def __str__(self) -> str:
        return f"{self.key}: {self.words}" if self.key else self.words


def describe(source: str, problems: Sequence[Problem]) -> str:
    """The text for people: one line for one problem, else a heading and a line for each."""
    if len(problems) == 1:
        return f"{source}: {problems[0]}"
    return "\n".join([f"{source}: {len(problems)} problems", *(f"  {p}" for p in problems)])
