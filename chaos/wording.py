"""Small helpers for English sentences, for faults and reports alike."""

from __future__ import annotations

from collections.abc import Sequence


def joined(parts: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    if len(parts) <= 1:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def possessive(name: str) -> str:
    """``db-paris'`` and ``db-orsay's``."""
    return f"{name}'" if name.endswith("s") else f"{name}'s"


def plural(word: str, of: Sequence[object]) -> str:
    """``link`` of one thing, ``links`` of several."""
    return word if len(of) == 1 else f"{word}s"


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun: ``1 entry``, ``5,812 entries``.

    Args:
        number: how many.
        one: the noun for one.
        many: for any other number; None: one s more.
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def links_of(hosts: Sequence[str]) -> str:
    """``the link of a``, ``the links of a and b``."""
    return f"the {plural('link', hosts)} of {joined(hosts)}"
