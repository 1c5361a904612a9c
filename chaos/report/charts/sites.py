"""The rows of the sites in the timeline chart: throughput above, latency below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from chaos.evidence.run import Run
from chaos.report.charts.axes import FONT, LEFT, Block, gutter_name
from chaos.report.charts.bins import Bin, bin_operations, bin_width_s
from chaos.report.charts.labels import clear_middle, text_width
from chaos.report.charts.scales import LinearScale, LogScale, decades, nice_ceiling
from chaos.report.charts.svg import el, line, rect, text
from chaos.report.words import seconds
from chaos.timing import SiteTiming

THROUGHPUT_HEIGHT = 58.0
LATENCY_HEIGHT = 64.0
_BETWEEN = 16.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteSeries:
    """What is drawn of one site. Moments are seconds since the start of the run."""

    site: str
    bins: tuple[Bin, ...]
    outage: tuple[float, float] | None
    outage_is_open: bool


def site_series(run: Run, sites: Sequence[SiteTiming], end_s: float) -> tuple[SiteSeries, ...]:
    """One series a site that has a history, in the order of ``sites``; all with the same bins."""
    width_s = bin_width_s(end_s)
    return tuple(_series(run, timing, width_s, end_s) for timing in sites)


def _series(run: Run, timing: SiteTiming, width_s: float, end_s: float) -> SiteSeries:
    origin_s = run.info.started_t_s
    operations = [
        op for history in run.histories if history.site == timing.site for op in history.operations
    ]
    ends = [op.ended_s for op in operations if op.ended_s is not None]
    begins = [op.invoked_s for op in operations]
    bins: tuple[Bin, ...] = ()
    if begins and ends:
        # Bins begin with the load, so that a half-filled first bin does not look like a ramp.
        bins = bin_operations(operations, min(begins), max(ends), width_s)
    outage_from_s, outage_to_s = (
        timing.last_acknowledged_before_s,
        timing.first_acknowledged_after_s,
    )
    outage = None
    if outage_from_s is not None:
        until_s = outage_to_s if outage_to_s is not None else max([*ends, *begins], default=end_s)
        outage = (outage_from_s - origin_s, max(until_s, outage_from_s) - origin_s)
    return SiteSeries(
        site=timing.site,
        bins=tuple(_shifted(bin_, origin_s) for bin_ in bins),
        outage=outage,
        outage_is_open=outage is not None and outage_to_s is None,
    )


def _shifted(bin_: Bin, origin_s: float) -> Bin:
    return Bin(
        from_s=bin_.from_s - origin_s,
        to_s=bin_.to_s - origin_s,
        ok=bin_.ok,
        rate_per_s=bin_.rate_per_s,
        p50_ms=bin_.p50_ms,
        max_ms=bin_.max_ms,
    )


def site_rows(series: Sequence[SiteSeries], x: LinearScale, poles: Sequence[float]) -> list[Block]:
    """One block a site, all on the same two vertical scales, so that sites can be compared.

    Args:
        series: The sites.
        x: The time axis.
        poles: Where marks go down through the rows; texts keep clear of them.
    """
    bins = [bin_ for one in series for bin_ in one.bins]
    top = nice_ceiling(max((bin_.rate_per_s for bin_ in bins), default=1.0), 6)
    rate = LinearScale(low=0.0, high=top, start=THROUGHPUT_HEIGHT, stop=0.0)
    low_ms = min((bin_.p50_ms for bin_ in bins if bin_.p50_ms), default=1.0)
    high_ms = max((bin_.max_ms for bin_ in bins if bin_.max_ms), default=10.0)
    steps = decades(max(low_ms, 0.01), max(high_ms, 0.02))
    latency = LogScale(low=steps[0], high=steps[-1], start=LATENCY_HEIGHT, stop=0.0)
    axes = _Axes(x=x, rate=rate, latency=latency, decades_ms=steps, poles=tuple(poles))
    return [_site_row(one, axes) for one in series]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Axes:
    """What all rows share."""

    x: LinearScale
    rate: LinearScale
    latency: LogScale
    decades_ms: tuple[float, ...]
    poles: tuple[float, ...]


def _site_row(series: SiteSeries, axes: _Axes) -> Block:
    lower = THROUGHPUT_HEIGHT + _BETWEEN
    drawing = el(
        "g",
        gutter_name(series.site, 10, width=LEFT - 42),
        text(0, 26, "writes/s", class_="tick"),
        _throughput(series, axes),
        text(0, lower + 12, "latency", class_="tick"),
        el("g", _latency(series, axes), transform=f"translate(0 {lower:g})"),
        class_="site-row",
        data_site=series.site,
    )
    return Block(height=lower + LATENCY_HEIGHT, drawing=drawing)


def _throughput(series: SiteSeries, axes: _Axes) -> Markup:
    x, rate = axes.x, axes.rate
    drawn = _level(x, rate.at(0), "0") + _level(x, rate.at(rate.high), f"{rate.high:g}")
    points = [(x.at(b.from_s), x.at(b.to_s), rate.at(b.rate_per_s)) for b in series.bins]
    if points:
        steps = "".join(f"V{y:.1f}H{x2:.1f}" for _, x2, y in points)
        base = rate.at(0)
        area = f"M{points[0][0]:.1f} {base:g}{steps}V{base:g}Z"
        drawn += el("path", d=area, class_="throughput")
    if series.outage is not None:
        drawn += _outage(series, axes)
    return drawn


def _outage(series: SiteSeries, axes: _Axes) -> Markup:
    from_s, to_s = series.outage or (0.0, 0.0)
    x1, x2 = axes.x.at(from_s), axes.x.at(to_s)
    lasted = seconds(to_s - from_s)
    whole = f"no acknowledged write for {lasted}"
    if series.outage_is_open:
        whole += ", until the end"
    label = Markup("")
    for words in (lasted, whole):
        middle = clear_middle(x1, x2, text_width(words, FONT) + 8, axes.poles)
        if middle is not None:
            label = text(middle, THROUGHPUT_HEIGHT / 2 + 4, words, text_anchor="middle")
    return el(
        "g",
        el("title", f"{series.site}: {whole}"),
        rect(x1, 0, x2 - x1, THROUGHPUT_HEIGHT, class_="fill"),
        label,
        class_="outage",
    )


def _latency(series: SiteSeries, axes: _Axes) -> Markup:
    x, latency, steps = axes.x, axes.latency, axes.decades_ms
    drawn = Markup("")
    for index, value_ms in enumerate(steps):
        y = latency.at(value_ms)
        # Every second label, where the decades are too close to name them all.
        dense = LATENCY_HEIGHT / max(len(steps) - 1, 1) < FONT + 1
        named = not dense or index % 2 == 0
        drawn += _level(x, y, _ms(value_ms) if named else "")
    run: list[str] = []
    for bin_ in series.bins:
        if bin_.p50_ms is None or bin_.max_ms is None:
            drawn += _polyline(run)
            run = []
            continue
        middle = x.at((bin_.from_s + bin_.to_s) / 2)
        p50_y, max_y = latency.at(bin_.p50_ms), latency.at(bin_.max_ms)
        drawn += line(middle, p50_y, middle, max_y, class_="latency-reach")
        drawn += el("circle", cx=middle, cy=max_y, r=1.8, class_="latency-max")
        run.append(f"{middle:.1f},{p50_y:.1f}")
    return drawn + _polyline(run)


def _polyline(points: list[str]) -> Markup:
    if not points:
        return Markup("")
    if len(points) == 1:  # a line of one point is invisible
        x, y = points[0].split(",")
        return el("circle", cx=x, cy=y, r=1.6, class_="latency-p50-dot")
    return el("polyline", points=" ".join(points), class_="latency-p50")


def _level(x: LinearScale, y: float, label: str) -> Markup:
    drawn = line(x.start, y, x.stop, y, class_="grid")
    if label:
        drawn += text(LEFT - 7, y + 4, label, text_anchor="end", class_="tick")
    return drawn


def _ms(value_ms: float) -> str:
    return f"{value_ms / 1000:g} s" if value_ms >= 1000 else f"{value_ms:g} ms"
