"""What a lab that stays up was asked to be: written by ``bascule up``, read by its supervisor.

It becomes a drill whose fault phase lasts until ``bascule down``: the same life, the same run
folder, the same judgement. Values only.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from chaos.decode import decode, encode
from chaos.errors import FormatError
from chaos.scenarios.model import Expectations, Scenario, WorkloadSpec
from chaos.workloads.registry import WORKLOADS

PLAN = "plan.json"
SCENARIO = "by-hand"
STEADY_S = 3.0
"""Enough to compare with: some thirty operations a site at the rate of a lab."""
AFTER_HEAL_S = 3.0
RECOVERY_S_MAX = 120.0
"""Whatever a person has broken last is healed only then: a reboot, pg_rewind, a clone."""
RATE_PER_S = 10.0
"""A tenth of a drill's: a lab may stay up for hours, and all that is written stays in memory. An
outage is still seen to a tenth of a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PortPlan:
    """A port of this machine that leads into the lab."""

    leads_to: str
    """``primary``, ``replica``, or a node."""
    port: int
    fd: int
    """The descriptor of its listener, in the processes that inherit it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabPlan:
    """A lab that stays up."""

    name: str
    run: str
    """The run folder."""
    topology: str
    """Its name; the topology itself stands in ``topology.toml``."""
    substrate: str
    seed: int
    workload: str
    rate_per_s: float
    reads_per_s: float
    workers: int
    deadline_s: float
    rto_s_max: float
    load: bool
    """Load is offered from the begin on."""
    command: str
    started_at: str
    """When, in UTC."""
    started_s: float
    """The same moment, of the monotonic clock."""
    lock_fd: int
    control_fd: int
    ports: tuple[PortPlan, ...]
    metrics_port: int
    metrics_fd: int
    pg_bindir: str | None = None

    @property
    def fds(self) -> tuple[int, ...]:
        """What the process with the sites inherits besides the listener for the metrics."""
        return (self.lock_fd, self.control_fd, *(one.fd for one in self.ports))

    def port_to(self, role: str) -> int:
        """The port that leads to a role or a node."""
        return next(one.port for one in self.ports if one.leads_to == role)


def scenario_of(plan: LabPlan) -> Scenario:
    """A drill without a schedule: what is broken, and when, a person decides."""
    return Scenario(
        name=SCENARIO,
        title=f"Broken by hand: {plan.name}",
        description="Sites that were raised by hand and broken by hand (bascule up, strike, heal, "
        "down). There is no schedule: the events say what struck, and when.",
        steady_s=STEADY_S,
        fault_s=0.0,
        after_heal_s=AFTER_HEAL_S,
        heal_when_service_is_back=False,
        recovery_s_max=RECOVERY_S_MAX,
        faults=(),
        expect=Expectations(rto_s_max=plan.rto_s_max),
        workload=WorkloadSpec(options=WORKLOADS[plan.workload].options()),
    )


def write_plan(folder: Path, plan: LabPlan) -> None:
    """Write down, in the folder of the lab, what is asked."""
    (folder / PLAN).write_text(json.dumps(encode(plan)), encoding="utf-8")


def read_plan(folder: Path) -> LabPlan | None:
    """What was asked; None: nothing that can be understood."""
    with suppress(OSError, ValueError, FormatError):
        return decode(LabPlan, json.loads((folder / PLAN).read_text(encoding="utf-8")))
    return None
