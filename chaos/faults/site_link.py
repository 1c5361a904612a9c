"""Only the link between two sites is cut: neither hears the other, and both reach the third.

etcd keeps its majority, and the primary goes on; whoever is across the cut cannot reach it (patroni
issues 1347 and 2523).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chaos.faults.base import Chances, FaultKind, FaultParams, FaultWords, Stage
from chaos.faults.packets import NEEDS, Cut, both_ways, drop, lift, others
from chaos.faults.targets import LINKS, Victim, layout_of, link_ends
from chaos.wording import joined, plural
from cluster.toml.reader import TomlTable
from cluster.topology.model import Topology

KEY = "site-link-cut"


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteLinkCutParams(FaultParams):
    """Whether one way stays."""

    one_way: bool = False
    """Only what the first site of the target sends to the second vanishes."""


def read(table: TomlTable) -> SiteLinkCutParams:
    """``one_way``."""
    return SiteLinkCutParams(one_way=table.flag("one_way", False))


def cut_of(victim: Victim, params: SiteLinkCutParams, topology: Topology) -> Cut:
    """Between the two sites; what each has with the others is spared."""
    sites = layout_of(topology).sites
    first, second = link_ends(victim.name, layout_of(topology))
    back, there = both_ways(Victim(name=first, hosts=sites[first]), elsewhere=sites[second])
    away = others(topology, victim.hosts)
    spared = [way.rule for way in both_ways(victim, elsewhere=away)] if away else []
    spared += [back.rule] if params.one_way else []
    ways = (there,) if params.one_way else (there, back)
    name = f"{KEY}{' one way' if params.one_way else ''} on {victim.name}"
    return Cut(name=name, ways=ways, spared=tuple(spared))


async def strike(stage: Stage, victim: Victim, params: SiteLinkCutParams) -> str:
    """What the two sites send each other vanishes."""
    proof = await drop(stage, cut_of(victim, params, stage.cluster.substrate.topology))
    return f"{victim.name}: {proof}"


async def undo(stage: Stage, victim: Victim, params: SiteLinkCutParams) -> str:
    """They hear each other again."""
    return await lift(stage, cut_of(victim, params, stage.cluster.substrate.topology))


def _links(names: Sequence[str]) -> str:
    return f"{plural('link', names)} {joined(names)} between sites"


SITE_LINK_CUT = FaultKind(
    key=KEY,
    words=FaultWords(
        title="link of two sites cut",
        healed="link of two sites back",
        noun=lambda links: f"the cut of the {_links(links)}",
        clause=lambda links: f"the {_links(links)} {'was' if len(links) == 1 else 'were'} cut",
        broken=lambda link: f"the link {link} between sites is cut",
    ),
    params=SiteLinkCutParams,
    read=read,
    takes=LINKS,
    needs=NEEDS,
    lasts=True,
    # Everybody reaches somebody who reaches the others: no side is lost, and not all are served.
    effect=lambda params: "unpredicted",
    strike=strike,
    undo=undo,
    chances=Chances(family="links"),
    draw=lambda random: SiteLinkCutParams(one_way=random.random() < 0.5),
)
