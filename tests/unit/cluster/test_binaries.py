"""What a topology with proxies needs of the machine."""

from __future__ import annotations

import shutil

import pytest

from cluster.binaries import proxy_versions
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
