"""The fault catalogue: one file a family. Adding a fault is a file here and a line below."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.faults.base import Fault, Stage
from chaos.faults.host import HostPowerCut
from chaos.faults.link import LinkCut
from chaos.faults.process import ProcessKill
from chaos.faults.switchover import Switchover
from chaos.scenarios.model import FaultName

FAULTS: Mapping[FaultName, type[Fault]] = {
    "host-power-cut": HostPowerCut,
    "link-cut": LinkCut,
    "process-kill": ProcessKill,
    "switchover": Switchover,
}

__all__ = ["FAULTS", "Fault", "Stage"]
