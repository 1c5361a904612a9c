"""A lab whose hosts have ordinary disks says so, and why nothing can be broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.errors import HostError
from cluster.substrates.abilities import missing_abilities
from cluster.substrates.disk import DiskFault
from cluster.substrates.lab.lab import Lab
from cluster.topology.load import load_builtin


@pytest.mark.anyio
async def test_an_ordinary_disk_cannot_be_broken(tmp_path: Path) -> None:
    lab = Lab(load_builtin("three-sites"), logs=tmp_path, on_exit=lambda end: None)
    assert missing_abilities(lab, ["break-disk"]) == []
    words = 'the disk of db-paris cannot be broken: in the topology it is not "layered"'
    for act in (
        lab.break_disk("db-paris", DiskFault(name="full")),
        lab.mend_disk("db-paris", "full"),
        lab.tear_page("db-paris"),
    ):
        with pytest.raises(HostError, match=words):
            await act
    await lab.sync_disks()
