"""The map of the sites: hosts and roles, who was primary before and after, what was struck."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from chaos.evidence.run import HostInfo, Run, SiteInfo
from chaos.faults.targets import find_victim
from chaos.report import course
from chaos.report.charts.labels import shorten, text_width
from chaos.report.charts.svg import chart, cross, el, line, rect, text
from chaos.report.words import fault_name, role_words

_HEAD = 34.0
_ROW = 26.0
_LINE = 20.0
_PAD = 14.0
_GAP = 24.0
_WAN = 30.0
"""Thickness of the bar that stands for the WAN."""
_STUB = 26.0
"""Length of the link from a site to the WAN."""
_ACROSS_MAX = 4
"""More sites than this are not legible side by side: they are stacked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostNote:
    """The notes about a host."""

    was_primary: bool
    is_primary: bool
    strikes: tuple[str, ...]
    """Each fault that struck it, with its time."""

    @property
    def pills(self) -> tuple[str, ...]:
        """The words about its lead."""
        if self.was_primary and self.is_primary:
            return ("primary before and after",)
        if self.was_primary:
            return ("primary before",)
        return ("primary after",) if self.is_primary else ()


def host_notes(run: Run) -> dict[str, HostNote]:
    """The notes of every host, by name."""
    before, after = course.primary_before(run), course.primary_after(run)
    strikes: dict[str, list[str]] = {}
    for mark in course.marks(run):
        if not mark.is_heal:
            words = f"{fault_name(mark.fault)}, {mark.at_s:.1f} s"
            for target in mark.targets:
                for host in find_victim(target, run.info.layout).hosts:
                    strikes.setdefault(host, []).append(words)
    return {
        host.name: HostNote(
            was_primary=host.name == before,
            is_primary=host.name == after,
            strikes=tuple(strikes.get(host.name, ())),
        )
        for site in run.info.sites
        for host in site.hosts
    }


def site_map(run: Run, *, narrow: bool) -> Markup:
    """The map as SVG: sites side by side above the WAN, or (narrow) stacked beside it."""
    sites, notes = run.info.sites, host_notes(run)
    stacked = narrow or len(sites) > _ACROSS_MAX
    wan = run.info.substrate.get("wan", "")
    drawn, width, height = (_stacked if stacked else _across)(sites, notes, wan, narrow)
    return chart(
        "site-map-narrow" if narrow else "site-map-wide",
        width,
        height,
        drawn,
        title="Map of the sites",
        description=_description(sites, notes),
        class_="chart site-map",
    )


def _across(
    sites: tuple[SiteInfo, ...], notes: Mapping[str, HostNote], wan: str, _: bool
) -> tuple[Markup, float, float]:
    width = 1000.0
    box = (width - _GAP * (len(sites) - 1)) / max(len(sites), 1)
    tallest = max((_site_height(site, notes) for site in sites), default=0.0)
    drawn = Markup("")
    for index, site in enumerate(sites):
        x = index * (box + _GAP)
        drawn += line(x + box / 2, tallest, x + box / 2, tallest + _STUB, class_="link")
        inner = _site_box(site, notes, box, tallest)
        drawn += el(
            "g", inner, transform=f"translate({x:.1f} 1)", class_="site", data_site=site.name
        )
    top = tallest + _STUB
    drawn += rect(0.5, top, width - 1, _WAN, rx=_WAN / 2, class_="wan")
    drawn += text(width / 2, top + 20, _wan_words(wan), text_anchor="middle", class_="wan-name")
    return drawn, width, top + _WAN + 2


def _stacked(
    sites: tuple[SiteInfo, ...], notes: Mapping[str, HostNote], wan: str, narrow: bool
) -> tuple[Markup, float, float]:
    width = 358.0 if narrow else 700.0
    left = _WAN + _STUB - 8
    y, drawn = 1.0, Markup("")
    for site in sites:
        height = _site_height(site, notes)
        drawn += line(_WAN, y + height / 2, left, y + height / 2, class_="link")
        inner = _site_box(site, notes, width - left - 1, height)
        drawn += el(
            "g", inner, transform=f"translate({left:g} {y:g})", class_="site", data_site=site.name
        )
        y += height + _GAP / 2
    bottom = y - _GAP / 2
    drawn += rect(0.5, 1, _WAN, bottom - 1, rx=_WAN / 2, class_="wan")
    words = shorten(_wan_words(wan), bottom - 20, 13)
    middle = f"translate({_WAN / 2 + 5:g} {bottom / 2:g}) rotate(-90)"
    drawn += el("text", words, transform=middle, text_anchor="middle", class_="wan-name")
    return drawn, width, bottom + 2


def _site_height(site: SiteInfo, notes: Mapping[str, HostNote]) -> float:
    return _HEAD + sum(_host_height(notes[host.name]) for host in site.hosts) + _PAD


def _host_height(note: HostNote) -> float:
    return _ROW + _LINE * (len(note.strikes) + (1 if note.pills else 0))


def _site_box(site: SiteInfo, notes: Mapping[str, HostNote], width: float, height: float) -> Markup:
    drawn = rect(0.5, 0, width - 1, height, rx=6, class_="site-box")
    drawn += text(_PAD, 23, shorten(site.name, width - 2 * _PAD, 15), class_="site-name")
    y = _HEAD
    for host in site.hosts:
        inner = _host(host, notes[host.name], width)
        drawn += el("g", inner, transform=f"translate(0 {y:g})", class_="host", data_host=host.name)
        y += _host_height(notes[host.name])
    return drawn


def _host(host: HostInfo, note: HostNote, width: float) -> Markup:
    roles = ", ".join(role_words(role) for role in host.roles)
    name_room = width - 2 * _PAD - text_width(roles, 12) - 10
    drawn = line(_PAD, 0, width - _PAD, 0, class_="rule")
    drawn += el(
        "text",
        el("title", host.name),
        shorten(host.name, name_room, 13),
        x=_PAD,
        y=18,
        class_="host-name",
    )
    drawn += text(width - _PAD, 18, roles, text_anchor="end", class_="host-roles")
    y = _ROW
    for words in note.pills:
        drawn += _pill(words, y, solid=note.is_primary)
        y += _LINE
    for words in note.strikes:
        drawn += cross(_PAD + 7, y + 8)
        drawn += text(_PAD + 20, y + 12, words, class_="strike")
        y += _LINE
    return drawn


def _pill(words: str, y: float, *, solid: bool) -> Markup:
    """Filled for who is primary at the end, outlined for who was."""
    width = text_width(words, 11.5) + 12
    return el(
        "g",
        rect(_PAD, y, width, 16, rx=8),
        text(_PAD + width / 2, y + 12, words, text_anchor="middle"),
        class_="pill pill-solid" if solid else "pill",
    )


def _wan_words(wan: str) -> str:
    return f"WAN: {wan}" if wan else "WAN"


def _description(sites: tuple[SiteInfo, ...], notes: Mapping[str, HostNote]) -> str:
    parts = []
    for site in sites:
        hosts = [
            ", ".join((f"{host.name} ({'; '.join(host.roles)})", *note.pills, *note.strikes))
            for host in site.hosts
            for note in [notes[host.name]]
        ]
        parts.append(f"Site {site.name}: {'. '.join(hosts)}.")
    return " ".join(parts)
