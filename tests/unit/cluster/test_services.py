"""The kept configuration of a service can be changed, and a later start keeps the change."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import anyio
import yaml

from cluster.binaries import Binaries
from cluster.etcd import member
from cluster.services import UnitServices, config_path
from cluster.substrates.base import Process
from cluster.topology.load import find_topology


class Machine:
    """A substrate that notes what is started."""

    python = "python3"

    def __init__(self) -> None:
        self.topology = find_topology("two-sites-and-cloud-standby")
        self.started: list[str] = []

    def address(self, host: str) -> str:
        return f"{host}.example"

    def data_folder(self, host: str) -> Path:
        return Path("/data") / host

    async def start_unit(self, host: str, unit: Process) -> None:
        self.started.append(f"{unit.name} on {host}")


def test_a_change_counts_from_the_next_start_and_survives_it(tmp_path: Path) -> None:
    machine = Machine()
    binaries = cast(Binaries, cast(Any, _Programs()))
    services = UnitServices(cast(Any, machine), binaries, tmp_path)
    path = config_path(tmp_path, member.UNIT, "dcs-cloud")

    def now() -> dict[str, object]:
        return dict(yaml.safe_load(path.read_text()))

    async def story() -> None:
        await services.start("dcs-cloud")
        before = now()
        assert before["initial-cluster-state"] == "new"
        await services.configure("dcs-cloud", "etcd", {member.FORCE_KEY: True})
        await services.start("dcs-cloud", "etcd")
        assert now() == {**before, "initial-cluster-state": "existing", member.FORCE_KEY: True}
        await services.configure("dcs-cloud", "etcd", {member.FORCE_KEY: None})
        assert now() == {**before, "initial-cluster-state": "existing"}
        await services.configure("db-cloud", "postgres", {"tags": {"nosync": True}})
        patroni = yaml.safe_load(config_path(tmp_path, "patroni", "db-cloud").read_text())
        assert patroni["tags"] == {"nosync": True}
        assert patroni["name"] == "db-cloud"

    anyio.run(story)
    assert machine.started == ["etcd on dcs-cloud"] * 2


class _Programs:
    pg_bindir = Path("/pg/bin")
    etcd = type("Etcd", (), {"path": Path("/bin/etcd")})
