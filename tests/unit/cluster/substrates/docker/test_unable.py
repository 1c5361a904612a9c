"""What containers cannot do is refused with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.substrates.abilities import ABILITIES, inability, missing_abilities
from cluster.substrates.docker.hosts import UNABLE, ContainerHosts
from cluster.topology.load import load_builtin

pytestmark = pytest.mark.anyio


async def test_every_inability_has_its_reason(tmp_path: Path) -> None:
    topology = load_builtin("three-sites")
    sites = ContainerHosts(topology, folder=tmp_path, run="r", on_exit=lambda end: None)
    missing = missing_abilities(sites, list(ABILITIES))
    assert missing == list(UNABLE)
    assert inability(sites, ["edit-disk", "restore-etcd"]) == (
        "this substrate cannot edit-disk, restore-etcd (edit-disk: a host is a container with one "
        "service, and no command runs there without it; restore-etcd: a member's disk cannot be "
        "worked on while etcd does not run)"
    )
    assert inability(object(), ["cut-site"]) == "this substrate cannot cut-site"
