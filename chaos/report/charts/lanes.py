"""The lanes of the timeline chart: phases and marks above, roles and the leader key below."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from chaos.evidence.run import Run
from chaos.report import course
from chaos.report.charts.axes import FONT, TIER, Block, band, gutter_name
from chaos.report.charts.labels import place_flags, text_width
from chaos.report.charts.scales import LinearScale
from chaos.report.charts.svg import cross, el, line, rect, ring, text
from chaos.report.words import seconds

PHASE_HEIGHT = 22.0
LANE_HEIGHT = 20.0
LANE_GAP = 5.0
_MARK_ROOM = 20.0
"""From the pole to the text of a mark: its symbol stands between."""


def phase_band(spans: Sequence[course.Span], x: LinearScale) -> Block:
    """The phases as a band; a name that does not fit stands above, on a pole."""
    outside = [
        s for s in spans if text_width(s.value or "", FONT) + 8 > x.at(s.to_s) - x.at(s.from_s)
    ]
    poles = [(x.at(span.from_s), text_width(span.value or "", FONT) + 5) for span in outside]
    flags = place_flags(poles, x.stop)
    tiers = max((flag.tier + 1 for flag in flags), default=0)
    top = tiers * TIER
    drawn = Markup("")
    for span, flag in zip(outside, flags, strict=True):
        y = top - flag.tier * TIER
        drawn += line(flag.x, y - 13, flag.x, top, class_="pole")
        room = 5 if flag.anchor == "start" else -5
        drawn += text(
            flag.x + room, y - 4, span.value or "", text_anchor=flag.anchor, class_="tick"
        )
    bands = Markup("")
    for index, span in enumerate(spans):
        name = span.value or ""
        hint = (
            f"{name}: {span.from_s:.1f} to {span.to_s:.1f} s ({seconds(span.to_s - span.from_s)})"
        )
        tone = f"phase phase-{name} tone-{index % 2}"
        bands += band(
            x.at(span.from_s),
            x.at(span.to_s),
            PHASE_HEIGHT,
            name,
            poles=(),
            class_=tone,
            hint=hint,
        )
    drawn += el("g", bands, transform=f"translate(0 {top:g})")
    drawn += gutter_name("phase", top + 15, class_="name")
    return Block(height=top + PHASE_HEIGHT, drawing=drawn)


def mark_flags(marks: Sequence[course.Mark], x: LinearScale) -> tuple[Block, tuple[float, ...]]:
    """The labels of faults and heals; and, for each, the y where its pole begins."""
    labels = [f"{mark.words}, {mark.at_s:.1f} s" for mark in marks]
    poles = [
        (x.at(mark.at_s), text_width(label, FONT) + _MARK_ROOM)
        for mark, label in zip(marks, labels, strict=True)
    ]
    flags = place_flags(poles, x.stop)
    tiers = max((flag.tier + 1 for flag in flags), default=0)
    tier_height = TIER + 2
    drawn, tops = Markup(""), []
    for label, flag in zip(labels, flags, strict=True):
        y = (tiers - flag.tier - 1) * tier_height + 10
        room = 13 if flag.anchor == "start" else -13
        drawn += text(flag.x + room, y + 4, label, text_anchor=flag.anchor, class_="mark-label")
        tops.append(y)
    return Block(height=tiers * tier_height, drawing=drawn), tuple(tops)


def mark_poles(
    marks: Sequence[course.Mark], tops: Sequence[float], x: LinearScale, bottom: float
) -> Markup:
    """The vertical lines of the marks through the whole chart, with their symbols on top."""
    drawn = Markup("")
    for mark, top in zip(marks, tops, strict=True):
        at = x.at(mark.at_s)
        kind = "heal" if mark.is_heal else "fault"
        drawn += el(
            "g",
            el("title", f"{mark.words}, {mark.at_s:.2f} s"),
            line(at, top, at, bottom, class_=f"pole-{kind}"),
            ring(at, top) if mark.is_heal else cross(at, top),
            class_=f"mark mark-of-{kind}",
        )
    return drawn


def lanes(run: Run, x: LinearScale, poles: Sequence[float]) -> Block:
    """A lane a node with its roles, and one for the leader key; labels keep clear of ``poles``."""
    rows = [(node, course.roles(run, node), "role") for node in run.info.nodes]
    rows.append(("leader key", course.leaders(run), "leader"))
    drawn = Markup("")
    for index, (name, spans, kind) in enumerate(rows):
        y = index * (LANE_HEIGHT + LANE_GAP)
        lane = gutter_name(name, 15)
        lane += rect(x.start, 0, x.stop - x.start, LANE_HEIGHT, class_="lane-ground")
        for span in spans:
            lane += _lane_band(name, span, kind, x, poles)
        drawn += el("g", lane, class_="lane", data_lane=name, transform=f"translate(0 {y:g})")
    height = len(rows) * (LANE_HEIGHT + LANE_GAP) - LANE_GAP
    return Block(height=height, drawing=drawn)


def _lane_band(
    name: str, span: course.Span, kind: str, x: LinearScale, poles: Sequence[float]
) -> Markup:
    if kind == "leader":
        label, class_ = span.value or "nobody", "role-primary" if span.value else "role-unreachable"
    else:
        label = span.value or "unknown"
        known = label in {"primary", "replica", "starting", "unreachable"}
        class_ = f"role-{label}" if known else "role-starting"
    hint = f"{name}: {label}, {span.from_s:.1f} to {span.to_s:.1f} s"
    class_ = f"role {class_}"
    return band(
        x.at(span.from_s),
        x.at(span.to_s),
        LANE_HEIGHT,
        label,
        poles=poles,
        class_=class_,
        hint=hint,
    )
