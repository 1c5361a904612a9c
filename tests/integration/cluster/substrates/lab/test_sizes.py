"""A lab of many PostgreSQL comes up, and one that cannot says why."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.commands.commands import sealed
from support.lab.sized_labs import PROBES

TIMEOUT_S = 300.0


@pytest.mark.slow
@pytest.mark.parametrize("probe", PROBES)
def test_in_a_lab(probe: str, tmp_path: Path) -> None:
    """``support.lab.sized_labs`` has the experiments; here they are sealed and run."""
    sealed("support.lab.sized_labs", probe, str(tmp_path), timeout_s=TIMEOUT_S)
