"""A site that is lost for good: what it refuses, and what it says."""

from __future__ import annotations

from chaos.faults.registry import FAULTS
from chaos.faults.site_lost import cannot_be_built_anew
from cluster.topology.load import find_topology

KIND = FAULTS["site-lost-for-good"]


def why_not(topology_name: str, site_name: str) -> str | None:
    topology = find_topology(topology_name)
    [site] = [site for site in topology.sites if site.name == site_name]
    hosts = [host.name for host in site.hosts]
    return cannot_be_built_anew(KIND.params(), topology, hosts)


def test_new_members_of_etcd_need_a_majority_that_takes_them_in() -> None:
    assert why_not("three-sites", "paris") is None
    assert why_not("two-sites-no-witness", "orsay") is None
    found = why_not("two-sites-no-witness", "paris")
    assert found is not None
    assert found.endswith(
        "in the topology two-sites-no-witness dcs-orsay would be left without paris"
    )


def test_its_words_are_of_sites() -> None:
    assert KIND.words.noun(["paris"]) == "the loss for good of the site paris"
    assert KIND.words.clause(["paris", "orsay"]) == "the sites paris and orsay were lost for good"
    assert KIND.broken("paris", KIND.params()) == "site paris is lost for good"
