"""What is taken of the programs of the machine, and what a topology with proxies needs of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cluster.binaries import find_binaries, find_etcd_restore_tool, proxy_versions
from cluster.errors import PrerequisiteError
from cluster.substrates.lab.kind import LAB
from cluster.topology.load import load_builtin

PROXIED = load_builtin("three-sites-proxies")


def test_a_machine_without_a_proxy_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None)
    with pytest.raises(PrerequisiteError, match="sudo apt-get install haproxy") as found:
        LAB.check_topology(PROXIED)
    assert "the role haproxy, and this machine has no HAProxy" in str(found.value)


def test_where_nobody_has_one_none_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None)
    assert proxy_versions(load_builtin("three-sites")) == {}


def test_what_a_virtual_environment_puts_before_the_machines_own_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any that is active: the wheel's script for etcdutl does not even start."""
    for folder in ("venv/bin", "machine/bin"):
        (tmp_path / folder).mkdir(parents=True)
        for name in ("etcd", "etcdutl"):
            (tmp_path / folder / name).write_text("#!/bin/sh\necho etcd Version: 3.4.0\n")
            (tmp_path / folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/venv/bin:{tmp_path}/machine/bin:/usr/bin:/bin")
    assert find_etcd_restore_tool() == tmp_path / "venv/bin/etcdutl"
    (tmp_path / "venv/pyvenv.cfg").touch()
    assert find_etcd_restore_tool().parent != tmp_path / "venv/bin"
    assert find_binaries().etcd.path.parent != tmp_path / "venv/bin"
