"""How a lab is at one moment: for ``status``, ``watch`` and scripts. Values, and their words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

KIB = 1024
WAITING_S = 1.0
"""From here on a site counts as waiting for service (``chaos.live.terminal``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteView:
    """What the applications of a site get."""

    acknowledged: int
    failed: int
    in_doubt: int
    rate_per_s: float
    """Acknowledged in the last second."""
    silent_s: float | None
    """Since the last acknowledged operation; None: there was none yet."""
    node: str | None
    """Who acknowledged last."""

    @property
    def is_waiting(self) -> bool:
        """It is not served at the moment."""
        return self.silent_s is not None and self.silent_s > WAITING_S

    def words(self, load: str) -> str:
        """``10/s`` or ``waiting 3.2 s``."""
        if load != "running":
            return f"load {load}"
        return f"waiting {self.silent_s:.1f} s" if self.is_waiting else f"{self.rate_per_s:.0f}/s"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """A PostgreSQL member, as it says itself."""

    site: str
    role: str
    """``primary``, ``replica``, ``starting``, ``unreachable`` or ``unknown``."""
    timeline: int | None
    sync: str | None
    """``quorum``, ``sync`` or ``async``; None: it is no replica."""
    behind_bytes: int | None
    """What it has still to replay; None: it is no replica, or nobody knows."""

    @property
    def behind_words(self) -> str:
        """``0 B``, ``12 KiB``; empty where nobody knows."""
        return "" if self.behind_bytes is None else size_words(self.behind_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenView:
    """Something that was broken by hand and is not healed."""

    fault: str
    victim: str
    words: str
    since_s: float
    """How long it has been broken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SaidView:
    """Something that happened."""

    at_s: float
    """Since the lab was asked for."""
    text: str
    loud: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LabView:
    """All of it."""

    name: str
    topology: str
    substrate: str
    run: str
    """The run folder."""
    up_s: float
    """Since it was asked for."""
    phase: str
    phase_s: float
    """How long it has been in that phase."""
    ready: bool
    """It can be broken now."""
    primary: str | None
    leader: str | None
    """The holder of the leader key."""
    missing: str | None
    """What the cluster lacks to be whole, in words."""
    load: str
    """``not started``, ``running`` or ``stopped``."""
    sites: Mapping[str, SiteView]
    nodes: Mapping[str, NodeView]
    broken: tuple[BrokenView, ...]
    said: tuple[SaidView, ...]
    """The last things that happened, the oldest first."""


def size_words(amount_bytes: int) -> str:
    """``0 B``, ``12 KiB``, ``3.1 MiB``."""
    if amount_bytes < KIB:
        return f"{amount_bytes} B"
    if amount_bytes < KIB * KIB:
        return f"{amount_bytes / KIB:.0f} KiB"
    return f"{amount_bytes / KIB / KIB:.1f} MiB"


def duration_words(length_s: float) -> str:
    """``12 s``, ``3 min 20 s``, ``2 h 5 min``."""
    whole_s = int(length_s)
    if whole_s < 60:
        return f"{whole_s} s"
    if whole_s < 3600:
        return f"{whole_s // 60} min {whole_s % 60} s"
    return f"{whole_s // 3600} h {whole_s % 3600 // 60} min"


def plain_line(view: LabView) -> str:
    """Everything in one line, for where no terminal is."""
    nodes = []
    for name, node in view.nodes.items():
        behind = f" {node.behind_words} behind" if node.behind_bytes else ""
        nodes.append(f"{name} {node.role} tl {node.timeline or '?'}{behind}")
    sites = [f"{name} {site.words(view.load)}" for name, site in view.sites.items()]
    broken = [one.words for one in view.broken]
    parts = [
        f"{view.up_s:7.1f} s",
        view.phase,
        ", ".join(nodes) or "no member yet",
        ", ".join(sites) or "no load yet",
        f"broken: {'; '.join(broken)}" if broken else "nothing is broken",
    ]
    if view.missing:
        parts.append(f"lacks: {view.missing}")
    return " | ".join(parts)


def status_lines(view: LabView) -> Iterator[str]:
    """For ``bascule status``."""
    yield f"{view.name}: {view.topology} on {view.substrate}, up {duration_words(view.up_s)}"
    yield f"  phase    {view.phase} for {duration_words(view.phase_s)}"
    yield f"  primary  {view.primary or 'none'} (leader key: {view.leader or 'none'})"
    yield f"  lacks    {view.missing or 'nothing'}"
    for one in view.broken:
        yield f"  broken   {one.words}, for {duration_words(one.since_s)}"
    if not view.broken:
        yield "  broken   nothing"
    yield f"  run      {view.run}"
    yield ""
    yield f"  {'node':18}{'site':14}{'role':13}{'timeline':10}{'sync':8}behind"
    for name, node in view.nodes.items():
        timeline = str(node.timeline or "")
        yield (
            f"  {name:18}{node.site:14}{node.role:13}{timeline:10}"
            f"{node.sync or '':8}{node.behind_words}"
        ).rstrip()
    yield ""
    yield f"  {'site':18}{'now':16}{'acknowledged':>12}{'failed':>8}{'in doubt':>10}  by"
    for name, site in view.sites.items():
        yield (
            f"  {name:18}{site.words(view.load):16}{site.acknowledged:12}{site.failed:8}"
            f"{site.in_doubt:10}  {site.node or ''}"
        ).rstrip()
