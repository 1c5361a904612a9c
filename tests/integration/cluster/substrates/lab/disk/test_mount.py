"""A disk in user space, mounted for real: what a power cut takes, and every fault of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.commands.commands import sealed
from support.lab.disk_probes import DISK_PROBES

from cluster.substrates.lab.disk.prerequisites import missing

TIMEOUT_S = 60.0


def test_this_machine_can_have_such_disks() -> None:
    assert missing() is None


@pytest.mark.parametrize("probe", DISK_PROBES)
def test_in_a_real_mount(probe: str, tmp_path: Path) -> None:
    """``support.lab.disk_probes`` has the experiments; here they are sealed and run."""
    sealed("support.lab.disk_probes", probe, str(tmp_path), timeout_s=TIMEOUT_S)
