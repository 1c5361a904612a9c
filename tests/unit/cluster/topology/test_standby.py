"""A topology with a standby cluster: two clusters, and what each of them is alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from chaos.faults.base import NO_PARAMS
from chaos.faults.dcs_wiped import DCS_WIPED
from chaos.faults.promote_standby import PROMOTE_STANDBY, PromoteStandbyParams
from chaos.faults.site_lost import SITE_LOST
from chaos.faults.targets import layout_of
from cluster.errors import TopologyError
from cluster.topology.lint import lint
from cluster.topology.load import load_builtin, load_topology, to_toml, topology_source
from cluster.topology.promises import Broken, promise
from cluster.topology.quorum import shape_of
from cluster.topology.rules import problems_of_topology

BOTH = load_builtin("three-sites-and-standby")
MAIN_NODES = ("db-paris", "db-orsay", "db-saint-cloud")
STANDBY_NODES = ("db-lyon-1", "db-lyon-2")


def test_each_cluster_has_its_own_members_and_etcd() -> None:
    standby = BOTH.standby
    assert standby is not None
    assert (BOTH.main.nodes, standby.nodes) == (MAIN_NODES, STANDBY_NODES)
    assert BOTH.nodes == MAIN_NODES + STANDBY_NODES
    assert [host.name for host in standby.hosts_with("etcd")] == ["dcs-lyon"]
    assert BOTH.cluster_of("db-lyon-2").nodes == STANDBY_NODES
    assert BOTH.cluster_of("dcs-orsay").nodes == MAIN_NODES
    assert [host.name for host in BOTH.witness_hosts] == [
        "dcs-paris",
        "dcs-orsay",
        "dcs-saint-cloud",
    ]
    assert load_builtin("three-sites").standby is None


def test_once_it_was_promoted_the_other_one_stands_by() -> None:
    swapped = BOTH.swapped()
    assert swapped.main.nodes == STANDBY_NODES
    assert swapped.standby is not None
    assert swapped.standby.nodes == MAIN_NODES
    assert swapped.swapped() == BOTH


def test_nothing_is_promised_of_it_and_its_site_is_served_by_the_others() -> None:
    shape = shape_of(BOTH)
    assert shape.nodes == MAIN_NODES
    found = promise(shape, Broken(dark=frozenset({"db-lyon-1", "dcs-lyon"})), "db-paris")
    assert "lyon" in found.served("write")
    main = frozenset(host.name for site in BOTH.main.sites for host in site.hosts)
    lost = promise(shape, Broken(dark=main), "db-paris")
    assert lost.served("write") == frozenset()


def test_targets_mean_the_members_of_the_cluster_that_leads() -> None:
    layout = layout_of(BOTH)
    assert layout.nodes == MAIN_NODES
    assert layout.etcd == ("dcs-paris", "dcs-orsay", "dcs-saint-cloud")
    assert "db-lyon-1" in layout.hosts


def test_the_linter_says_what_it_is_and_who_must_fence() -> None:
    found = lint(BOTH)
    assert found.is_good
    assert found.standby.startswith("standby cluster: lyon follows with 2 PostgreSQL")
    assert "nobody-fences-for-a-standby-cluster" in {one.key for one in found.traps}
    assert lint(load_builtin("three-sites")).standby == ""


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(to_toml(BOTH))
    assert load_topology(path) == BOTH


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('name = "dcs-lyon"\nroles = ["etcd"]', 'name = "dcs-lyon"\nroles = ["client"]', "found 0"),
        ('name = "db-lyon-2"\nroles = ["postgres"]', "", "expected 2 PostgreSQL or more"),
        (
            'name = "db-lyon-2"\nroles = ["postgres"]',
            'name = "db-lyon-2"\nroles = ["postgres"]\ntags = {replicatefrom = "db-paris"}',
            "db-lyon-2 replicates from db-paris, which belongs to the other cluster",
        ),
        ("[[site]]\n", "[[site]]\nstandby = true\n", "every site is of the standby cluster"),
    ],
)
def test_what_is_no_standby_cluster_is_refused(
    old: str, new: str, words: str, tmp_path: Path
) -> None:
    text = topology_source(BOTH.name)
    assert old in text
    if new == "":
        old = f"[[site.host]]\n{old}"
    if words.startswith("every site"):
        text = text.replace("standby = true\n", "")
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(old, new))
    with pytest.raises(TopologyError, match=words):
        load_topology(path)


def test_without_quorum_one_postgresql_is_enough() -> None:
    sites = tuple(
        replace(site, hosts=tuple(one for one in site.hosts if one.name != "db-lyon-2"))
        for site in BOTH.sites
    )
    alone = replace(BOTH, sites=sites)
    assert [one.key for one in problems_of_topology(alone)] == ["site[3].standby"]
    loose = replace(alone, cluster=replace(alone.cluster, durability="async"))
    assert list(problems_of_topology(loose)) == []


def test_the_etcd_of_the_standby_cluster_is_one_that_cannot_be_replaced_by_the_others() -> None:
    """Its one member has no other beside it; that of the cluster that leads counts three."""
    why = DCS_WIPED.impossible(NO_PARAMS, BOTH, ("dcs-lyon",))
    assert why is not None
    assert why.endswith("three-sites-and-standby has 1")
    assert DCS_WIPED.impossible(NO_PARAMS, BOTH, ("dcs-orsay",)) is None
    lyon = tuple(host.name for host in BOTH.sites[3].hosts)
    assert SITE_LOST.impossible(NO_PARAMS, BOTH, lyon) is not None
    assert SITE_LOST.impossible(NO_PARAMS, BOTH, ("db-orsay", "dcs-orsay", "app-orsay")) is None


def test_a_promotion_needs_a_standby_cluster() -> None:
    three = load_builtin("three-sites")
    why = PROMOTE_STANDBY.impossible(PromoteStandbyParams(), three, three.nodes)
    assert why == (
        "promote-standby needs a standby cluster (a site with standby = true): the topology "
        "three-sites has none"
    )
    assert PROMOTE_STANDBY.impossible(PromoteStandbyParams(), BOTH, BOTH.nodes) is None
