"""What a drill raises is the cluster of ``docker-compose.yml``, which is the built-in topology."""

from __future__ import annotations

import dataclasses
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.patroni.config import HBA_RULES, dynamic_settings, server_parameters
from cluster.substrates.docker.addresses import BLOCKS, plan_addresses
from cluster.substrates.docker.images import BUILT_BY
from cluster.substrates.docker.project import (
    CONFIG,
    ETCD_DATA,
    GATE,
    PATRONI_CONFIG,
    POSTGRES_DATA,
    problems_of_containers,
    render_project,
    unit_of,
)
from cluster.topology.load import builtin_topologies, load_builtin
from cluster.topology.model import Host, Topology
from cluster.topology.size import server_size

ROOT = Path(__file__).parents[5]
FILE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
TOPOLOGY = load_builtin("three-sites")


def rendered(topology: Topology, publish: str | None = None) -> dict[str, Any]:
    plan = plan_addresses(topology, BLOCKS[0])
    labels = {"org.bascule.run": "r1"}
    configs = {host.name: f"name: {host.name}\n" for host in topology.hosts if unit_of(host)}
    return dict(
        render_project(topology, plan, run="r1", labels=labels, configs=configs, publish=publish)
    )


def places(service: dict[str, Any]) -> dict[str, str]:
    """Named volumes and where they are."""
    found = {}
    for volume in service["volumes"]:
        if isinstance(volume, str):
            name, where = volume.split(":")[:2]
            found[name] = where
        elif volume["type"] == "volume":
            found[volume["source"]] = volume["target"]
    return found


def test_the_file_has_the_hosts_of_the_topology() -> None:
    hosts = {host.name for host in TOPOLOGY.hosts}
    names = {name for name in FILE["services"] if name.startswith(("db-", "dcs-", "app-"))}
    assert names == hosts


@pytest.mark.parametrize("host", [host.name for host in TOPOLOGY.hosts if unit_of(host)])
def test_file_and_drill_have_the_same_host(host: str) -> None:
    ours, theirs = rendered(TOPOLOGY)["services"][host], FILE["services"][host]
    assert ours["image"].split(":")[0] == theirs["image"].split(":")[0]
    assert ours["hostname"] == theirs["hostname"] == host
    console = f"console-{host}"
    assert set(ours["networks"]) - {console} == set(theirs["networks"])
    assert places(ours).items() <= places(theirs).items()
    for key in ("init", "read_only", "cap_drop", "security_opt"):
        assert ours[key] == theirs[key], key


def test_a_console_has_one_host_and_everything_is_internal() -> None:
    document = rendered(TOPOLOGY)
    for name, network in document["networks"].items():
        assert network["internal"] is True
        members = [host for host, one in document["services"].items() if name in one["networks"]]
        if name.startswith("console-"):
            assert members == [name.removeprefix("console-")]
    assert not any("ports" in service for service in document["services"].values())


def test_everything_is_labelled_and_nothing_has_a_secret() -> None:
    document = rendered(TOPOLOGY)
    for kind in ("services", "networks", "volumes"):
        for name, thing in document[kind].items():
            assert thing["labels"] == {"org.bascule.run": "r1"}, name
    for host, service in document["services"].items():
        environment = dict(service["environment"])
        assert environment.pop(CONFIG) == f"name: {host}\n"
        assert environment in ({}, {"PATRONICTL_CONFIG_FILE": PATRONI_CONFIG})


def test_no_folder_of_this_machine_is_needed() -> None:
    """The engine may be on another one, and a kept cluster outlives its folder."""
    for service in rendered(TOPOLOGY)["services"].values():
        assert [one["type"] for one in service["volumes"]] == ["volume"]
        assert len(service["extra_hosts"]) == len(TOPOLOGY.hosts)


def test_a_dollar_in_a_configuration_is_no_variable() -> None:
    """Compose file reference, interpolation: ``$$`` is a dollar sign."""
    plan = plan_addresses(TOPOLOGY, BLOCKS[0])
    configs = {host.name: "word: $HOME" for host in TOPOLOGY.hosts}
    document: Any = render_project(TOPOLOGY, plan, run="r1", labels={}, configs=configs)
    for service in document["services"].values():
        assert service["environment"][CONFIG] == "word: $$HOME"
        assert "$BASCULE" not in " ".join(service["command"]).replace("$$", "")


def test_the_consoles_ports_are_published_where_it_is_asked_for_and_nothing_else_is() -> None:
    document = rendered(TOPOLOGY, "127.0.0.1")
    for name, network in document["networks"].items():
        if name.startswith("console-"):
            assert "internal" not in network  # from such a one nothing can be published
            assert network["driver_opts"] == {
                "com.docker.network.bridge.enable_ip_masquerade": "false"
            }
        else:
            assert network["internal"] is True
    for host, service in document["services"].items():
        assert all(port["host_ip"] == "127.0.0.1" for port in service["ports"])
        assert not any("published" in port for port in service["ports"])
        assert ("BASCULE_SECRETS" in service["environment"]) == host.startswith("db-")
        found = {port["target"] for port in service["ports"]}
        assert found == ({5432, 8008} if host.startswith("db-") else {2379, 2380})


def test_the_files_patroni_has_the_settings_of_the_topology() -> None:
    config = yaml.safe_load((ROOT / "docker" / "patroni.yml").read_text())
    dcs = config["bootstrap"]["dcs"]
    wanted = dynamic_settings(TOPOLOGY.cluster)
    assert {key: dcs[key] for key in wanted} == wanted
    assert dcs["postgresql"]["pg_hba"] == list(HBA_RULES)
    assert "pg_hba" not in config["postgresql"], "a member's own list would go before it"
    # Its disks and memory are real: more of it is buffered.
    parameters = {**server_parameters(server_size(TOPOLOGY)), "shared_buffers": "64MB"}
    assert parameters.items() - dcs["postgresql"]["parameters"].items() == {
        ("log_connections", "off")
    }
    assert config["postgresql"]["data_dir"] == f"{POSTGRES_DATA}/pgdata"
    assert FILE["x-etcd-environment"]["ETCD_DATA_DIR"].startswith(ETCD_DATA)


def test_every_image_is_built_by_one_service_and_has_this_version() -> None:
    builders: dict[str, list[str]] = {}
    for name, service in FILE["services"].items():
        if service["image"].startswith("bascule/") and "build" in service:
            builders.setdefault(service["build"]["target"], []).append(name)
            short = service["build"]["target"]
            default = f"${{BASCULE_TAG:-{version('bascule')}}}"
            own = f"${{BASCULE_{short.upper()}_TAG:-{default}}}"
            tag = own if short in BUILT_BY else default
            assert service["image"] == f"bascule/{short}:{tag}"
        elif service["image"].startswith("bascule/"):
            assert service["pull_policy"] == "never", name
        else:
            assert not service["image"].endswith("latest")
            assert ":" in service["image"]
    assert all(len(services) == 1 for services in builders.values())
    assert {short: [service] for short, service in BUILT_BY.items()}.items() <= builders.items()


@pytest.mark.parametrize("others", [set(), {"observe"}, {"grafana"}, {"load"}, {"witness"}])
def test_whatever_profiles_are_asked_for_their_images_are_built(others: set[str]) -> None:
    asked = {"cluster", *others}
    services = [one for one in FILE["services"].values() if asked & set(one["profiles"])]
    ours = {one["image"] for one in services if one["image"].startswith("bascule/")}
    assert ours == {one["image"] for one in services if "build" in one}


def test_services_of_the_file_are_sealed_and_watched() -> None:
    text = (ROOT / "docker" / "Dockerfile").read_text()
    for name, service in FILE["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["profiles"], name
    assert text.count("HEALTHCHECK") == 3
    assert text.count("\nUSER ") == 4


def test_a_host_with_two_roles_is_refused_with_the_remedy() -> None:
    first, *others = TOPOLOGY.sites
    both = dataclasses.replace(first, hosts=(Host(name="db-paris", roles=("etcd", "postgres")),))
    problems = list(problems_of_containers(dataclasses.replace(TOPOLOGY, sites=(both, *others))))
    assert [problem.key for problem in problems] == ["site[0].host[0].roles"]
    assert "a host of its own, or use --substrate lab" in problems[0].words


def with_hosts(number: int) -> Topology:
    """``three-sites`` with so many hosts, and witnesses."""
    first, *others = TOPOLOGY.sites
    more = [Host(name=f"app-{n}", roles=("client",)) for n in range(number - len(TOPOLOGY.hosts))]
    grown = dataclasses.replace(first, hosts=(*first.hosts, *more))
    cluster = dataclasses.replace(TOPOLOGY.cluster, witness=True)
    return dataclasses.replace(TOPOLOGY, sites=(grown, *others), cluster=cluster)


@pytest.mark.parametrize(("hosts", "keys"), [(9, []), (241, []), (242, ["cluster.witness"])])
def test_witnesses_are_refused_only_where_there_is_no_address_for_them(
    hosts: int, keys: list[str]
) -> None:
    assert [one.key for one in problems_of_containers(with_hosts(hosts))] == keys


def test_the_gate_is_where_the_image_has_it() -> None:
    text = (ROOT / "docker" / "Dockerfile").read_text()
    python, *options, program = GATE
    assert options == ["-I", "-S"]
    assert f"COPY --from=patroni-venv {Path(python).parents[1]} /opt/patroni" in text
    copied = f"cluster/patroni/daemon.py replication/witness/{Path(program).name}"
    assert f"{copied} {Path(program).parent}/" in text


REFUSED = {
    "three-sites-etcd-auth": "cluster.etcd_auth",
    "three-sites-and-standby": "site.standby",
}
"""What containers cannot be yet, by the key that says so."""


@pytest.mark.parametrize("name", REFUSED)
def test_what_containers_cannot_be_yet_is_refused_with_the_remedy(name: str) -> None:
    [problem] = problems_of_containers(load_builtin(name))
    assert problem.key == REFUSED[name]
    assert "--substrate lab" in problem.words


@pytest.mark.parametrize(
    "name",
    [
        one.name
        for one in builtin_topologies()
        if one.name not in REFUSED and not one.hosts_with("haproxy")
    ],
)
def test_built_in_topologies_can_be_raised(name: str) -> None:
    topology = load_builtin(name)
    assert list(problems_of_containers(topology)) == []
    assert len(rendered(topology)["services"]) == sum(bool(unit_of(h)) for h in topology.hosts)
