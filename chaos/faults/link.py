"""A host's cable is pulled: both sides hear only silence, and no connection breaks."""

from __future__ import annotations

from chaos.faults.base import NO_PARAMS, Chances, FaultKind, FaultParams, FaultWords, Stage
from chaos.faults.packets import both_ways, seen_silent
from chaos.faults.targets import HOSTS, Victim
from chaos.wording import links_of
from cluster.substrates.base import Cuttable


async def pull(stage: Stage, victim: Victim, params: FaultParams) -> str:
    """Pull the cable; test packets prove it, where the substrate has them."""
    await stage.able(Cuttable).cut_link(victim.name)
    proof = await seen_silent(stage, both_ways(victim))
    return "; ".join(filter(None, ("cable pulled: silence in both directions", proof)))


async def plug_in(stage: Stage, victim: Victim, params: FaultParams) -> str:
    """Plug it in again."""
    await stage.able(Cuttable).heal_link(victim.name)
    return "cable plugged in again"


LINK_CUT = FaultKind(
    key="link-cut",
    words=FaultWords(
        title="link cut",
        healed="link back",
        noun=lambda hosts: f"the cut of {links_of(hosts)}",
        clause=lambda hosts: f"{links_of(hosts)} {'was' if len(hosts) == 1 else 'were'} cut",
    ),
    params=FaultParams,
    read=lambda table: NO_PARAMS,
    takes=HOSTS,
    needs=(Cuttable,),
    lasts=True,
    effect=lambda params: "silence",
    strike=pull,
    undo=plug_in,
    chances=Chances(family="links"),
    draw=lambda random: NO_PARAMS,
)
