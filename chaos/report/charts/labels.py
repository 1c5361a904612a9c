"""Places texts in a chart: estimates their width, and sets them without overlaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Literal

Anchor = Literal["start", "end"]

_GAP = 6.0
"""Pixels between two labels on one tier."""

_NARROW, _WIDE = frozenset("iljtfrI.,:;|'()[] -"), frozenset("mwMW@%✕")


def text_width(content: str, size: float) -> float:
    """About how wide ``content`` is in pixels, in a sans-serif of ``size`` pixels.

    The width cannot be measured here. The shares of an em are those of a wide font (DejaVu Sans),
    so that a text that fits by this fits in every usual font.
    """
    return sum(0.4 if c in _NARROW else 0.95 if c in _WIDE else 0.63 for c in content) * size


def shorten(content: str, width: float, size: float) -> str:
    """``content``, cut with an ellipsis where it would be wider than ``width``."""
    if text_width(content, size) <= width:
        return content
    cut = content
    while cut and text_width(cut + "…", size) > width:
        cut = cut[:-1]
    return cut + "…"


def clear_middle(left: float, right: float, width: float, poles: Sequence[float]) -> float | None:
    """Where to centre a text of ``width`` within ``left..right`` so that no pole goes through it.

    The middle, if it is clear; else that of the widest stretch between poles; None where the text
    fits nowhere.
    """
    if width > right - left:
        return None
    middle = (left + right) / 2
    if not any(abs(pole - middle) < width / 2 + 2 for pole in poles):
        return middle
    edges = [left, *sorted(pole for pole in poles if left < pole < right), right]
    start, stop = max(pairwise(edges), key=lambda stretch: stretch[1] - stretch[0])
    return (start + stop) / 2 if width <= stop - start else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """A label on a pole. The pole stands at ``x`` and goes down from ``tier`` (0 is the lowest)."""

    x: float
    width: float
    tier: int
    anchor: Anchor

    @property
    def left(self) -> float:
        """Where the label begins."""
        return self.x if self.anchor == "start" else self.x - self.width

    @property
    def right(self) -> float:
        """Where it ends."""
        return self.left + self.width


def place_flags(poles: Sequence[tuple[float, float]], right_max: float) -> tuple[Flag, ...]:
    """A place for each ``(x, label width)``, in the given order.

    The labels of the first poles go to their right, those of the last ones to their left, as many
    as the right border requires or as look tidy. No two labels on a tier overlap; a pole crosses
    another's label only where nothing else fits.
    """
    order = sorted(range(len(poles)), key=lambda index: poles[index][0])
    fitting = 0
    while fitting < len(order) and sum(poles[order[fitting]]) <= right_max:
        fitting += 1
    ways = [_place(poles, order, turn) for turn in range(fitting, -1, -1)]
    best = min(ways, key=_untidiness)  # the first of equals: as many to the right as possible
    return tuple(best[index] for index in range(len(poles)))


def _place(
    poles: Sequence[tuple[float, float]], order: Sequence[int], turn: int
) -> dict[int, Flag]:
    """Labels to the right for the first ``turn`` poles of ``order``, to the left for the others."""
    placed: dict[int, Flag] = {}
    # Labels to the right are set from the right: the next pole then stands left of every label
    # that is already there, and can go up without meeting one. Labels to the left: mirrored.
    for index in (*order[turn:], *reversed(order[:turn])):
        x, width = poles[index]
        anchor: Anchor = "end" if index in order[turn:] else "start"
        placed[index] = _lowest(x, width, anchor, tuple(placed.values()))
    return placed


def _untidiness(placed: Mapping[int, Flag]) -> tuple[int, bool, int]:
    """Crossings first, then labels beyond the left border, then tiers."""
    flags = tuple(placed.values())
    crossings = sum(_crossed(one, other) for one, other in combinations(flags, 2))
    outside = any(flag.left < 0 for flag in flags)
    return crossings, outside, max((flag.tier for flag in flags), default=0)


def _lowest(x: float, width: float, anchor: Anchor, others: Sequence[Flag]) -> Flag:
    tiers = [Flag(x=x, width=width, tier=tier, anchor=anchor) for tier in range(len(others) + 1)]
    free = [flag for flag in tiers if not any(_overlap(flag, other) for other in others)]
    clean = [flag for flag in free if not any(_crossed(flag, other) for other in others)]
    return (clean or free)[0]


def _overlap(one: Flag, other: Flag) -> bool:
    return (
        one.tier == other.tier and one.left < other.right + _GAP and other.left < one.right + _GAP
    )


def _crossed(one: Flag, other: Flag) -> bool:
    """The pole of one of them goes through the other's label."""
    high, low = (one, other) if one.tier > other.tier else (other, one)
    return high.tier > low.tier and low.left - 1 < high.x < low.right + 1 and high.x != low.x
