"""The outages of a campaign by cause: a strip of points a cause, one point a run. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from markupsafe import Markup

from chaos.report.charts.scales import LinearScale, nice_ceiling, ticks
from chaos.report.charts.svg import chart, el, line, text
from chaos.wording import counted

WIDTH, NAMES, RIGHT = 1000.0, 290.0, 24.0
ROW, TOP, BOTTOM = 24.0, 10.0, 30.0


def spread_chart(chart_id: str, values_s: Mapping[str, Sequence[float]], title: str) -> Markup:
    """One row a name, with its values as points and a bar at their median; empty without any."""
    if not values_s:
        return Markup()
    most_s = nice_ceiling(max(max(values) for values in values_s.values()), 8)
    height = TOP + ROW * len(values_s) + BOTTOM
    scale = LinearScale(low=0.0, high=most_s, start=NAMES, stop=WIDTH - RIGHT)
    parts: list[Markup] = []
    for tick in ticks(0.0, most_s, 8):
        at = scale.at(tick)
        parts.append(line(at, TOP, at, height - BOTTOM, class_="grid"))
        parts.append(
            text(at, height - BOTTOM + 17, f"{tick:g} s", class_="tick", text_anchor="middle")
        )
    for number, (name, values) in enumerate(values_s.items()):
        middle = TOP + ROW * (number + 0.5)
        parts.append(text(0, middle + 4, f"{name} ({len(values)})", class_="bar-name"))
        parts += [
            el("circle", cx=scale.at(value), cy=middle, r=3.2, class_="latency-max", opacity=0.55)
            for value in values
        ]
        at = scale.at(median(values))
        parts.append(line(at, middle - 8, at, middle + 8, class_="predicted-end"))
    described = "; ".join(
        f"{name}: {counted(len(values), 'run')}, median {median(values):.1f} s, "
        f"longest {max(values):.1f} s"
        for name, values in values_s.items()
    )
    return chart(
        chart_id, WIDTH, height, *parts, title=title, description=described, class_="chart"
    )
