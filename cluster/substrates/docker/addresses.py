"""The addresses of a project: a block of private space that nothing else on the machine uses.

Hosts keep their addresses over a power cut and a cut link, as a machine with a fixed address does;
so that what was connected before goes on afterwards. In a block ``10.b``: the WAN is 10.b.0.0/24,
site ``i`` 10.b.i.0/24, and each host has a console network of its own, a /29 from 10.b.128.0 on.
A witness beside a host's service, in a container of its own, has addresses from the end of these.
"""

from __future__ import annotations

import ipaddress
import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

from cluster.errors import EngineError
from cluster.substrates.docker import client as docker
from cluster.topology.model import Topology

BLOCKS = tuple(IPv4Network(f"10.{number}.0.0/16") for number in range(80, 250))
FIRST_HOST = 11
LAST_WITNESS = 254
ADDRESSES_MAX = LAST_WITNESS - FIRST_HOST + 1
"""Of hosts and witnesses together: all are on the WAN."""
CONSOLES_FROM = 128
WAN = "wan"
LOOKS = 10
"""A network may go between the list and the look at it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressPlan:
    """Who has which address."""

    site_networks: dict[str, str]
    """The subnet of every site and of ``wan``, by network."""
    console_networks: dict[str, str]
    """The subnet of every host's console, by host."""
    at_site: dict[str, str]
    at_wan: dict[str, str]
    at_console: dict[str, str]
    """By host."""
    witness_at_site: dict[str, str]
    witness_at_wan: dict[str, str]
    """Of the witness beside a host's service, by host."""


def plan_addresses(topology: Topology, block: IPv4Network) -> AddressPlan:
    """The addresses of a topology in a /16. Pure."""
    prefix = ".".join(str(block.network_address).split(".")[:2])
    subnets = {WAN: f"{prefix}.0.0/24"}
    at_site: dict[str, str] = {}
    for number, site in enumerate(topology.sites, start=1):
        subnets[site.name] = f"{prefix}.{number}.0/24"
        for index, neighbour in enumerate(site.hosts):
            at_site[neighbour.name] = f"{prefix}.{number}.{FIRST_HOST + index}"
    names = [host.name for host in topology.hosts]
    at_wan = {host: f"{prefix}.0.{FIRST_HOST + index}" for index, host in enumerate(names)}
    witnessed = [(host.name, topology.site_of(host.name).name) for host in topology.witness_hosts]
    consoles: dict[str, str] = {}
    at_console: dict[str, str] = {}
    for index, host in enumerate(names):
        base = f"{prefix}.{CONSOLES_FROM + index // 32}"
        consoles[host] = f"{base}.{index % 32 * 8}/29"
        at_console[host] = f"{base}.{index % 32 * 8 + 2}"
    return AddressPlan(
        site_networks=subnets,
        console_networks=consoles,
        at_site=at_site,
        at_wan=at_wan,
        at_console=at_console,
        witness_at_site={
            host: f"{subnets[site].rpartition('.')[0]}.{LAST_WITNESS}" for host, site in witnessed
        },
        witness_at_wan={
            host: f"{prefix}.0.{LAST_WITNESS - index}" for index, (host, _) in enumerate(witnessed)
        },
    )


def host_lines(topology: Topology, plan: AddressPlan, viewer: str) -> list[str]:
    """``NAME:ADDRESS`` of every host, for the engine to write into ``/etc/hosts``: a neighbour by
    the site's own network, every other host by the WAN.

    In capitals, which no resolver tells apart (RFC 4343). From a host that leaves a network the
    engine takes the lines of all that are on it, by their names as it knows them, in small letters
    (moby, libnetwork: ``sbLeave`` deletes the network's service records, and ``etchosts.Delete``
    compares letter by letter). Without a line the name of a dead host costs the resolver 10 s.
    """
    site = topology.site_of(viewer)
    known = {
        host.name: plan.at_site[host.name] if host in site.hosts else plan.at_wan[host.name]
        for host in topology.hosts
    }
    return [f"{name.upper()}:{address}" for name, address in known.items()]


def draw_block(taken: Iterable[IPv4Network], random_source: random.Random) -> IPv4Network:
    """A block that overlaps nothing of ``taken``.

    Raises:
        EngineError: there is none.
    """
    used = list(taken)
    free = [block for block in BLOCKS if not any(block.overlaps(other) for other in used)]
    if not free:
        raise EngineError(
            "no private address block is free: routes or Docker networks cover 10.80.0.0 to"
            " 10.249.255.255.\n  remedy: docker network prune, or leave the VPN for the drill"
        )
    return random_source.choice(free)


def taken_networks() -> list[IPv4Network]:
    """What this machine routes, and what the engine's networks have."""
    return [*routed_networks(docker.ROUTES.read_text()), *_engine_networks()]


def routed_networks(table: str) -> list[IPv4Network]:
    """The networks of ``/proc/net/route`` (proc(5)), without the default route."""
    found = []
    for line in table.splitlines()[1:]:
        fields = line.split()
        address, mask = (bytes.fromhex(fields[column])[::-1] for column in (1, 7))
        if any(mask):
            text = f"{ipaddress.IPv4Address(address)}/{ipaddress.IPv4Address(mask)}"
            found.append(IPv4Network(text, strict=False))
    return found


def _engine_networks() -> list[IPv4Network]:
    for _ in range(LOOKS):
        ids = docker.run_now(["network", "ls", "--quiet"]).split()
        try:
            return subnets_of(json.loads(docker.run_now(["network", "inspect", *ids])))
        except EngineError as error:
            if not docker.is_missing(str(error)):
                raise
    # Others make and remove networks all the time; an overlap is told when ours are made.
    return []


def subnets_of(networks: Sequence[dict[str, object]]) -> list[IPv4Network]:
    """The IPv4 subnets of inspected networks."""
    found = []
    for network in networks:
        ipam = network.get("IPAM")
        config = ipam.get("Config") if isinstance(ipam, dict) else None
        for entry in config or []:
            subnet = ipaddress.ip_network(entry["Subnet"])
            if isinstance(subnet, IPv4Network):
                found.append(subnet)
    return found
