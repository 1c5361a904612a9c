"""Links between sites have the delay, the loss and the rate that they are to have, in real labs."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.commands.commands import sealed
from support.lab.wan_probes import PROBES

TIMEOUT_S = 90.0


@pytest.mark.parametrize("probe", PROBES)
def test_in_a_real_lab(probe: str, tmp_path: Path) -> None:
    """``support.lab.wan_probes`` has the experiments; here they are sealed and run."""
    sealed("support.lab.wan_probes", probe, str(tmp_path), timeout_s=TIMEOUT_S)
