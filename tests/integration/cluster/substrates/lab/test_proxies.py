"""HAProxy and PgBouncer do in a real lab what ``cluster.proxies`` says."""

from __future__ import annotations

from pathlib import Path

from support.commands.commands import sealed

TIMEOUT_S = 280.0


def test_proxies_in_a_real_lab(tmp_path: Path) -> None:
    """``support.lab.proxied_lab`` has the experiment; here it is sealed and run."""
    sealed("support.lab.proxied_lab", str(tmp_path), timeout_s=TIMEOUT_S)
