"""A standby cluster follows and is no second primary, until it is promoted carelessly."""

from __future__ import annotations

from pathlib import Path

from support.commands.commands import sealed

TIMEOUT_S = 300.0


def test_a_standby_cluster_in_a_real_lab(tmp_path: Path) -> None:
    """``support.lab.standby_lab`` has the experiment; here it is sealed and run."""
    sealed("support.lab.standby_lab", str(tmp_path), timeout_s=TIMEOUT_S)
