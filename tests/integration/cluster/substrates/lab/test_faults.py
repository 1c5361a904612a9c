"""Every fault of the lab is proved to bite, each in a fresh lab of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.commands.commands import sealed
from support.lab.lab_probes import PROBES

from cluster.errors import LabError
from cluster.substrates.lab.lab import check_visible

TIMEOUT_S = 60.0


def test_logs_that_the_hosts_could_not_see_are_refused() -> None:
    """Every host has a ``/dev/shm`` of its own."""
    with pytest.raises(LabError, match=r"/dev/shm/run is in /dev/shm.*another folder"):
        check_visible(Path("/tmp"), Path("/dev/shm/run"))


@pytest.mark.parametrize("probe", PROBES)
def test_in_a_real_lab(probe: str, tmp_path: Path) -> None:
    """``support.lab.lab_probes`` has the experiments; here they are sealed and run."""
    canary = {"BASCULE_TEST_CANARY": "must not get in"}
    sealed("support.lab.lab_probes", probe, str(tmp_path), timeout_s=TIMEOUT_S, **canary)
