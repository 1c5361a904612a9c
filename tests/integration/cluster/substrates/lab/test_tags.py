"""Members with Patroni's tags do in a real cluster what ``cluster.topology.tags`` says."""

from __future__ import annotations

from pathlib import Path

from support.commands.commands import sealed

TIMEOUT_S = 180.0


def test_tags_in_a_real_lab(tmp_path: Path) -> None:
    """``support.lab.tagged_lab`` has the experiment; here it is sealed and run."""
    sealed("support.lab.tagged_lab", str(tmp_path), timeout_s=TIMEOUT_S)
