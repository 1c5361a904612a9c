"""A bulk load through the loss of the primary's host, with the real Patroni, etcd and network."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TIMEOUT_S = 300.0
ENTER = (
    "import sys; from cluster.substrates.lab.enter import run_sealed;"
    " sys.exit(run_sealed(sys.argv[1:])[0])"
)


@pytest.mark.slow
def test_every_row_once_through_a_host_loss(tmp_path: Path) -> None:
    """``support.lab.bulk_lab`` has the experiment; here it is sealed and run."""
    inside = [sys.executable, "-m", "support.lab.bulk_lab", str(tmp_path)]
    tests = str(Path(__file__).parents[3])
    done = subprocess.run(
        [sys.executable, "-c", ENTER, *inside],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        env={**os.environ, "PYTHONPATH": tests},
    )
    assert done.returncode == 0, done.stderr
