"""An etcd with users: everybody logs in, and logs in again when the tokens have ended."""

from __future__ import annotations

from pathlib import Path

from support.commands.commands import sealed

TIMEOUT_S = 300.0


def test_an_etcd_with_users_in_a_real_lab(tmp_path: Path) -> None:
    """``support.lab.etcd_auth_lab`` has the experiment; here it is sealed and run."""
    sealed("support.lab.etcd_auth_lab", str(tmp_path), timeout_s=TIMEOUT_S)
