"""What topology and settings predict of the service, confirmed by drills."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.commands.commands import LOW_LOAD, bascule, events

from cluster.topology.load import find_topology, to_toml
from cluster.topology.model import Topology

pytestmark = pytest.mark.slow

SCENARIO = """
name = "until-healed"
title = "Held until a fixed moment"

steady_s = 2
fault_s = {fault_s}
heal_when_service_is_back = false
after_heal_s = 2
recovery_s_max = 90

[[fault]]
fault = "{fault}"
target = "{target}"
at_s = 0

[expect]
rto_s_max = 120
"""


def two_and_a_witness() -> Topology:
    """As it ships, without the second PostgreSQL of each site."""
    shipped = find_topology("two-sites-witness")
    sites = tuple(
        replace(site, hosts=tuple(host for host in site.hosts if not host.name.endswith("-2")))
        for site in shipped.sites
    )
    cluster = replace(shipped.cluster, synchronous_node_count=1)
    return replace(shipped, name="two-and-a-witness", sites=sites, cluster=cluster)


def drilled(
    folder: Path, topology: Topology, *, fault: str, target: str, fault_s: float, where: str = ""
) -> dict[str, Any]:
    """The verdict of a drill that must be VALID."""
    (folder / "topology.toml").write_text(to_toml(topology))
    text = SCENARIO.format(fault=fault, target=target, fault_s=fault_s)
    (folder / "scenario.toml").write_text(text)
    done = bascule(
        *("drill", str(folder / "scenario.toml"), "--topology", str(folder / "topology.toml")),
        *("--out", str(folder / "run"), "--seed", "7", *LOW_LOAD),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"no service{where} until healed" in done.stdout
    found: dict[str, Any] = json.loads((folder / "run" / "verdict.json").read_text())
    return found


@pytest.mark.parametrize(
    ("fault", "target", "fault_s"),
    [("host-power-cut", "primary", 30.0), ("link-cut", "replicas", 8.0)],
)
def test_of_two_postgres_the_one_that_is_left_acknowledges_nothing_until_the_heal(
    tmp_path: Path, fault: str, target: str, fault_s: float
) -> None:
    verdict = drilled(tmp_path, two_and_a_witness(), fault=fault, target=target, fault_s=fault_s)
    predicted = verdict["rto_predicted_s"]
    assert predicted["service"] == "none-until-healed"
    assert "of 2 PostgreSQL only one can be reached" in predicted["words"]
    assert predicted["low_s"] == fault_s
    assert verdict["rto_s"] >= fault_s
    [struck], [healed] = events(tmp_path / "run", "fault"), events(tmp_path / "run", "heal")
    assert struck["target"] == healed["target"]
    assert verdict["findings"] == []
    report = (tmp_path / "run" / "report.html").read_text()
    assert "until the heal, as topology and settings predict" in report


def test_two_sites_and_a_witness_wait_for_their_replicas(tmp_path: Path) -> None:
    """As it ships: three replicas, and all of them are out of reach."""
    shipped = find_topology("two-sites-witness")
    verdict = drilled(tmp_path, shipped, fault="link-cut", target="replicas", fault_s=8.0)
    assert verdict["rto_predicted_s"]["service"] == "none-until-healed"
    assert len(events(tmp_path / "run", "fault")) == 3
    assert verdict["rto_s"] >= 8.0


def test_a_site_that_is_cut_off_alone_waits_for_the_heal(tmp_path: Path) -> None:
    """The others go on, with a primary of their own if need be, as the prediction allows."""
    verdict = drilled(
        tmp_path,
        find_topology("three-sites"),
        fault="site-cut",
        target="site:paris",
        fault_s=45.0,
        where=" in paris",
    )
    assert verdict["rto_predicted_s"]["service"] == "none-until-healed"
    assert verdict["unservable_outage_s"] >= 44.0
    assert verdict["sites"]["paris"]["could_be_served"] is False
    assert verdict["rto_s"] is None or verdict["rto_s"] < 44.0  # of the others
    [struck], [healed] = events(tmp_path / "run", "fault"), events(tmp_path / "run", "heal")
    assert struck["target"] == healed["target"] == "paris"
