"""The loss of all data on paper: where it is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chaos.faults.data_lost import DATA_LOST, DataLostParams
from cluster.topology.load import builtin_topologies
from cluster.topology.model import Topology

TOPOLOGIES = {one.name: one for one in builtin_topologies()}
STOCK = next(iter(TOPOLOGIES.values())).with_settings(witness=False)


def why_not(topology: Topology) -> str | None:
    return DATA_LOST.impossible(DataLostParams(), topology, topology.nodes)


def test_the_default_topology_without_witnesses_can_lose_everything() -> None:
    assert why_not(STOCK) is None


def test_it_is_refused_where_the_load_would_die_with_the_cluster() -> None:
    sites = tuple(
        replace(
            site,
            hosts=tuple(
                replace(host, roles=(*host.roles, "client")) if "etcd" in host.roles else host
                for host in site.hosts
            ),
        )
        for site in STOCK.sites
    )
    assert "would end the load" in (why_not(replace(STOCK, sites=sites)) or "")


def test_witnesses_are_refused() -> None:
    assert "witness" in (why_not(STOCK.with_settings(witness=True)) or "")


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_every_shipped_topology_is_answered(name: str) -> None:
    found = why_not(TOPOLOGIES[name])
    assert found is None or name in found or "witness" in found
