"""What a scenario makes of a topology: its disks, and the parameters of PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from chaos.errors import ScenarioError
from chaos.scenarios.fitting import fitted
from chaos.scenarios.load import load_scenario, scenario_source
from cluster.errors import TopologyError
from cluster.substrates.docker.kind import check_topology
from cluster.topology.load import load_builtin, load_topology, to_toml

THREE = load_builtin("three-sites")


def test_a_scenario_without_disk_faults_leaves_the_topology_as_it_is() -> None:
    assert fitted(THREE, load_scenario("host-loss")) == THREE


@pytest.mark.parametrize("name", ["disk-full", "slow-disk", "power-loss-unsynced", "fsync-off"])
def test_a_fault_of_a_disk_or_the_word_gives_one_to_every_postgresql(
    name: str, tmp_path: Path
) -> None:
    found = fitted(THREE, load_scenario(name))
    assert {host.name for host in found.hosts if host.disk == "layered"} == set(THREE.nodes)
    assert replace(found, sites=THREE.sites, cluster=THREE.cluster) == THREE
    (tmp_path / "topology.toml").write_text(to_toml(found))
    assert load_topology(tmp_path / "topology.toml") == found
    with pytest.raises(TopologyError, match=r"db-paris has a layered disk.*use --substrate lab"):
        check_topology(found)


def test_a_fault_of_a_clock_gives_one_that_can_be_set_to_every_postgresql(tmp_path: Path) -> None:
    found = fitted(THREE, load_scenario("clock-step"))
    assert {host.name for host in found.hosts if host.clock == "settable"} == set(THREE.nodes)
    assert replace(found, sites=THREE.sites) == THREE
    (tmp_path / "topology.toml").write_text(to_toml(found))
    assert load_topology(tmp_path / "topology.toml") == found
    with pytest.raises(TopologyError, match=r"clock of db-paris is to be set.*use --substrate lab"):
        check_topology(found)


def test_parameters_go_before_those_of_the_topology(tmp_path: Path) -> None:
    own = THREE.with_postgresql({"fsync": "on", "work_mem": "8MB"})
    found = fitted(own, load_scenario("fsync-off"))
    assert found.cluster.postgresql == {"fsync": "off", "work_mem": "8MB"}
    (tmp_path / "topology.toml").write_text(to_toml(found))
    assert load_topology(tmp_path / "topology.toml") == found


def test_parameters_are_texts_numbers_and_flags(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    text = scenario_source("fsync-off")
    path.write_text(text.replace('fsync = "off"', "fsync = false\nwork_mem = 64\na.b = 0.5"))
    with pytest.raises(ScenarioError, match=r"postgresql\.a: expected a text of one line"):
        load_scenario(str(path))
    path.write_text(text.replace('fsync = "off"', 'fsync = false\nwork_mem = 64\n"a.b" = 0.5'))
    assert load_scenario(str(path)).postgresql == {"fsync": "off", "work_mem": "64", "a.b": "0.5"}
    path.write_text(text.replace('fsync = "off"', 'Fsync = "off"'))
    with pytest.raises(ScenarioError, match=r"postgresql\.Fsync: expected a parameter"):
        load_scenario(str(path))
