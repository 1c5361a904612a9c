"""A host's link carries packets one way only: it is heard and hears nothing, or the reverse.

What is connected stays so, and one side goes on sending into the void; a request may still be
heard, and acted on, although its answer never arrives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from chaos.faults.base import Chances, FaultKind, FaultParams, FaultWords
from chaos.faults.packets import NEEDS, Cut, Way, both_ways, dropping, lifting
from chaos.faults.targets import HOSTS, Victim
from chaos.wording import links_of
from cluster.substrates.base import DropRule
from cluster.toml.reader import TomlTable
from cluster.topology.model import Topology

KEY = "link-cut-one-way"
Direction = Literal["in", "out"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)


@dataclass(frozen=True, slots=True, kw_only=True)
class OneWayParams(FaultParams):
    """Which way is cut."""

    direction: Direction = "in"
    """``in``: what is for the victim vanishes; ``out``: what it sends."""


def read(table: TomlTable) -> OneWayParams:
    """``direction``."""
    return OneWayParams(direction=table.choice("direction", DIRECTIONS, "in"))


def cut_of(victim: Victim, params: OneWayParams, topology: Topology) -> Cut:
    """One way vanishes, the other is spared."""
    name = f"{KEY} {params.direction} on {victim.name}"
    return one_way(name, both_ways(victim), params)


def one_way(
    name: str, ways: tuple[Way, Way], params: OneWayParams, *, spared: tuple[DropRule, ...] = ()
) -> Cut:
    """A cut of one of two ways, in and out; the other one is spared."""
    vanishes, passes = ways if params.direction == "in" else ways[::-1]
    return Cut(name=name, ways=(vanishes,), spared=(passes.rule, *spared))


LINK_CUT_ONE_WAY = FaultKind(
    key=KEY,
    words=FaultWords(
        title="link cut one way",
        healed="link back",
        noun=lambda hosts: f"the one-way cut of {links_of(hosts)}",
        clause=lambda hosts: (
            f"{links_of(hosts)} {'was' if len(hosts) == 1 else 'were'} cut one way"
        ),
        broken=lambda host: f"the link of {host} is cut one way",
    ),
    params=OneWayParams,
    read=read,
    takes=HOSTS,
    needs=NEEDS,
    lasts=True,
    # What a host can still say keeps some of the others from missing it.
    effect=lambda params: "unpredicted",
    strike=dropping(cut_of),
    undo=lifting(cut_of),
    chances=Chances(family="links"),
    draw=lambda random: OneWayParams(direction=random.choice(DIRECTIONS)),
)
