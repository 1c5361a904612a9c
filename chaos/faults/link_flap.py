"""A host's cable goes out and in, again and again, until it is healed.

What pulls it is a task of the substrate: it ends with the heal, and with the drill's end at the
latest, whatever that is.
"""

from __future__ import annotations

from dataclasses import dataclass

from chaos.errors import FormatError
from chaos.faults.base import Chances, FaultKind, FaultParams, FaultWords, Stage
from chaos.faults.packets import both_ways, seen_silent
from chaos.faults.targets import HOSTS, Victim
from chaos.wording import links_of
from cluster.substrates.base import Flappable
from cluster.toml.reader import TomlTable

KEY = "link-flap"
TIME_S_MIN, TIME_S_MAX = 1.0, 600.0
"""Shorter is over before test packets have proved it; longer is a cut."""
DOWN_S, UP_S = 3.0, 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFlapParams(FaultParams):
    """How long it is out and in."""

    down_s: float = DOWN_S
    """How long the cable is out, each time."""
    up_s: float = UP_S
    """How long it is in."""

    def __post_init__(self) -> None:
        for key, value in (("down_s", self.down_s), ("up_s", self.up_s)):
            if not TIME_S_MIN <= value <= TIME_S_MAX:
                words = f"expected a number from {TIME_S_MIN:g} to {TIME_S_MAX:g}"
                raise FormatError(key, words)


def read(table: TomlTable) -> LinkFlapParams:
    """``down_s`` and ``up_s``."""

    def time_s(key: str, default: float) -> float:
        return table.number(key, minimum=TIME_S_MIN, maximum=TIME_S_MAX, default=default)

    return LinkFlapParams(down_s=time_s("down_s", DOWN_S), up_s=time_s("up_s", UP_S))


async def flap(stage: Stage, victim: Victim, params: LinkFlapParams) -> str:
    """The cable is out for the first time when this returns."""
    machine = stage.able(Flappable)
    await machine.flap_link(victim.name, down_s=params.down_s, up_s=params.up_s)
    words = f"cable out {params.down_s:g} s, in {params.up_s:g} s, and so on"
    return "; ".join(filter(None, (words, await seen_silent(stage, both_ways(victim)))))


async def steady(stage: Stage, victim: Victim, params: LinkFlapParams) -> str:
    """The cable stays in."""
    times = await stage.able(Flappable).steady_link(victim.name)
    return f"the cable stays in; it was out {times} {'time' if times == 1 else 'times'}"


LINK_FLAP = FaultKind(
    key=KEY,
    words=FaultWords(
        title="link flapping",
        healed="link steady",
        noun=lambda hosts: f"the flapping of {links_of(hosts)}",
        clause=lambda hosts: f"{links_of(hosts)} flapped",
        broken=lambda host: f"the link of {host} flaps",
    ),
    params=LinkFlapParams,
    read=read,
    takes=HOSTS,
    needs=(Flappable,),
    lasts=True,
    # It depends on what the cable is out for: a heartbeat, or only what can be sent again.
    effect=lambda params: "unpredicted",
    strike=flap,
    undo=steady,
    chances=Chances(family="links"),
    draw=lambda random: LinkFlapParams(
        down_s=float(random.randint(1, 8)), up_s=float(random.randint(1, 8))
    ),
)
