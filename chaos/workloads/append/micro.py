"""How a transaction on lists stands in a history: written and read here. Pure.

``work.txn`` says what it does, ``append 3 17; read 5; read 7 by tag``, in its order.
``result.read`` says what its reads saw, in their order, as PostgreSQL gave it: ``1,2,17;;4``; a
list that nobody had appended to is empty.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

BY_TAG = "by tag"
"""The row was looked for by its secondary key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MicroOp:
    """One access to one list."""

    key: int
    value: int | None = None
    """What is appended; None: the list is read."""
    by_tag: bool = False

    def __str__(self) -> str:
        what = f"read {self.key}" if self.value is None else f"append {self.key} {self.value}"
        return f"{what} {BY_TAG}" if self.by_tag else what


def written(micro_ops: Sequence[MicroOp]) -> str:
    """What a transaction does, as a text."""
    return "; ".join(map(str, micro_ops))


def parsed(text: str) -> tuple[MicroOp, ...]:
    """The inverse of ``written``.

    Raises:
        ValueError: it is no such text.
    """
    return tuple(_parsed(part) for part in text.split("; ") if part)


def lists_written(lists: Sequence[str]) -> str:
    """What the reads of a transaction saw, as a text."""
    return ";".join(lists)


def lists_parsed(text: str) -> Iterator[tuple[int, ...]]:
    """The inverse of ``lists_written``; the lists as numbers.

    Raises:
        ValueError: it is no such text.
    """
    return map(list_parsed, text.split(";"))


def list_parsed(text: str) -> tuple[int, ...]:
    """A list as PostgreSQL holds it: ``1,2,17``.

    Raises:
        ValueError: it is none.
    """
    return tuple(map(int, text.split(","))) if text else ()


def _parsed(part: str) -> MicroOp:
    words = part.split(" ")
    by_tag = part.endswith(f" {BY_TAG}")
    match words[:-2] if by_tag else words:
        case ["read", key]:
            return MicroOp(key=int(key), by_tag=by_tag)
        case ["append", key, value]:
            return MicroOp(key=int(key), value=int(value), by_tag=by_tag)
    raise ValueError(f"{part!r} is neither an append nor a read of a list")
