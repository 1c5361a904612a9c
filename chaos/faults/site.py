"""A site is cut off from all others, in silence; within the site everything goes on."""

from __future__ import annotations

from collections.abc import Sequence

from chaos.faults.base import NO_PARAMS, FaultKind, FaultParams, FaultWords, Stage
from chaos.faults.packets import both_ways, others, seen_silent
from chaos.faults.targets import SITES, Victim
from chaos.wording import joined, plural
from cluster.substrates.base import SiteCuttable
from cluster.topology.model import Topology

KEY = "site-cut"


async def cut_off(stage: Stage, victim: Victim, params: FaultParams) -> str:
    """Between the site and the others packets vanish; test packets prove it, where the substrate
    has them."""
    await stage.able(SiteCuttable).cut_site(victim.name)
    elsewhere = others(stage.cluster.substrate.topology, victim.hosts)
    proof = await seen_silent(stage, both_ways(victim, elsewhere=elsewhere))
    words = f"{victim.name} is cut off from every other site"
    return "; ".join(filter(None, (words, proof)))


async def join(stage: Stage, victim: Victim, params: FaultParams) -> str:
    """Join it again."""
    await stage.able(SiteCuttable).heal_site(victim.name)
    return "the site is joined again"


def would_cut_off_nobody(
    params: FaultParams, topology: Topology, hosts: Sequence[str]
) -> str | None:
    """One site has no others."""
    if len(topology.sites) > 1:
        return None
    return f"{KEY} needs two sites: in the topology {topology.name} there is one"


def _sites(names: Sequence[str]) -> str:
    return f"{plural('site', names)} {joined(names)}"


SITE_CUT = FaultKind(
    key=KEY,
    words=FaultWords(
        title="site cut off",
        healed="site joined",
        noun=lambda sites: f"the cut of the {_sites(sites)}",
        clause=lambda sites: f"the {_sites(sites)} {'was' if len(sites) == 1 else 'were'} cut off",
        broken=lambda site: f"site {site} is cut off",
    ),
    params=FaultParams,
    read=lambda table: NO_PARAMS,
    takes=SITES,
    needs=(SiteCuttable,),
    lasts=True,
    effect=lambda params: "partition",
    strike=cut_off,
    undo=join,
    draw=lambda random: NO_PARAMS,
    impossible=would_cut_off_nobody,
)
