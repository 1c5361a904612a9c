"""Links between sites become slow, unsteady, lossy or narrow, for as long as the fault lasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from chaos.faults.base import Chances, Effect, FaultKind, FaultParams, FaultWords, Stage
from chaos.faults.targets import SITES, Victim
from chaos.wording import joined
from cluster.errors import ClusterError
from cluster.substrates.base import LinkSeen, Slowable
from cluster.toml.reader import TomlTable
from cluster.topology.model import Topology
from cluster.topology.wan import (
    LOSS_PERCENT_MAX,
    RATE_MBIT_MAX,
    RATE_MBIT_MIN,
    RTT_MS_MAX,
    LinkQuality,
)

KEY = "link-slow"
DELAY_MS = 100.0
"""The round trip from Paris to New York takes some 80 ms."""
HARMLESS_DELAY_MS = 500.0
"""Half of etcd's election timeout (1000 ms): heartbeats that come so much later still arrive before
anybody stands for election. Beyond that, or with loss, nobody can say what happens."""
SEEN_SHARE = 0.5
"""Of the delay asked for: the median that was measured must have grown by so much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSlowParams(FaultParams):
    """What is put on top of what the topology says of the links; None: nothing of that kind.

    With none of the four, ``delay_ms`` is ``DELAY_MS``.
    """

    delay_ms: float | None = None
    """More of a round trip, in milliseconds."""
    jitter_ms: float | None = None
    """The round trip varies by up to so much more, to both sides."""
    loss_percent: float | None = None
    """Of the packets, in each direction."""
    rate_mbit: float | None = None
    """Megabits a second, in each direction."""

    @property
    def quality(self) -> LinkQuality:
        """As a disturbance of a link."""
        is_silent = self == LinkSlowParams()
        return LinkQuality(
            rtt_ms=DELAY_MS if is_silent else self.delay_ms or 0.0,
            jitter_ms=self.jitter_ms or 0.0,
            loss_percent=self.loss_percent or 0.0,
            rate_mbit=self.rate_mbit,
        )


def read(table: TomlTable) -> LinkSlowParams:
    """``delay_ms``, ``jitter_ms``, ``loss_percent``, ``rate_mbit``."""

    def number(key: str, minimum: float, maximum: float) -> float | None:
        if not table.has(key):
            return None
        return table.number(key, minimum=minimum, maximum=maximum)

    return LinkSlowParams(
        delay_ms=number("delay_ms", 0, RTT_MS_MAX),
        jitter_ms=number("jitter_ms", 0, RTT_MS_MAX),
        loss_percent=number("loss_percent", 0, LOSS_PERCENT_MAX),
        rate_mbit=number("rate_mbit", RATE_MBIT_MIN, RATE_MBIT_MAX),
    )


def links_of(victim: Victim, topology: Topology) -> tuple[tuple[str, str], ...]:
    """The links that a victim means: all of a site, or the one between two sites."""
    if any(site.name == victim.name for site in topology.sites):
        return tuple(link for link in topology.links if victim.name in link)
    return tuple(link for link in topology.links if victim.name in _names(link))


def _names(link: tuple[str, str]) -> tuple[str, str]:
    return ("-".join(link), "-".join(link[::-1]))


async def slow_down(stage: Stage, victim: Victim, params: LinkSlowParams) -> str:
    """Disturb the links; returns what was measured on each of them before and after.

    Raises:
        ClusterError: the measure does not show it.
    """
    sites = stage.able(Slowable)
    links = links_of(victim, stage.cluster.substrate.topology)
    before = await sites.measure_links(links)
    await sites.disturb_links(links, params.quality)
    after = await sites.measure_links(links)
    for was, seen in zip(before, after, strict=True):
        if why := not_slowed(was, seen, params.quality):
            raise ClusterError(f"{KEY} on {victim.name} did not take effect: {why}")
    told = "; ".join(
        f"{seen} (before: {_ms(was.median_ms)})" for was, seen in zip(before, after, strict=True)
    )
    return f"{params.quality} more on {told}"


def not_slowed(before: LinkSeen, after: LinkSeen, more: LinkQuality) -> str | None:
    """Why the measure of a link refutes a disturbance; None if it does not.

    A rate shows only under load, and one in a hundred packets does not show in twenty.
    """
    if after.median_ms is None:
        return None if more.loss_percent >= 50 else str(after)
    if before.median_ms is None:
        return None
    grown_ms = after.median_ms - before.median_ms
    if grown_ms < SEEN_SHARE * (more.rtt_ms - more.jitter_ms):
        return f"{after}, and before: {_ms(before.median_ms)}"
    if more.loss_percent >= 50 and not after.lost:
        return str(after)
    return None


def _ms(median_ms: float | None) -> str:
    return "silence" if median_ms is None else f"{median_ms:.1f} ms"


async def give_back(stage: Stage, victim: Victim, params: LinkSlowParams) -> str:
    """The links are again what the topology says."""
    sites = stage.able(Slowable)
    links = links_of(victim, stage.cluster.substrate.topology)
    await sites.restore_links(links, params.quality)
    seen = await sites.measure_links(links)
    return "; ".join(str(one) for one in seen)


def effect(params: LinkSlowParams) -> Effect:
    """A delay that etcd bears interrupts nothing."""
    quality = params.quality
    is_delay_alone = not quality.loss_percent and quality.rate_mbit is None
    bears = quality.rtt_ms + quality.jitter_ms <= HARMLESS_DELAY_MS
    return "none" if is_delay_alone and bears else "unpredicted"


def would_slow_nothing(
    params: LinkSlowParams, topology: Topology, hosts: Sequence[str]
) -> str | None:
    """One site has no links; and no packet arrives before it was sent."""
    if len(topology.sites) < 2:
        return f"{KEY} needs two sites: in the topology {topology.name} there is one"
    quality = params.quality
    if quality.jitter_ms > quality.rtt_ms:
        return (
            f"{KEY} needs a jitter_ms of at most its delay_ms = {quality.rtt_ms:g}: no packet "
            "arrives before it was sent"
        )
    return None


def draw(random: Random) -> LinkSlowParams:
    """20 to 200 ms more, a fifth of it as jitter."""
    delay_ms = float(random.randint(2, 20) * 10)
    return LinkSlowParams(delay_ms=delay_ms, jitter_ms=delay_ms / 5)


LINK_SLOW = FaultKind(
    key=KEY,
    words=FaultWords(
        title="WAN slow",
        healed="WAN back",
        noun=lambda names: f"the slow WAN of {joined(names)}",
        clause=lambda names: f"the WAN of {joined(names)} became slow",
        broken=lambda name: f"the WAN of {name} is slow",
    ),
    params=LinkSlowParams,
    read=read,
    takes=(*SITES, "link"),
    needs=(Slowable,),
    lasts=True,
    effect=effect,
    strike=slow_down,
    undo=give_back,
    chances=Chances(family="links"),
    draw=draw,
    impossible=would_slow_nothing,
)
