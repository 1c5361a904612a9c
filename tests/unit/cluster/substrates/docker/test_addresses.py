"""The addresses of a project: everybody has one of their own, and nothing of the machine's."""

from __future__ import annotations

import ipaddress
import itertools
import random
from dataclasses import replace
from ipaddress import IPv4Network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.errors import EngineError
from cluster.substrates.docker.addresses import (
    BLOCKS,
    draw_block,
    host_lines,
    plan_addresses,
    routed_networks,
    subnets_of,
)
from cluster.topology.load import load_builtin
from cluster.topology.model import Host, Site, Topology

ROUTES = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
tun0\t00005A0A\t00000000\t0001\t0\t0\t0\t0000FEFF\t0\t0\t0
docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
"""


def topology(sites: int, hosts: int) -> Topology:
    base = load_builtin("three-sites")
    made = tuple(
        Site(
            name=f"s{site}",
            hosts=tuple(Host(name=f"h{site}-{n}", roles=("postgres",)) for n in range(hosts)),
        )
        for site in range(sites)
    )
    return Topology(name="made", title="made", sites=made, cluster=base.cluster)


@settings(deadline=None)  # a loaded machine is no failure
@given(sites=st.integers(1, 60), block=st.sampled_from(BLOCKS))
def test_nobody_shares_an_address_and_no_two_networks_overlap(
    sites: int, block: IPv4Network
) -> None:
    """Up to the 60 sites and 200 hosts that a topology may have."""
    what = topology(sites, 200 // sites)
    plan = plan_addresses(what, block)
    networks = [
        IPv4Network(text)
        for text in (*plan.site_networks.values(), *plan.console_networks.values())
    ]
    assert all(network.subnet_of(block) for network in networks)
    ordered = sorted(networks)
    assert not any(one.overlaps(two) for one, two in itertools.pairwise(ordered))
    everything = [*plan.at_site.values(), *plan.at_wan.values(), *plan.at_console.values()]
    assert len(set(everything)) == len(everything) == 3 * len(what.hosts)
    for host in what.hosts:
        site = what.site_of(host.name).name
        for address, network in (
            (plan.at_site[host.name], plan.site_networks[site]),
            (plan.at_wan[host.name], plan.site_networks["wan"]),
            (plan.at_console[host.name], plan.console_networks[host.name]),
        ):
            inside = IPv4Network(network)
            assert ipaddress.IPv4Address(address) in list(inside.hosts())[1:]  # .1: the bridge


@pytest.mark.parametrize("sites", [3, 44])
def test_every_witness_has_addresses_of_its_own(sites: int) -> None:
    """Up to 44 of them beside the 200 hosts that a topology may have."""
    made = topology(sites, 200 // sites)
    with_etcd = tuple(
        replace(site, hosts=(replace(site.hosts[0], roles=("etcd",)), *site.hosts[1:]))
        for site in made.sites
    )
    what = replace(made, sites=with_etcd)
    plan = plan_addresses(what, BLOCKS[0])
    at_site, at_wan = [*plan.witness_at_site.values()], [*plan.witness_at_wan.values()]
    everything = [*plan.at_site.values(), *plan.at_wan.values(), *at_site, *at_wan]
    assert len(set(everything)) == len(everything) == 2 * (len(what.hosts) + sites)
    for host in what.witness_hosts:
        site = what.site_of(host.name).name
        for address, network in (
            (plan.witness_at_site[host.name], plan.site_networks[site]),
            (plan.witness_at_wan[host.name], plan.site_networks["wan"]),
        ):
            assert ipaddress.IPv4Address(address) in list(IPv4Network(network).hosts())


def test_a_neighbour_is_known_by_the_site_and_others_by_the_wan() -> None:
    what = load_builtin("three-sites")
    plan = plan_addresses(what, BLOCKS[0])
    known = dict(line.split(":") for line in host_lines(what, plan, "app-paris"))
    assert known["DB-PARIS"] == plan.at_site["db-paris"]
    assert known["DB-ORSAY"] == plan.at_wan["db-orsay"]
    # Not one is written as the engine writes it, which would take the line away.
    assert set(known) == {host.name.upper() for host in what.hosts}
    assert not set(known) & {host.name for host in what.hosts}


def test_the_routes_of_the_machine_without_the_default_one() -> None:
    assert routed_networks(ROUTES) == [IPv4Network("10.90.0.0/15"), IPv4Network("172.17.0.0/16")]


def test_the_subnets_of_networks_with_and_without_one() -> None:
    inspected: list[dict[str, object]] = [
        {"IPAM": {"Config": [{"Subnet": "10.90.1.0/24"}, {"Subnet": "fd00::/64"}]}},
        {"IPAM": {"Config": None}},
        {},
    ]
    assert subnets_of(inspected) == [IPv4Network("10.90.1.0/24")]


@settings(deadline=None)
@given(seed=st.integers())
def test_a_drawn_block_overlaps_nothing_that_is_taken(seed: int) -> None:
    taken = [IPv4Network("10.90.0.0/15"), IPv4Network("10.128.0.0/9"), IPv4Network("10.80.7.0/24")]
    block = draw_block(taken, random.Random(seed))
    assert not any(block.overlaps(other) for other in taken)


def test_no_block_is_free() -> None:
    with pytest.raises(EngineError, match="remedy: docker network prune"):
        draw_block([IPv4Network("10.0.0.0/8")], random.Random(1))
