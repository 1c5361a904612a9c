"""The exporter sees what happens to a real Patroni cluster of three sites."""

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
def test_a_replica_is_cut_off_and_the_primary_is_lost(tmp_path: Path) -> None:
    """``support.lab.exporter_lab`` has the story; here it is sealed and run."""
    inside = [sys.executable, "-m", "support.lab.exporter_lab", str(tmp_path)]
    tests = str(Path(__file__).parents[4])
    done = subprocess.run(
        [sys.executable, "-c", ENTER, *inside],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        env={**os.environ, "PYTHONPATH": tests},
    )
    log = tmp_path / "logs" / "app-paris.exporter.log"
    assert done.returncode == 0, done.stderr + (log.read_text() if log.exists() else "")
    assert "Traceback" not in log.read_text()
