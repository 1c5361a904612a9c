"""Every fault of the lab is proved to bite, each in a fresh lab of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.lab_probes import PROBES

TIMEOUT_S = 60.0
ENTER = (
    "import sys; from cluster.lab.enter import run_sealed; sys.exit(run_sealed(sys.argv[1:])[0])"
)


@pytest.mark.parametrize("probe", PROBES)
def test_in_a_real_lab(probe: str, tmp_path: Path) -> None:
    """``support.lab_probes`` has the experiments; here they are sealed and run."""
    inside = [sys.executable, "-m", "support.lab_probes", probe, str(tmp_path)]
    tests = str(Path(__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", ENTER, *inside],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        env={**os.environ, "PYTHONPATH": tests, "BASCULE_TEST_CANARY": "must not get in"},
    )
    assert done.returncode == 0, done.stderr
