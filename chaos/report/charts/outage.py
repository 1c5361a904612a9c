"""The outage in its parts, as bars on one axis that begins with the fault; the prediction below."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from chaos.report.charts.scales import LinearScale, ticks
from chaos.report.charts.svg import chart, el, line, rect, text
from chaos.report.words import phase_words, predicted_words, seconds
from chaos.timing import RTO_PHASES, Prediction, RtoPhase

_ROW = 40.0
_BAR = 12.0
_LABEL = 14.0
"""From the top of a row to the baseline of its label; the bar lies below."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of the outage, in seconds after the fault."""

    name: RtoPhase
    from_s: float
    to_s: float


def parts(phases_s: Mapping[RtoPhase, float]) -> tuple[Part, ...]:
    """The phases end to end, in the order in which they follow each other."""
    found: list[Part] = []
    at_s = 0.0
    for name in RTO_PHASES:
        if name in phases_s:
            found.append(Part(name=name, from_s=at_s, to_s=at_s + phases_s[name]))
            at_s += phases_s[name]
    return tuple(found)


def outage_chart(
    phases_s: Mapping[RtoPhase, float], prediction: Prediction | None, *, narrow: bool
) -> Markup:
    """The bars as SVG; empty if there is nothing to show.

    Args:
        phases_s: The parts of the outage in seconds; empty where no fault struck.
        prediction: What the settings let expect.
        narrow: For a column of 358 pixels instead of 1000.
    """
    found = parts(phases_s)
    if not found:
        return Markup("")
    width = 358.0 if narrow else 1000.0
    total_s = found[-1].to_s
    reach_s = max(total_s, prediction.high_s if prediction else 0.0, 0.001)
    # Some space on the right, so that the end of the longest bar is visible.
    x = LinearScale(low=0.0, high=reach_s * 1.03, start=1.0, stop=width - 1)
    drawn, y = Markup(""), 0.0
    for part in found:
        share = seconds(part.to_s - part.from_s)
        row = _row(phase_words(part.name), share, part.from_s, part.to_s, x, "part")
        drawn += el("g", row, transform=f"translate(0 {y:g})", data_phase=part.name)
        y += _ROW
    drawn += _at(
        y, _row("Whole outage, from the fault", seconds(total_s), 0.0, total_s, x, "whole")
    )
    y += _ROW
    if prediction is not None:
        label = "Predicted" if narrow else "Predicted from topology and settings"
        drawn += _at(y, _prediction_row(label, prediction, x))
        y += _ROW
    drawn = _grid(x, y + 4, width) + drawn
    return chart(
        "outage-narrow" if narrow else "outage-wide",
        width,
        y + 42,
        drawn,
        title="The outage in its parts",
        description=_description(found, total_s, prediction),
        class_="chart outage-parts",
    )


def prediction_met(phases_s: Mapping[RtoPhase, float], prediction: Prediction | None) -> str:
    """A sentence that compares the outage, from the fault, with the prediction; empty without
    one."""
    found = parts(phases_s)
    if prediction is None or not found:
        return ""
    total_s = found[-1].to_s
    if total_s > prediction.high_s:
        return f"Longer than predicted by {seconds(total_s - prediction.high_s)}."
    if total_s < prediction.low_s:
        return f"Shorter than predicted by {seconds(prediction.low_s - total_s)}."
    return "Within the prediction."


def _at(y: float, drawing: Markup) -> Markup:
    return el("g", drawing, transform=f"translate(0 {y:g})")


def _row(  # noqa: PLR0913, PLR0917  a bar is two texts and two ends
    label: str, value: str, from_s: float, to_s: float, x: LinearScale, class_: str
) -> Markup:
    x1, x2 = x.at(from_s), x.at(to_s)
    # A part of some milliseconds still shows as a line.
    bar = rect(x1, _LABEL + 6, max(x2 - x1, 1.5), _BAR, class_=class_)
    return (
        text(1, _LABEL, label, class_="bar-name")
        + text(x.stop, _LABEL, value, text_anchor="end", class_="bar-value")
        + bar
    )


def _prediction_row(label: str, prediction: Prediction, x: LinearScale) -> Markup:
    value = predicted_words(prediction)
    x1, x2 = x.at(prediction.low_s), x.at(prediction.high_s)
    middle = _LABEL + 6 + _BAR / 2
    whisker = rect(x1, middle - 4, x2 - x1, 8, class_="predicted")
    ends = [line(at, middle - 8, at, middle + 8, class_="predicted-end") for at in (x1, x2)]
    return (
        text(1, _LABEL, label, class_="bar-name")
        + text(x.stop, _LABEL, value, text_anchor="end", class_="bar-value")
        + whisker
        + Markup("").join(ends)
    )


def _grid(x: LinearScale, bottom: float, width: float) -> Markup:
    drawn = line(x.start, bottom, x.stop, bottom, class_="axis")
    for value in ticks(x.low, x.high, 5 if width < 500 else 12):
        at = x.at(value)
        drawn += line(at, 0, at, bottom, class_="grid")
        drawn += line(at, bottom, at, bottom + 5, class_="axis")
        anchor = "start" if value == 0 else "end" if at > width - 12 else "middle"
        drawn += text(at, bottom + 18, f"{value:g}", text_anchor=anchor, class_="tick")
    caption = "seconds after the fault"
    return drawn + text(x.stop, bottom + 35, caption, text_anchor="end", class_="tick")


def _description(found: tuple[Part, ...], total_s: float, prediction: Prediction | None) -> str:
    told = [f"{phase_words(part.name)}: {seconds(part.to_s - part.from_s)}" for part in found]
    told.append(f"whole: {seconds(total_s)}")
    if prediction is not None:
        told.append(f"predicted: {predicted_words(prediction)}")
    return "; ".join(told)
