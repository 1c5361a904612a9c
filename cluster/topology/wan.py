"""The links between sites: how far, how steady, how wide; and the timings that follow. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

from cluster.errors import Problem

RTT_MS_MAX = 5000.0
"""More than 5 s is beyond what etcd bears: it is the highest round trip that its tuning guide
reckons with, for a cluster that spans the globe."""
LOSS_PERCENT_MAX = 100.0
RATE_MBIT_MIN = 0.01
RATE_MBIT_MAX = 100_000.0
"""Beyond this no link of one machine gets."""

HEARTBEAT_MS_MIN = 100
"""etcd's default."""
WITNESSED_HEARTBEAT_MS_MIN = 50
"""With witnesses: where a site is lost with etcd's leader, its election is what is waited for."""
ELECTION_HEARTBEATS = 10
"""etcd's default: the election timeout is 1000 ms, ten times the heartbeat."""
ELECTION_MS_MAX = 50_000
"""etcd's upper limit (etcd docs, tuning)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkQuality:
    """What a link between two sites does to a packet, the same in both directions."""

    rtt_ms: float = 0.0
    """There and back."""
    jitter_ms: float = 0.0
    """The round trip varies by up to so much, to both sides, evenly."""
    loss_percent: float = 0.0
    """Of the packets, in each direction."""
    rate_mbit: float | None = None
    """Megabits a second, in each direction; None: no limit."""

    @property
    def is_plain(self) -> bool:
        """It does nothing: the sites are as near as on one machine."""
        return self == PLAIN

    @property
    def needs_single_packets(self) -> bool:
        """Each packet has its own fate, so bursts must be cut into packets before they cross."""
        return self.loss_percent > 0.0 or self.rate_mbit is not None

    def worsened(self, more: LinkQuality) -> LinkQuality:
        """This link with a disturbance on top: delays add up, a packet has to survive both, and the
        narrower of two rates counts. The order of several makes no difference."""
        kept = (1 - self.loss_percent / 100) * (1 - more.loss_percent / 100)
        rates = [rate for rate in (self.rate_mbit, more.rate_mbit) if rate is not None]
        return LinkQuality(
            rtt_ms=self.rtt_ms + more.rtt_ms,
            jitter_ms=self.jitter_ms + more.jitter_ms,
            loss_percent=round(100 * (1 - kept), 9),
            rate_mbit=min(rates, default=None),
        )

    def __str__(self) -> str:
        if self.is_plain:
            return "no delay"
        words = [f"round trip {self.rtt_ms:g} ms"]
        words += [f"jitter {self.jitter_ms:g} ms"] if self.jitter_ms else []
        words += [f"loss {self.loss_percent:g} %"] if self.loss_percent else []
        words += [f"{self.rate_mbit:g} Mbit/s"] if self.rate_mbit is not None else []
        return ", ".join(words)


PLAIN = LinkQuality()


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A link that differs from the others."""

    between: tuple[str, ...]
    """Its two sites."""
    quality: LinkQuality


@dataclass(frozen=True, slots=True, kw_only=True)
class Wan:
    """All links between sites: every two are joined by one."""

    default: LinkQuality = PLAIN
    links: tuple[Link, ...] = ()
    """Those that differ."""

    def between(self, first: str, second: str) -> LinkQuality:
        """The link between two sites."""
        for link in self.links:
            if {*link.between} == {first, second}:
                return link.quality
        return self.default

    def in_words(self, sites: Iterable[str]) -> str:
        """What the links are like, for people; those alike are told together."""
        names = list(sites)
        told: dict[str, list[str]] = {}
        for first, second in pairs(names):
            told.setdefault(str(self.between(first, second)), []).append(f"{first}-{second}")
        if len(told) <= 1:
            return next(iter(told), str(self.default))
        return "; ".join(f"{', '.join(links)}: {quality}" for quality, links in told.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdTiming:
    """How often etcd's leader speaks, and how long the others wait for it."""

    heartbeat_ms: int
    election_ms: int


def pairs(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Every two of the sites, in their order."""
    listed = list(names)
    for index, first in enumerate(listed):
        for second in listed[index + 1 :]:
            yield first, second


def etcd_timing(rtt_ms_max: float, *, has_witnesses: bool = False) -> EtcdTiming:
    """etcd's timing for the longest round trip between its members.

    etcd's tuning guide: the heartbeat about the longest round trip (0.5 to 1.5 of it), the election
    timeout at least ten round trips, and at most 50 s. etcd's defaults (100 and 1000 ms) so suit up
    to 100 ms, and stay until there; with witnesses half of them, up to 50 ms.
    """
    least_ms = WITNESSED_HEARTBEAT_MS_MIN if has_witnesses else HEARTBEAT_MS_MIN
    heartbeat_ms = max(least_ms, math.ceil(rtt_ms_max))
    election_ms = min(ELECTION_MS_MAX, ELECTION_HEARTBEATS * heartbeat_ms)
    return EtcdTiming(heartbeat_ms=heartbeat_ms, election_ms=election_ms)


def retry_timeout_s_min(timing: EtcdTiming) -> int:
    """The shortest ``retry_timeout`` of Patroni with which an election of etcd demotes nobody.

    A member waits for one to two election timeouts before it stands (Raft, 9.3 and etcd's
    ``resetRandomizedElectionTimeout``), and a primary that cannot reach its DCS for
    ``retry_timeout`` gives up the lead (Patroni docs, ``retry_timeout``).
    """
    return math.ceil(2 * timing.election_ms / 1000)


def problems_of_wan(wan: Wan, sites: Iterable[str]) -> Iterator[Problem]:
    """What is wrong with links whose keys all have the right type."""
    known = set(sites)
    yield from _problems_of_quality("wan", wan.default)
    taken: dict[frozenset[str], int] = {}
    for index, link in enumerate(wan.links):
        key = f"link[{index}]"
        ends = frozenset(link.between)
        if len(link.between) != 2 or len(ends) != 2:
            words = f"expected two sites; found {', '.join(link.between) or 'none'}"
            yield Problem(key=f"{key}.between", words=words)
        elif not ends <= known:
            strangers = ", ".join(sorted(ends - known))
            yield Problem(key=f"{key}.between", words=f"there is no site {strangers}")
        elif ends in taken:
            words = f"{' and '.join(link.between)} have their link already: link[{taken[ends]}]"
            yield Problem(key=f"{key}.between", words=words)
        taken.setdefault(ends, index)
        yield from _problems_of_quality(key, link.quality)


def _problems_of_quality(key: str, quality: LinkQuality) -> Iterator[Problem]:
    if quality.jitter_ms > quality.rtt_ms:
        yield Problem(
            key=f"{key}.jitter_ms",
            words=f"expected at most rtt_ms = {quality.rtt_ms:g}, as no packet arrives before it "
            f"was sent; found {quality.jitter_ms:g}",
        )


def lines_of_quality(quality: LinkQuality) -> list[str]:
    """Its keys as TOML, with every one that has a value."""
    values = ((one.name, getattr(quality, one.name)) for one in fields(quality))
    return [f"{name} = {value!r}" for name, value in values if value is not None]
