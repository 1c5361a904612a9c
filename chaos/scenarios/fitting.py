"""The topology as a scenario needs it. Pure."""

from __future__ import annotations

from chaos.faults.registry import FAULTS
from chaos.scenarios.model import Scenario
from cluster.substrates.base import DiskBreakable
from cluster.topology.model import Topology


def fitted(topology: Topology, scenario: Scenario) -> Topology:
    """The topology with the disks and the parameters of PostgreSQL that a scenario asks for.

    A scenario asks for layered disks by its ``disk``, or by a fault that breaks disks.
    """
    breaks_disks = any(DiskBreakable in FAULTS[step.fault].needs for step in scenario.faults)
    if scenario.disk == "layered" or breaks_disks:
        topology = topology.with_layered_disks()
    return topology.with_postgresql(scenario.postgresql) if scenario.postgresql else topology
