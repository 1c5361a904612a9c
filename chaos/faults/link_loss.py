"""A host's link loses some of the packets, drawn at random, both ways."""

from __future__ import annotations

from dataclasses import dataclass

from chaos.errors import FormatError
from chaos.faults.base import Chances, FaultKind, FaultParams, FaultWords
from chaos.faults.packets import NEEDS, Cut, both_ways, dropping, lifting
from chaos.faults.targets import HOSTS, Victim
from chaos.wording import links_of
from cluster.toml.reader import TomlTable
from cluster.topology.model import Topology

KEY = "link-loss"
LOSS_MIN, LOSS_MAX = 1.0, 90.0
"""Percent. Beyond it is as good as a cut, and that is another fault."""
LOSS = 20.0
"""TCP gets through, with delays of seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkLossParams(FaultParams):
    """How much."""

    loss_percent: float = LOSS
    """Of the packets, each way: 1 to 90."""

    def __post_init__(self) -> None:
        if not LOSS_MIN <= self.loss_percent <= LOSS_MAX:
            words = f"expected a number from {LOSS_MIN:g} to {LOSS_MAX:g}"
            raise FormatError("loss_percent", words)


def read(table: TomlTable) -> LinkLossParams:
    """``loss_percent``."""
    found = table.number("loss_percent", minimum=LOSS_MIN, maximum=LOSS_MAX, default=LOSS)
    return LinkLossParams(loss_percent=found)


def cut_of(victim: Victim, params: LinkLossParams, topology: Topology) -> Cut:
    """A share of the packets, each way."""
    percent = params.loss_percent
    name = f"{KEY} of {percent:g} % on {victim.name}"
    return Cut(name=name, ways=both_ways(victim, percent=percent))


LINK_LOSS = FaultKind(
    key=KEY,
    words=FaultWords(
        title="link lossy",
        healed="link good again",
        noun=lambda hosts: f"the loss of packets on {links_of(hosts)}",
        clause=lambda hosts: f"{links_of(hosts)} lost packets",
        broken=lambda host: f"the link of {host} loses packets",
    ),
    params=LinkLossParams,
    read=read,
    takes=HOSTS,
    needs=NEEDS,
    lasts=True,
    # How long TCP needs to get through is a matter of chance.
    effect=lambda params: "unpredicted",
    strike=dropping(cut_of),
    undo=lifting(cut_of),
    chances=Chances(family="links"),
    draw=lambda random: LinkLossParams(loss_percent=float(random.randint(5, 40))),
)
