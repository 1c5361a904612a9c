"""What a scenario is: a fault schedule, a workload, and what must hold. Values only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from random import Random
from typing import Literal, Self, get_args

from chaos.decode import decode, encode
from chaos.errors import FormatError
from chaos.faults.base import NO_PARAMS, FaultParams
from chaos.faults.targets import Target
from chaos.scenarios.access import NO_ACCESS, AccessSpec
from chaos.workloads.kind import WorkloadOptions
from chaos.workloads.registry import DEFAULT, WORKLOADS, kind_of
from cluster.topology.model import DiskKind
from cluster.topology.proxies import ProxyRole
from cluster.topology.settings import SyncMode

Failover = Literal["must", "may", "must-not", "not-while-broken"]
"""Whether another node takes the lead. ``not-while-broken``: nobody may before the heal that
follows the last strike; once the faults are healed anybody may."""
Cue = Literal["struck", "new-primary", "first-acknowledged", "whole", "standby-named", "healed"]
"""What a fault may follow on, counted from the strike of the fault before it in the file, or, for
its own heal, from its own strike:

- ``struck``: that strike has taken effect.
- ``new-primary``: a node that did not lead before that strike has the leader key and is promoted.
- ``first-acknowledged``: such a node has acknowledged a write that was begun after that strike.
- ``whole``: the faults before it that break something are healed, and the cluster is whole
  (``cluster.whole``), which it may still seem to be when one of them has just struck.
- ``standby-named``: the primary counts a standby as synchronous that the sync key does not name
  yet, as Patroni does for two seconds when one comes back.
- ``healed``: everything that lasts has been healed.
"""
CUES: tuple[Cue, ...] = get_args(Cue)
HEALING_CUES: tuple[Cue, ...] = ("new-primary", "first-acknowledged")
"""Those that can come while the fault itself lasts: it may be healed on them."""
MOMENT_DIGITS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultStep:
    """One fault of the schedule."""

    fault: str
    """Its key in ``chaos.faults.registry``."""
    target: Target
    """Whom it hits, resolved when it strikes."""
    at_s: float = 0.0
    """Seconds after the fault phase begins; means nothing where it follows on an event."""
    params: FaultParams = NO_PARAMS
    """The parameters of this kind of fault besides its target."""
    heal_at_s: float | None = None
    """When this fault alone is healed, in seconds after the fault phase begins. Only for faults
    that last. With none of the ``heal_`` fields it is healed with all the others, at the end of the
    fault phase."""
    at_s_max: float | None = None
    """The seed of the drill chooses the moment, from ``at_s`` to here; None: it is ``at_s``."""
    on: Cue | None = None
    """What it follows on, instead of striking at a moment."""
    after_s: float = 0.0
    """How long after that event."""
    heal_on: Cue | None = None
    """What its heal follows on, one of ``HEALING_CUES``."""
    heal_after_s: float | None = None
    """How long after that event (None: at once); without one, how long after it has struck."""

    @property
    def follows_events(self) -> bool:
        """When it strikes or is healed is not known beforehand."""
        return self.on is not None or self.heal_on is not None or self.heal_after_s is not None

    @property
    def has_own_heal(self) -> bool:
        """It is healed before the end of the fault phase."""
        return (self.heal_at_s, self.heal_on, self.heal_after_s) != (None, None, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectations:
    """What must hold for the verdict VALID."""

    rto_s_max: float
    """The longest time in which a site may be without an acknowledged write."""
    lost_max: int = 0
    failover: Failover = "may"
    restore_loss_s_max: float | None = None
    """How far back a restore of the cluster may set the data, from its end; None: no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadSpec:
    """What the load does: the options of a workload (``chaos/workloads``), which say which one."""

    options: WorkloadOptions = field(default_factory=DEFAULT.options)

    @property
    def kind(self) -> str:
        """The name of the workload."""
        return kind_of(self.options).key

    def to_json(self) -> dict[str, object]:
        """As it stands in ``run.json``: its name and its options in one object."""
        options = encode(self.options)
        assert isinstance(options, dict)  # a dataclass always encodes as one
        return {"kind": self.kind, **_IN_EVERY_RUN, **options}

    @classmethod
    def from_json(cls, value: Mapping[str, object], key: str) -> Self:
        """The inverse of ``to_json``.

        Raises:
            FormatError: the workload, or one of its options, does not exist.
        """
        name = value.get("kind", DEFAULT.key)
        kind = WORKLOADS.get(name) if isinstance(name, str) else None
        if kind is None:
            raise FormatError(f"{key}.kind", f"expected one of {', '.join(WORKLOADS)}")
        own = {option.name for option in fields(kind.options)}
        foreign = {"kind", *_IN_EVERY_RUN} - own
        given = {option: set_to for option, set_to in value.items() if option not in foreign}
        return cls(options=decode(kind.options, given, key))


_IN_EVERY_RUN: Mapping[str, int] = {"accounts": 20, "opening_balance": 1000, "chunk_rows": 512}
"""Options that the format of the run folder has for every workload. A workload without them ignores
them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A drill as data (``chaos/scenarios/builtin/*.toml``, docs/use/scenarios.md)."""

    name: str
    title: str
    description: str
    steady_s: float
    """How long the steady state is measured before the first fault."""
    fault_s: float
    """How long the faults last at least, before everything is healed."""
    after_heal_s: float
    """How long load goes on after the cluster has recovered."""
    heal_when_service_is_back: bool
    """Heal only once every site acknowledges writes again, or the limit has passed."""
    recovery_s_max: float
    """The cluster must be whole again this long after heal."""
    faults: tuple[FaultStep, ...]
    expect: Expectations
    durability: SyncMode | None = None
    """Put in force instead of the topology's; None: the topology's stands."""
    witness: bool | None = None
    """With witnesses or without, instead of what the topology says; None: that stands."""
    workload: WorkloadSpec = field(default_factory=WorkloadSpec)
    through: ProxyRole | None = None
    """What the load goes through, as plain psycopg does; None: straight to the members."""
    topology: str | None = None
    """The built-in topology that it is made for, which is raised where no other is asked for; None:
    the default one."""
    disk: DiskKind | None = None
    """Of every host with PostgreSQL; None: the topology's, or what its faults need."""
    postgresql: Mapping[str, str] = field(default_factory=dict)
    """Parameters of PostgreSQL, put in force besides and instead of the topology's."""
    access: AccessSpec = NO_ACCESS
    """Who must be let in to what; older run folders ask nothing."""


Entry = tuple[float, Literal["heal", "strike"], FaultStep]
"""When, in seconds after the fault phase begins; what is done; about which fault."""


def drawn(faults: Iterable[FaultStep], seed: int) -> tuple[FaultStep, ...]:
    """The schedule with every moment that is left to chance chosen; the same for the same seed."""
    return tuple(
        step
        if step.at_s_max is None
        else replace(step, at_s=_moment(step.at_s, step.at_s_max, index, seed), at_s_max=None)
        for index, step in enumerate(faults)
    )


def _moment(from_s: float, to_s: float, index: int, seed: int) -> float:
    return round(Random(f"{seed} moment {index}").uniform(from_s, to_s), MOMENT_DIGITS)


def timetable(faults: Iterable[FaultStep]) -> list[Entry]:
    """What is done at a known moment; of what is done at the same one, what heals comes first.

    Args:
        faults: the schedule, ``drawn``. What follows on an event is left out (``agenda``).
    """
    entries: list[Entry] = []
    for step in faults:
        if step.on is None:
            entries.append((step.at_s, "strike", step))
        if step.heal_at_s is not None:
            entries.append((step.heal_at_s, "heal", step))
    return sorted(entries, key=lambda entry: entry[:2])
