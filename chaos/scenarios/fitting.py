"""The topology as a scenario needs it. Pure."""

from __future__ import annotations

from chaos.faults.registry import FAULTS
from chaos.scenarios.model import Scenario
from cluster.substrates.base import ClockSettable, DiskBreakable
from cluster.topology.model import Topology


def fitted(topology: Topology, scenario: Scenario) -> Topology:
    """The topology with the disks, clocks and parameters of PostgreSQL that a scenario asks for.

    A scenario asks for layered disks by its ``disk``, or by a fault that breaks disks; for clocks
    that can be put wrong by a fault that does so.
    """
    needs = {need for step in scenario.faults for need in FAULTS[step.fault].needs}
    if scenario.disk == "layered" or DiskBreakable in needs:
        topology = topology.with_layered_disks()
    if ClockSettable in needs:
        topology = topology.with_settable_clocks()
    return topology.with_postgresql(scenario.postgresql) if scenario.postgresql else topology
