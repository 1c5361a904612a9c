"""A site is heard by the others and hears none of them, or the reverse; within it all goes on."""

from __future__ import annotations

from collections.abc import Sequence

from chaos.faults.base import FaultKind, FaultWords
from chaos.faults.link_one_way import DIRECTIONS, OneWayParams, one_way, read
from chaos.faults.packets import NEEDS, Cut, both_ways, dropping, lifting, others
from chaos.faults.targets import SITES, Victim
from chaos.wording import joined, plural
from cluster.substrates.base import DropRule
from cluster.topology.model import Topology

KEY = "site-cut-one-way"


def cut_of(victim: Victim, params: OneWayParams, topology: Topology) -> Cut:
    """One way between the site and the others; the other way and the site itself are spared."""
    ways = both_ways(victim, elsewhere=others(topology, victim.hosts))
    first, *rest = victim.hosts
    within = (DropRule(sources=(first,), targets=tuple(rest)),) if rest else ()
    name = f"{KEY} {params.direction} on {victim.name}"
    return one_way(name, ways, params, spared=within)


def would_cut_off_nobody(
    params: OneWayParams, topology: Topology, hosts: Sequence[str]
) -> str | None:
    """One site has no others."""
    if len(topology.sites) > 1:
        return None
    return f"{KEY} needs two sites: in the topology {topology.name} there is one"


def _sites(names: Sequence[str]) -> str:
    return f"{plural('site', names)} {joined(names)}"


SITE_CUT_ONE_WAY = FaultKind(
    key=KEY,
    words=FaultWords(
        title="site cut off one way",
        healed="site joined",
        noun=lambda sites: f"the one-way cut of the {_sites(sites)}",
        clause=lambda sites: (
            f"the {_sites(sites)} {'was' if len(sites) == 1 else 'were'} cut off one way"
        ),
        broken=lambda site: f"site {site} is cut off one way",
    ),
    params=OneWayParams,
    read=read,
    takes=SITES,
    needs=NEEDS,
    lasts=True,
    effect=lambda params: "one-way",
    strike=dropping(cut_of),
    undo=lifting(cut_of),
    draw=lambda random: OneWayParams(direction=random.choice(DIRECTIONS)),
    impossible=would_cut_off_nobody,
)
