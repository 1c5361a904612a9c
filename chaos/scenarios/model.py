"""What a scenario is: a fault schedule, a workload, and what must hold. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FaultName = Literal["host-power-cut", "process-kill", "link-cut", "switchover"]
Durability = Literal["quorum", "async"]
Failover = Literal["must", "may", "must-not"]
Target = Literal["primary", "replicas"]
"""Whom a fault hits, resolved when it strikes: the primary's host, or the host of each replica."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultStep:
    """One fault of the schedule."""

    fault: FaultName
    target: Target
    at_s: float
    """Seconds after the fault phase begins."""
    process: str | None = None
    """For ``process-kill``: the process to kill (``postgres``)."""
    heal_at_s: float | None = None
    """When this fault alone is healed, in seconds after the fault phase begins; None: with all the
    others, at the end of the fault phase. Only for faults that last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectations:
    """What must hold for the verdict VALID."""

    rto_s_max: float
    """The longest time in which a site may be without an acknowledged write."""
    lost_max: int = 0
    failover: Failover = "may"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A drill as data (``chaos/scenarios/builtin/*.toml``, docs/scenarios.md)."""

    name: str
    title: str
    description: str
    durability: Durability
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
