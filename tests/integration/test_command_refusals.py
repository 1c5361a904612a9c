"""What ``bascule drill`` refuses before anything is raised."""

from __future__ import annotations

from pathlib import Path

from support.commands import bascule

from cluster.topology.load import find_topology, to_toml


def test_a_load_that_would_die_with_the_primary_is_refused(tmp_path: Path) -> None:
    text = to_toml(find_topology("three-sites")).replace('["postgres"]', '["postgres", "client"]')
    topology = tmp_path / "shared.toml"
    topology.write_text(text)
    out = tmp_path / "run"
    done = bascule("drill", "host-loss", "--topology", str(topology), "--out", str(out))
    assert done.returncode == 2, done.stderr
    assert "fault[0]: host-power-cut would end the load together with PostgreSQL" in done.stderr
    assert "give the client a host of its own" in done.stderr
    assert not out.exists()


def test_a_workload_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = bascule("drill", "--workload", "ledgers", "--out", str(out))
    assert done.returncode == 2
    assert "'ledger', 'transfers', 'bulk'" in done.stderr
    assert not out.exists()
