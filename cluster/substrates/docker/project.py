"""The compose project of a cluster, rendered from a topology. Pure.

It is the cluster of ``docker-compose.yml`` (same images, hosts and networks; a test holds the two
together) with what a drill or a test needs beside: fixed addresses, a console network a host, and
the configuration, which comes in the environment. So no folder of this machine is bound: the engine
may be on another one, and a project that is kept needs no folder. The passwords come on standard
input; those of a drill are kept nowhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from cluster.errors import Problem
from cluster.etcd import member
from cluster.patroni import config
from cluster.substrates.docker.addresses import ADDRESSES_MAX, WAN, AddressPlan, host_lines
from cluster.substrates.docker.images import image_name
from cluster.topology.model import Host, Topology

POSTGRES_DATA = "/var/lib/postgresql/data"
ETCD_DATA = "/var/lib/etcd-member"
PG_BINDIR = Path("/opt/patroni/pgsql/bin")
PYTHON = "/opt/bascule/bin/python"
CONFIG = "BASCULE_CONFIG"
"""The variable that has a host's configuration."""
PATRONI_CONFIG = "/tmp/patroni.yml"
GATE = ("/opt/patroni/bin/python", "-I", "-S", "/opt/patroni/gate.py")
"""Patroni's image has no ``bascule``: the gate is a file of its own there (docker/Dockerfile)."""
KEPT_SECRETS = {"BASCULE_SECRETS": f"{POSTGRES_DATA}/secrets"}
"""Of a cluster for tests: it keeps its passwords in the volume, where only PostgreSQL's user reads
them. So a container that another process starts again has them."""
START_ETCD = f'printf "%s" "${CONFIG}" >/tmp/etcd.yml && exec etcd --config-file /tmp/etcd.yml'
PORTS: Mapping[str, tuple[int, ...]] = {
    member.UNIT: (member.CLIENT_PORT, member.PEER_PORT),
    config.UNIT: (config.POSTGRES_PORT, config.REST_PORT),
}
"""By service."""

Document = dict[str, object]


def problems_of_containers(topology: Topology) -> Iterator[Problem]:
    """Why a topology cannot be raised with a container a host."""
    if topology.standby is not None:
        yield Problem(
            key="site.standby",
            words="a standby cluster cannot be raised with containers yet: use --substrate lab",
        )
    witnesses = len(topology.witness_hosts) if topology.cluster.witness else 0
    if len(topology.hosts) + witnesses > ADDRESSES_MAX:
        yield Problem(
            key="cluster.witness",
            words=f"expected at most {ADDRESSES_MAX} hosts and witnesses on containers; found "
            f"{len(topology.hosts)} and {witnesses}: use witness = false, or --substrate lab",
        )
    if topology.cluster.etcd_auth:
        yield Problem(
            key="cluster.etcd_auth",
            words="the containers are handed the passwords of PostgreSQL alone, and none of etcd: "
            "use etcd_auth = false, or --substrate lab",
        )
    for site_number, site in enumerate(topology.sites):
        for index, host in enumerate(site.hosts):
            if proxies := [role for role in ("haproxy", "pgbouncer") if role in host.roles]:
                yield Problem(
                    key=f"site[{site_number}].host[{index}].roles",
                    words=f"{host.name} has the role {proxies[0]}: the images of a drill's "
                    "containers have etcd, PostgreSQL and the load alone; use --substrate lab "
                    "(docker-compose.yml has a HAProxy of its own)",
                )
            if len(host.roles) != 1:
                yield Problem(
                    key=f"site[{site_number}].host[{index}].roles",
                    words=f"{host.name} has {len(host.roles)} roles; on containers every host is "
                    "one container with one service: give each role a host of its own, or use "
                    "--substrate lab",
                )
            if host.disk != "plain":
                yield Problem(
                    key=f"site[{site_number}].host[{index}].disk",
                    words=f"{host.name} has a {host.disk} disk, as the topology or the scenario "
                    "asks; containers have plain ones: use --substrate lab",
                )
            if host.clock != "machine":
                yield Problem(
                    key=f"site[{site_number}].host[{index}].clock",
                    words=f"the clock of {host.name} is to be {host.clock}, as the topology or the "
                    "scenario asks; containers have that of their machine: use --substrate lab",
                )


def project_name(run: str) -> str:
    """Of a run's compose project."""
    return f"bascule-{run}"


def network_name(run: str, network: str) -> str:
    """As compose names it."""
    return f"{project_name(run)}_{network}"


def container_name(run: str, host: str, unit: str) -> str:
    """Of a host's container."""
    return f"{project_name(run)}-{host}-{unit}"


def companion_name(host: str, unit: str) -> str:
    """What a container beside a host's service calls itself. Not like the host: the engine writes
    the address of a container into its ``/etc/hosts``, under this name."""
    return f"{unit}-{host}"


def console_of(host: str) -> str:
    """The network by which only this machine reaches a host."""
    return f"console-{host}"


def unit_of(host: Host) -> str:
    """The service of a host: etcd or patroni; empty for a client."""
    return {"etcd": member.UNIT, "postgres": config.UNIT}.get(host.roles[0], "")


def render_project(  # noqa: PLR0913 (one a part)
    topology: Topology,
    plan: AddressPlan,
    *,
    run: str,
    labels: Mapping[str, str],
    configs: Mapping[str, str],
    publish: str | None = None,
) -> Document:
    """The whole project.

    Args:
        topology: what to raise; without ``problems_of_containers``.
        plan: its addresses.
        run: what it is called.
        labels: on everything that is made.
        configs: the configuration of each host that has a service.
        publish: of a cluster for tests: the address of the engine's machine at which the consoles'
            ports are published.
    """
    hosts = [host for host in topology.hosts if unit_of(host)]
    networks: Document = {
        name: _network(subnet, labels) for name, subnet in plan.site_networks.items()
    }
    networks |= {
        console_of(host.name): _network(
            plan.console_networks[host.name], labels, is_published=publish is not None
        )
        for host in hosts
    }
    return {
        "name": project_name(run),
        "services": {
            host.name: {
                "container_name": container_name(run, host.name, unit_of(host)),
                **_service(
                    topology, plan, host, labels, config=configs[host.name], publish=publish
                ),
            }
            for host in hosts
        },
        "networks": networks,
        "volumes": {host.name: {"labels": dict(labels)} for host in hosts},
    }


def _network(subnet: str, labels: Mapping[str, str], *, is_published: bool = False) -> Document:
    """Internal: no packet leaves the machine. Of an internal one nothing can be published; there
    a container gets no answer to what it sends outside."""
    return {
        **({"driver_opts": NO_WAY_OUT} if is_published else {"internal": True}),
        "labels": dict(labels),
        "ipam": {"config": [{"subnet": subnet}]},
    }


NO_WAY_OUT = {"com.docker.network.bridge.enable_ip_masquerade": "false"}


def _ports(unit: str, publish: str) -> list[Document]:
    """Of this machine's choice: others after each start."""
    return [{"target": port, "host_ip": publish, "protocol": "tcp"} for port in PORTS[unit]]


def _service(  # noqa: PLR0913 (one a part)
    topology: Topology,
    plan: AddressPlan,
    host: Host,
    labels: Mapping[str, str],
    *,
    config: str,
    publish: str | None,
) -> Document:
    """A host that is a container."""
    unit = unit_of(host)
    if unit == member.UNIT:
        image, data = image_name("etcd"), ETCD_DATA
        own: Document = {"command": ["sh", "-c", _literal(START_ETCD)]}
        environment = {CONFIG: _literal(config)}
    else:
        image, data = image_name("postgres"), POSTGRES_DATA
        # The passwords come on standard input: into no file, image, volume or inspect.
        own = {"command": ["start-patroni", "--secrets-from-stdin"], "shm_size": "128m"}
        own["stdin_open"] = True
        environment = {CONFIG: _literal(config), "PATRONICTL_CONFIG_FILE": PATRONI_CONFIG}
        environment |= {} if publish is None else KEPT_SECRETS
    return {
        "image": image,
        "hostname": host.name,
        **own,
        **({} if publish is None else {"ports": _ports(unit, publish)}),
        "environment": environment,
        "extra_hosts": host_lines(topology, plan, host.name),
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
        "volumes": [{"type": "volume", "source": host.name, "target": data}],
    }


def _literal(text: str) -> str:
    """Compose takes $ for a variable (Compose file reference, interpolation)."""
    return text.replace("$", "$$")
