"""What a panel of the dashboard is, as data: its queries, its unit, how its values read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

PanelKind = Literal["stat", "timeseries", "states"]
"""stat: one large value now. timeseries: lines. states: one bar a series, coloured by value."""

Colour = Literal["green", "yellow", "orange", "red", "blue", "purple", "gray"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PromQuery:
    """PromQL with Grafana's variables in it, and the name of each series (``{{label}}``)."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueMeaning:
    """How one value reads."""

    value: int
    text: str
    colour: Colour


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """From this value on, this colour; ``None`` is the colour of what lies below every step."""

    value: float | None
    colour: Colour


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A panel.

    Args:
        title: what it shows, in a few words.
        description: how it is measured, and how to read it.
        kind: how it is drawn.
        queries: what is asked; the answer of each must not be empty on a living cluster.
        unit: Grafana's name of the unit: ``bytes`` is in steps of 1024, ``s`` seconds.
        meanings: words for values.
        steps: colours by value; a line at each in a timeseries.
        width: of 24.
        name_only: a stat that shows the name of the series and not its value.
    """

    title: str
    description: str
    kind: PanelKind
    queries: tuple[PromQuery, ...]
    unit: str = "short"
    meanings: tuple[ValueMeaning, ...] = ()
    steps: tuple[Step, ...] = ()
    width: int = 12
    name_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelRow:
    """Panels that belong together, under a heading."""

    title: str
    panels: tuple[Panel, ...] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """Moments and ranges that are marked on every time axis.

    Grafana (``processAnnotationResponse`` of @grafana/prometheus 11.6) marks where a value is above
    0, and joins neighbours to one range. By default it asks once a minute, and misses what was over
    by then.

    Args:
        name: of the switch above the dashboard.
        title: of each mark.
        expr: has a value above 0 where something is to be marked.
        colour: of the marks.
        value_is_time: the mark is at the value, in milliseconds since 1970, not where the value is.
        step_s: the distance between two values that it asks for.
    """

    name: str
    title: str
    expr: str
    colour: Colour
    value_is_time: bool = False
    step_s: int = 15


CLUSTER = 'cluster="$cluster"'
MEMBERS = 'cluster="$cluster", site=~"$site"'
"""Whom the queries ask about."""

NO_YES_BAD = (
    ValueMeaning(value=0, text="no", colour="green"),
    ValueMeaning(value=1, text="yes", colour="red"),
)
NO_YES_GOOD = (
    ValueMeaning(value=0, text="no", colour="red"),
    ValueMeaning(value=1, text="yes", colour="green"),
)
