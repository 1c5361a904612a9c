"""The frame of the timeline chart: its measures, and small parts that several rows share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from chaos.report.charts.labels import clear_middle, shorten, text_width
from chaos.report.charts.scales import LinearScale, ticks
from chaos.report.charts.svg import el, line, rect, text

WIDTH = 1000.0
LEFT = 132.0
"""The gutter with names and tick labels."""
RIGHT = 14.0
FONT = 12.0
TIER = 18.0
"""Height of a row of labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A part of the chart that is drawn from its own top, and how high it is."""

    height: float
    drawing: Markup


def time_scale(end_s: float) -> LinearScale:
    """Seconds since the start of the run to x."""
    return LinearScale(low=0.0, high=end_s, start=LEFT, stop=WIDTH - RIGHT)


def stack(blocks: list[tuple[float, Block]]) -> tuple[Markup, float]:
    """The blocks under each other, each after a gap in pixels; and the height of it all."""
    y, drawn = 0.0, Markup("")
    for gap, block in blocks:
        y += gap
        drawn += el("g", block.drawing, transform=f"translate(0 {y:g})")
        y += block.height
    return drawn, y


def gutter_name(name: str, y: float, *, width: float = LEFT - 8, class_: str = "name") -> Markup:
    """A name in the gutter; one that is too long is cut, and whole in its title."""
    shown = shorten(name, width, 13.0)
    return el("text", el("title", name) if shown != name else "", shown, x=0, y=y, class_=class_)


def band(  # noqa: PLR0913  two ends, a height, and three texts
    x1: float,
    x2: float,
    height: float,
    label: str,
    *,
    poles: Sequence[float],
    class_: str,
    hint: str,
) -> Markup:
    """A filled range with its label inside, if it fits clear of the ``poles``; and a hint."""
    middle = clear_middle(x1, x2, text_width(label, FONT) + 8, poles)
    return el(
        "g",
        el("title", hint),
        rect(x1, 0, x2 - x1, height, class_="fill"),
        "" if middle is None else text(middle, height / 2 + 4, label, text_anchor="middle"),
        class_=class_,
    )


def time_axis(scale: LinearScale) -> Block:
    """Ticks and their labels, with the unit."""
    drawn = line(scale.start, 0, scale.stop, 0, class_="axis")
    for value in ticks(scale.low, scale.high, 12):
        x = scale.at(value)
        drawn += line(x, 0, x, 5, class_="axis")
        drawn += text(x, 19, f"{value:g}", text_anchor="middle", class_="tick")
    caption = "seconds since the run's start"
    drawn += text(scale.stop, 36, caption, text_anchor="end", class_="tick")
    return Block(height=42.0, drawing=drawn)


def grid(scale: LinearScale, top: float, bottom: float) -> Markup:
    """Faint vertical lines at the ticks."""
    lines = [
        line(scale.at(value), top, scale.at(value), bottom, class_="grid")
        for value in ticks(scale.low, scale.high, 12)
    ]
    return Markup("").join(lines)
