"""The compose project of a drill, rendered from a topology. Pure.

It is the cluster of ``docker-compose.yml`` (same images, hosts and networks; a test holds the two
together) with what a drill needs beside: fixed addresses, a console network a host, the
configuration of the run folder, and no port that is published.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from cluster import etcd, patroni
from cluster.compose.addresses import WAN, AddressPlan
from cluster.compose.images import image_name
from cluster.problem import Problem
from cluster.services import config_path
from cluster.topology.model import Host, Topology

POSTGRES_DATA = "/var/lib/postgresql/data"
ETCD_DATA = "/var/lib/etcd-member"
PG_BINDIR = Path("/opt/patroni/pgsql/bin")
PYTHON = "/opt/bascule/bin/python"
PATRONI_CONFIG = "/etc/patroni.yml"
ETCD_CONFIG = "/etc/etcd.yml"
HOSTS = "/etc/hosts"

Document = dict[str, object]


def problems_of_containers(topology: Topology) -> Iterator[Problem]:
    """Why a topology cannot be raised with a container a host."""
    for site_number, site in enumerate(topology.sites):
        for index, host in enumerate(site.hosts):
            if len(host.roles) != 1:
                yield Problem(
                    key=f"site[{site_number}].host[{index}].roles",
                    words=f"{host.name} has {len(host.roles)} roles; on containers every host is "
                    "one container with one service: give each role a host of its own, or use "
                    "--substrate lab",
                )


def project_name(run: str) -> str:
    """Of a drill's compose project."""
    return f"bascule-drill-{run}"


def network_name(run: str, network: str) -> str:
    """As compose names it."""
    return f"{project_name(run)}_{network}"


def container_name(run: str, host: str, unit: str) -> str:
    """Of a host's container."""
    return f"{project_name(run)}-{host}-{unit}"


def console_of(host: str) -> str:
    """The network by which only this machine reaches a host."""
    return f"console-{host}"


def unit_of(host: Host) -> str:
    """The service of a host: etcd or patroni; empty for a client."""
    return {"etcd": etcd.UNIT, "postgres": patroni.UNIT}.get(host.roles[0], "")


def hosts_path(folder: Path, host: str) -> Path:
    """Where the ``/etc/hosts`` of a host is kept."""
    return folder / f"{host}.hosts"


def render_project(
    topology: Topology, plan: AddressPlan, *, run: str, labels: Mapping[str, str], config: Path
) -> Document:
    """The whole project.

    Args:
        topology: what to raise; without ``problems_of_containers``.
        plan: its addresses.
        run: the id of the drill.
        labels: on everything that is made.
        config: the folder with the members' configuration, and each one's ``hosts_path``.
    """
    hosts = [host for host in topology.hosts if unit_of(host)]
    networks: Document = {
        name: _network(subnet, labels) for name, subnet in plan.site_networks.items()
    }
    networks |= {
        console_of(host.name): _network(plan.console_networks[host.name], labels) for host in hosts
    }
    return {
        "name": project_name(run),
        "services": {
            host.name: {
                "container_name": container_name(run, host.name, unit_of(host)),
                **_service(topology, plan, host, labels, config),
            }
            for host in hosts
        },
        "networks": networks,
        "volumes": {host.name: {"labels": dict(labels)} for host in hosts},
    }


def _network(subnet: str, labels: Mapping[str, str]) -> Document:
    """Internal: no packet of a drill leaves the machine."""
    return {
        "internal": True,
        "labels": dict(labels),
        "ipam": {"config": [{"subnet": subnet}]},
    }


def _service(
    topology: Topology, plan: AddressPlan, host: Host, labels: Mapping[str, str], config: Path
) -> Document:
    """A host that is a container."""
    unit = unit_of(host)
    if unit == etcd.UNIT:
        image, data, target = image_name("etcd"), ETCD_DATA, ETCD_CONFIG
        own: Document = {"command": ["etcd", "--config-file", ETCD_CONFIG]}
    else:
        image, data, target = image_name("postgres"), POSTGRES_DATA, PATRONI_CONFIG
        # The passwords come on standard input: into no file, image, volume or inspect.
        own = {"command": ["start-patroni", "--secrets-from-stdin"], "shm_size": "128m"}
        own["stdin_open"] = True
    return {
        "image": image,
        "hostname": host.name,
        **own,
        "pull_policy": "never",
        "init": True,
        "restart": "no",
        "read_only": True,
        "tmpfs": ["/tmp", "/run/postgresql"],
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "healthcheck": {"disable": True},
        "labels": dict(labels),
        "networks": {
            topology.site_of(host.name).name: {"ipv4_address": plan.at_site[host.name]},
            WAN: {"ipv4_address": plan.at_wan[host.name]},
            console_of(host.name): {"ipv4_address": plan.at_console[host.name]},
        },
        "volumes": [
            {"type": "volume", "source": host.name, "target": data},
            _bound(config_path(config, unit, host.name), target),
            _bound(hosts_path(config, host.name), HOSTS),
        ],
    }


def _bound(source: Path, target: str) -> Document:
    """A file of this machine, which the container may read."""
    return {
        "type": "bind",
        # Compose takes $ for a variable, also here (Compose file reference, interpolation).
        "source": str(source).replace("$", "$$"),
        "target": target,
        "read_only": True,
        "bind": {"create_host_path": False},
    }
