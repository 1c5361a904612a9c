"""The power of a whole site: whom it spares, what it refuses, and what it says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chaos.faults.registry import FAULTS
from chaos.faults.site_power import cannot_lose_its_power, sites_in_words, split
from chaos.faults.targets import Target
from chaos.scenarios.load import load_scenario
from chaos.scenarios.rules import problems_of_pair
from cluster.topology.load import builtin_topologies, find_topology
from cluster.topology.model import Host, Topology

KIND = FAULTS["site-power-cut"]
THREE = find_topology("three-sites")


def with_site(name: str, *hosts: Host) -> Topology:
    """Three sites, one of them with other hosts."""
    sites = tuple(replace(site, hosts=hosts) if site.name == name else site for site in THREE.sites)
    return replace(THREE, name="changed", sites=sites)


def why_not(topology: Topology, site: str) -> str | None:
    hosts = next([h.name for h in one.hosts] for one in topology.sites if one.name == site)
    return cannot_lose_its_power(KIND.params(), topology, hosts)


def test_the_client_keeps_its_power() -> None:
    hosts = [host.name for host in THREE.sites[0].hosts]
    assert split(THREE, hosts) == (("db-paris", "dcs-paris"), ("app-paris",))


def test_a_client_that_would_end_with_the_power_is_refused() -> None:
    both = Host(name="db-paris", roles=("postgres", "client"))
    dcs = Host(name="dcs-paris", roles=("etcd",))
    found = why_not(with_site("paris", both, dcs), "paris")
    assert found is not None
    assert "in the topology changed db-paris has other roles, too" in found
    assert why_not(with_site("paris", both, dcs), "orsay") is None


def test_a_site_that_has_nothing_but_clients_is_refused() -> None:
    found = why_not(with_site("paris", Host(name="app-paris", roles=("client",))), "paris")
    assert found is not None
    assert found.endswith("in the topology changed the site paris has nothing else")


@pytest.mark.parametrize("topology", builtin_topologies(), ids=lambda one: one.name)
def test_every_site_of_a_shipped_topology_can_lose_its_power(topology: Topology) -> None:
    for site in topology.sites:
        assert why_not(topology, site.name) is None
    assert list(problems_of_pair(load_scenario("site-loss"), topology)) == []


def test_it_strikes_sites() -> None:
    refusal = KIND.refusal(Target(selector="primary"))
    assert refusal is not None
    assert refusal.startswith('a site-power-cut needs "site:NAME" or "site-of:primary" or ')
    assert KIND.effect(KIND.params()) == "power-off"


def test_its_words_are_of_sites() -> None:
    assert sites_in_words(["paris"]) == "site paris"
    assert KIND.words.noun(["paris"]) == "the power cut of the site paris"
    assert KIND.words.clause(["paris"]) == "the site paris lost its power"
    assert KIND.words.clause(["paris", "orsay"]) == "the sites paris and orsay lost their power"
    assert KIND.broken("paris", KIND.params()) == "site paris has no power"
