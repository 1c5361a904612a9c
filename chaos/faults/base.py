"""What a fault is: one value with everything about it, and the stage that it strikes on.

Each fault has a file of its own with its ``FaultKind``, and a line in ``registry``. The rest of
the project names no fault: schedules, reports, predictions and tests use its kind.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Generic, Literal, TypeVar, cast

from chaos.errors import AbilityError
from chaos.faults.targets import DCS_HOSTS, FORMS, LINKS, SITES, Selector, Target, Victim
from cluster.substrates.abilities import name_of_ability
from cluster.substrates.base import DiskBreakable
from cluster.toml.reader import TomlTable
from cluster.topology.model import Topology

if TYPE_CHECKING:  # it takes longer to import than all faults, and no load process needs it
    from cluster.raised import RaisedCluster

Ability = TypeVar("Ability")


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultParams:
    """The parameters of a fault besides its target. A fault without parameters has these."""


NO_PARAMS = FaultParams()
P = TypeVar("P", bound=FaultParams)

Effect = Literal[
    "power-off",
    "silence",
    "etcd-off",
    "partition",
    "one-way",
    "restart",
    "hand-over",
    "none",
    "unpredicted",
]
"""What a fault does to the cluster. Predictions and repairs go by it:

- ``power-off``: every process of its hosts ends, without a word to others; healed, they boot.
- ``silence``: no packet reaches or leaves its hosts; healed, they go on.
- ``etcd-off``: etcd alone does not answer on its hosts; healed, it goes on.
- ``partition``: its hosts reach each other, and no others.
- ``one-way``: packets cross the border of its hosts in one direction only. No connection across it
  can be used, so that as much can be served as with a ``partition``; but what is still heard may
  renew a lease once more, so that nobody knows when.
- ``restart``: PostgreSQL dies on its hosts, and what watches over it starts it again.
- ``hand-over``: the primary hands the lead over.
- ``none``: the service goes on.
- ``unpredicted``: it depends on what no model of ours knows; the drill shows it.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The raised cluster that a fault strikes."""

    cluster: RaisedCluster
    led_first: str | None = None
    """Who led when the first fault of a drill struck; None: none has, or it is no drill."""
    struck: frozenset[str] = frozenset()
    """Other hosts that something strikes in the same moment, or has struck: what they hear and say
    proves nothing of this fault."""
    folder: Path | None = None
    """The run folder, for what a fault finds that is evidence; None: nobody keeps any."""

    def able(self, ability: type[Ability]) -> Ability:
        """The substrate, as one that has ``ability``.

        Raises:
            AbilityError: it does not; ``missing_abilities`` reports that before a drill starts.
        """
        substrate = self.cluster.substrate
        if not isinstance(substrate, ability):
            name = name_of_ability(ability)
            raise AbilityError(f"{type(substrate).__name__} cannot {name}")
        return cast(Ability, substrate)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultWords:
    """How reports speak of a fault. Of several victims they speak at once."""

    title: str
    """In a chart: ``power cut``."""
    healed: str
    """In a chart, once it is undone: ``power back``."""
    noun: Callable[[Sequence[str]], str]
    """Of its victims, as the subject of a sentence: ``the cut of the link of db-paris``."""
    clause: Callable[[Sequence[str]], str]
    """Of its victims, after "after": ``the link of db-paris was cut``."""
    broken: Callable[[str], str] | None = None
    """Of one victim, while it lasts: ``site paris is cut off``; None: ``link-cut on db-paris``."""


Act = Callable[[Stage, Victim, P], Awaitable[str]]
"""Does something to a victim; returns in words what was done."""


async def nothing_to_undo(stage: Stage, victim: Victim, params: FaultParams) -> str:
    """The ``undo`` of a fault that is over once it has struck."""
    return "nothing to undo"


def never(params: FaultParams) -> bool:
    """The ``lasts_with`` of a fault that ends in the same way whatever it is asked."""
    return False


def always_possible(params: FaultParams, topology: Topology, hosts: Sequence[str]) -> str | None:
    """The ``impossible`` of a fault that no topology forbids."""
    return None


Family = Literal["hosts", "links", "sites", "etcd", "disks", "operators"]
"""What campaigns turn on and off together (swarm testing)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chances:
    """How a campaign draws a fault, beside its parameters (``chaos/campaigns``)."""

    weight: float = 1.0
    """How often, next to the other faults: twice as often with 2."""
    family: Family | None = None
    """None: by whom it strikes (``FaultKind.family``)."""
    targets: tuple[Selector, ...] | None = None
    """Whom of ``takes`` it is drawn to strike; None: all of them."""
    alone: bool | None = None
    """It strikes a whole cluster only, and nothing else strikes until the cluster is whole again:
    because it takes a copy of the data away for good, or because a broken cluster refuses it. None:
    where it asks the cluster itself (``FaultKind.is_alone``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultKind(Generic[P]):
    """A kind of fault."""

    key: str
    """Its name in scenarios, events and on the command line."""
    words: FaultWords
    params: type[P]
    """What it is asked. All have defaults: what is not asked is not written down either."""
    read: Callable[[TomlTable], P]
    """Takes the parameters from a step's table; a key that it does not ask for is refused."""
    takes: tuple[Selector, ...]
    """Whom it may strike."""
    needs: tuple[type, ...]
    """The abilities of a substrate (``cluster.substrates.base.ABILITIES``) that it uses."""
    lasts: bool
    """It stays until it is undone; else it is over once it has struck."""
    effect: Callable[[P], Effect]
    """What is predicted of it."""
    strike: Act[P]
    """It has taken effect when this returns."""
    undo: Act[P]
    """Undoes it, also where it has struck only half."""
    draw: Callable[[Random], P] | None
    """Random parameters, within bounds that a drill can take; None: no campaign draws it."""
    impossible: Callable[[P, Topology, Sequence[str]], str | None] = always_possible
    """Why it cannot strike these hosts of a topology; None if it can."""
    lasts_with: Callable[[P], bool] = never
    """Whether it lasts with these parameters, although it is over at once with others: a process
    that nothing but its undoing starts again."""
    worded: Callable[[P], FaultWords] | None = None
    """Its words where they depend on its parameters; None: ``words``."""
    chances: Chances = Chances()
    """How a campaign draws it, if ``draw`` is there."""
    by_hand: bool = False
    """It brings the service back, and people decide on it and carry it out: their time is told
    apart."""

    @property
    def family(self) -> Family:
        """With which other faults campaigns turn it on and off."""
        if self.chances.family is not None:
            return self.chances.family
        if DiskBreakable in self.needs:
            return "disks"
        if not self.needs:
            return "operators"
        if "dcs" in self.takes or set(self.takes) <= {*DCS_HOSTS, "host"}:
            return "etcd"
        return "sites" if set(self.takes) <= {*SITES, *LINKS} else "hosts"

    @property
    def is_alone(self) -> bool:
        """Campaigns have nothing else broken beside it. A fault that needs no ability of the
        substrate goes through Patroni, and one of etcd as a whole through etcd: both refuse while
        much is broken."""
        if self.chances.alone is not None:
            return self.chances.alone
        return not self.needs or "dcs" in self.takes

    def stays(self, params: P) -> bool:
        """With these parameters it stays until it is undone."""
        return self.lasts or self.lasts_with(params)

    def words_of(self, params: P) -> FaultWords:
        """How reports speak of it with these parameters."""
        return self.worded(params) if self.worded else self.words

    def refusal(self, target: Target) -> str | None:
        """Why it refuses a target; None if it accepts it."""
        if target.selector in self.takes:
            return None
        forms = " or ".join(f'"{FORMS[selector]}"' for selector in self.takes)
        return f'a {self.key} needs {forms}; found "{target}"'

    def broken(self, victim: str, params: P) -> str:
        """What is broken while it lasts."""
        words = self.words_of(params)
        return words.broken(victim) if words.broken else f"{self.key} on {victim}"

    def broken_already(self, victim: str, params: P) -> str:
        """Why it cannot strike once more."""
        verb = "" if self.words_of(params).broken else " is in force"
        return f"{self.broken(victim, params)}{verb} already"
