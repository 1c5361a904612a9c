"""What a known trap is: something that is legal and surprises. A value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Trap:
    """Something that is legal and surprises."""

    key: str
    """Lower-case words with dashes; stays the same when the words change."""
    words: str
    """What happens, and when."""
    remedy: str
    source: str
    is_note: bool = False
    """It is a trade, not a fault: told, and counted by nobody."""
