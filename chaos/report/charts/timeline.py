"""The timeline chart: phases, faults, throughput and latency a site, roles, on one time axis."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from chaos.evidence.run import Run
from chaos.report import course
from chaos.report.charts.axes import WIDTH, Block, grid, stack, time_axis, time_scale
from chaos.report.charts.lanes import lanes, mark_flags, mark_poles, phase_band
from chaos.report.charts.sites import site_rows, site_series
from chaos.report.charts.svg import chart, el, hatch
from chaos.timing import SiteTiming

_TOP = 4.0


def timeline_chart(run: Run, sites: Sequence[SiteTiming]) -> Markup:
    """The whole chart as one SVG.

    Args:
        run: The evidence.
        sites: What was measured a site, in the order of the rows.
    """
    end_s = course.end_s(run)
    x = time_scale(end_s)
    marks = course.marks(run)
    poles_x = tuple(x.at(mark.at_s) for mark in marks)
    head = phase_band(course.phases(run), x)
    flags, tops = mark_flags(marks, x)
    # The labels of the marks are drawn last, over the poles of their neighbours; this is their
    # room.
    room = Block(height=flags.height, drawing=Markup(""))
    blocks: list[tuple[float, Block]] = [(_TOP, head), (8.0, room)]
    rows = site_rows(site_series(run, sites, end_s), x, poles_x)
    blocks += [(12.0 if index == 0 else 26.0, row) for index, row in enumerate(rows)]
    blocks += [(26.0, lanes(run, x, poles_x)), (8.0, time_axis(x))]
    drawn, height = stack(blocks)
    bottom = height - blocks[-1][1].height
    flags_top = _TOP + head.height + 8.0
    poles = mark_poles(marks, [flags_top + top for top in tops], x, bottom)
    return chart(
        "timeline",
        WIDTH,
        height,
        el("defs", hatch("timeline-gone", "gone"), hatch("timeline-start", "start")),
        grid(x, flags_top + flags.height, bottom),
        drawn,
        poles,
        el("g", flags.drawing, transform=f"translate(0 {flags_top:g})"),
        title="Course of the run",
        description=_description(run, sites, marks, end_s),
        class_="chart timeline",
    )


def _description(
    run: Run, sites: Sequence[SiteTiming], marks: Sequence[course.Mark], end_s: float
) -> str:
    """What the chart shows, in words, for readers who cannot see it."""
    struck = "; ".join(f"{mark.words} at {mark.at_s:.1f} s" for mark in marks) or "no fault"
    outages = "; ".join(
        f"{site.site} without acknowledged write for {site.outage_s:.1f} s"
        for site in sites
        if site.outage_s is not None
    )
    names = ", ".join(site.site for site in sites)
    return (
        f"Throughput and latency of {names} over {end_s:.0f} s, with the roles of "
        f"{', '.join(run.info.nodes)}. Marks: {struck}. {outages}"
    ).strip()
