"""What a scenario is: a fault schedule, a workload, and what must hold. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

FaultName = Literal["host-power-cut", "process-kill", "link-cut", "switchover"]
Durability = Literal["quorum", "async"]
WorkloadKind = Literal["ledger", "transfers", "bulk"]
"""What the load processes do: one module of ``chaos/workloads`` each."""
RATES_PER_S: Mapping[WorkloadKind, float] = {"ledger": 100.0, "transfers": 50.0, "bulk": 4.0}
"""Operations a second and site, where nobody asks for another rate. A transfer takes four round
trips in place of one, a chunk some hundred rows: about the same work for the machine."""
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
class WorkloadSpec:
    """What the load does; the defaults are those of run folders that do not say.

    The numbers stand in the run folder, because the checkers count from them.
    """

    kind: WorkloadKind = "ledger"
    accounts: int = 20
    """For ``transfers``: how many. So few that operations meet on the same rows all the time."""
    opening_balance: int = 1000
    """For ``transfers``: what every account begins with."""
    chunk_rows: int = 512
    """For ``bulk``: rows of one chunk, which is one operation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A drill as data (``chaos/scenarios/builtin/*.toml``, docs/scenarios.md)."""

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
    durability: Durability | None = None
    """Put in force whatever the topology says; None: the topology's stands."""
    workload: WorkloadSpec = field(default_factory=WorkloadSpec)
