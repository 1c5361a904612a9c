"""What a topology promises: worked out by hand, its laws, and that quorum arithmetic agrees."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.topology.load import builtin_topologies
from cluster.topology.promises import (
    SERVICES,
    Broken,
    always_served,
    promise,
    promises,
    worst,
)
from cluster.topology.quorum import (
    Shape,
    shape_of,
    why_no_majority,
    why_nobody_acknowledges,
    why_nobody_leads,
)
from cluster.topology.tags import Tags

TOPOLOGIES = {one.name: one for one in builtin_topologies()}
THREE = shape_of(TOPOLOGIES["three-sites"])
WITNESS = shape_of(TOPOLOGIES["two-sites-witness"])
EVERYWHERE = {"paris", "orsay", "saint-cloud"}


def site(*names: str) -> frozenset[str]:
    """The hosts of sites of ``three-sites``."""
    return frozenset(f"{role}-{name}" for name in names for role in ("db", "dcs", "app"))


@pytest.mark.parametrize("name", TOPOLOGIES)
@pytest.mark.parametrize("durability", ["quorum", "async"])
def test_nothing_broken_serves_all(name: str, durability: str) -> None:
    shape = shape_of(TOPOLOGIES[name])
    shape = replace(shape, waits_for_standby=durability == "quorum")
    for one in promises(shape, Broken()):
        assert all(one.served(service) == set(shape.clients.values()) for service in SERVICES)
        assert one.leads
        assert (one.why_no_write, one.may_lose) == ("", "")


def test_a_site_that_is_cut_off_is_the_only_one_that_cannot_be_served() -> None:
    cut = Broken(apart=(site("paris"),))
    for primary in THREE.nodes:
        found = promise(THREE, cut, primary)
        assert found.served("write") == found.served("read-primary") == EVERYWHERE - {"paris"}
        assert found.served("read-replica") == EVERYWHERE, "its own server answers it"
        assert found.leads == (primary != "db-paris")
    words = found.why_not("paris", "write")
    assert words == "paris cannot reach the side that goes on, with 2 of 3 etcd members"


def test_a_replica_tagged_noloadbalance_serves_its_site_only_as_the_primary() -> None:
    tagged = replace(THREE, tags={"db-paris": Tags(noloadbalance=True)})
    assert always_served(tagged, Broken(), "read-replica") == EVERYWHERE
    cut = Broken(apart=(site("paris"),))
    for primary in THREE.nodes:
        found = promise(tagged, cut, primary)
        assert found.served("read-replica") == EVERYWHERE - {"paris"}
        assert found.why_not("paris", "read-replica").endswith("is tagged noloadbalance")
    others = Broken(dark=frozenset({"db-orsay", "db-saint-cloud"}))
    assert promise(tagged, others, "db-paris").served("read-replica") == EVERYWHERE


def test_whichever_side_is_said_to_be_cut_off_the_same_goes_on() -> None:
    other = Broken(apart=(site("orsay", "saint-cloud"),))
    assert always_served(THREE, other) == EVERYWHERE - {"paris"}


def test_three_sides_of_one_site_each_serve_nobody() -> None:
    found = worst(THREE, Broken(apart=(site("paris"), site("orsay"))))
    assert found.served("write") == frozenset()
    assert found.served("read-replica") == EVERYWHERE
    assert "2 of 3 etcd members are out of reach" in found.why_no_write


def test_the_power_of_a_site_takes_its_own_client_with_it() -> None:
    found = worst(THREE, Broken(dark=site("paris")))
    assert found.served("write") == EVERYWHERE - {"paris"}
    assert found.why_no_write == ""
    assert "app-paris, where the client of paris runs, has no power" in found.why_not(
        "paris", "read-replica"
    )


def test_a_lone_primary_can_be_read_and_not_written() -> None:
    replicas = Broken(silent=frozenset({"db-orsay", "db-saint-cloud"}))
    found = promise(THREE, replicas, "db-paris")
    assert found.leads
    assert found.served("write") == frozenset()
    assert found.served("read-primary") == EVERYWHERE
    assert "of 3 PostgreSQL only one can be reached" in found.why_not("orsay", "write")
    hasty = promise(replace(THREE, waits_for_standby=False), replicas, "db-paris")
    assert hasty.served("write") == EVERYWHERE
    assert hasty.may_lose == "", "nothing is lost while its primary lives"


def test_async_goes_on_with_one_and_may_lose_commits() -> None:
    hasty = replace(THREE, waits_for_standby=False)
    lost = Broken(dark=frozenset({"db-paris", "db-orsay"}))
    found = promise(hasty, lost, "db-paris")
    assert found.served("write") == EVERYWHERE
    assert "no replica had are lost" in found.may_lose
    assert promise(THREE, lost, "db-paris").served("read-primary") == frozenset()


def test_the_copies_decide_whether_a_site_may_be_lost() -> None:
    paris = frozenset({"db-paris-1", "db-paris-2", "dcs-paris", "app-paris"})
    assert always_served(WITNESS, Broken(dark=paris)) == {"orsay"}
    one_copy = replace(WITNESS, synchronous_node_count=1)
    assert always_served(one_copy, Broken(dark=paris)) == frozenset()
    assert "2 of 3, and 3 are needed" in worst(one_copy, Broken(dark=paris)).why_no_write


def test_named_standbys_are_worked_out_one_by_one() -> None:
    """The promise is what holds whoever is named: tried with every choice that Patroni has."""
    for count in (1, 2):
        shape = replace(WITNESS, synchronous_node_count=count, named_standbys=True)
        primary, *replicas = WITNESS.nodes
        for lost in (set(found) for size in range(4) for found in combinations(replicas, size)):
            can_lead = not why_nobody_leads(
                shape, frozenset({primary, *lost}), primary=primary, known=frozenset(replicas)
            )
            one_is_left = all(set(named) - lost for named in combinations(replicas, count))
            assert can_lead == one_is_left, (count, lost)


def test_etcd_alone_can_be_lost() -> None:
    two = Broken(no_etcd=frozenset({"dcs-paris", "dcs-orsay"}))
    found = worst(THREE, two)
    assert found.served("write") == frozenset()
    assert found.served("read-replica") == EVERYWHERE
    assert "2 of 3 etcd members are out of reach" in found.why_no_write
    assert always_served(THREE, Broken(no_etcd=frozenset({"dcs-paris"}))) == EVERYWHERE


def test_failsafe_mode_outlasts_etcd_while_every_member_answers() -> None:
    safe = replace(THREE, failsafe_mode=True)
    every = frozenset({"dcs-paris", "dcs-orsay", "dcs-saint-cloud"})
    assert always_served(safe, Broken(no_etcd=every)) == EVERYWHERE
    assert always_served(safe, Broken(dark=every)) == EVERYWHERE
    one_more = Broken(dark=every, silent=frozenset({"db-orsay"}))
    assert worst(safe, one_more).served("read-primary") == frozenset()


def test_a_replica_that_was_lost_long_before_has_no_vote() -> None:
    both = Broken(dark=frozenset({"db-paris", "db-orsay"}))
    at_once = promise(THREE, both, "db-paris")
    one_by_one = promise(THREE, both, "db-paris", known=frozenset({"db-saint-cloud"}))
    assert at_once.served("read-primary") == frozenset()
    assert one_by_one.served("read-primary") == EVERYWHERE
    assert one_by_one.served("write") == frozenset(), "it is alone"


HOSTS = [f"{role}{index}" for role in ("db", "dcs", "app", "all") for index in range(4)]
groups = st.frozensets(st.sampled_from(HOSTS), max_size=8)
brokens = st.builds(
    Broken,
    dark=groups,
    silent=groups,
    no_etcd=groups,
    apart=st.lists(groups, max_size=3).map(tuple),
)


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    """Clusters of any shape: hosts with one role each, and some with all."""
    nodes = draw(st.lists(st.sampled_from(HOSTS), min_size=1, max_size=6, unique=True))
    etcd = draw(st.lists(st.sampled_from(HOSTS), min_size=1, max_size=5, unique=True))
    clients = draw(st.lists(st.sampled_from(HOSTS), min_size=1, max_size=4, unique=True))
    return Shape(
        nodes=tuple(nodes),
        etcd=tuple(etcd),
        clients={host: f"site-{index % 3}" for index, host in enumerate(clients)},
        waits_for_standby=draw(st.booleans()) and len(nodes) > 1,
        synchronous_node_count=draw(st.integers(1, max(1, len(nodes) - 1))),
        failsafe_mode=draw(st.booleans()),
    )


@given(shape=shapes(), broken=brokens, more=brokens, data=st.data())
def test_more_broken_never_makes_more_served(
    shape: Shape, broken: Broken, more: Broken, data: st.DataObject
) -> None:
    primary = data.draw(st.sampled_from(shape.nodes))
    before, after = promise(shape, broken, primary), promise(shape, broken | more, primary)
    for service in SERVICES:
        assert after.served(service) <= before.served(service)
        assert always_served(shape, broken | more, service) <= always_served(shape, broken, service)
    assert not before.why_no_write or after.why_no_write


@given(shape=shapes(), data=st.data())
def test_nothing_broken_serves_every_site_of_any_shape(shape: Shape, data: st.DataObject) -> None:
    found = promise(shape, Broken(), data.draw(st.sampled_from(shape.nodes)))
    assert all(one.why_not == {} for one in found.sites)
    assert found.why_no_write == ""


@given(shape=shapes(), broken=brokens, data=st.data())
def test_what_can_be_written_can_be_read_on_the_primary(
    shape: Shape, broken: Broken, data: st.DataObject
) -> None:
    found = promise(shape, broken, data.draw(st.sampled_from(shape.nodes)))
    assert found.served("write") <= found.served("read-primary") <= found.served("read-replica")


@given(shape=shapes(), dark=groups, data=st.data())
def test_where_only_power_is_lost_it_is_quorum_arithmetic(
    shape: Shape, dark: frozenset[str], data: st.DataObject
) -> None:
    primary = data.draw(st.sampled_from(shape.nodes))
    found = promise(replace(shape, failsafe_mode=False), Broken(dark=dark), primary)
    voters = frozenset(shape.nodes) - {primary}
    if primary in dark:
        lead = why_nobody_leads(shape, dark, primary=primary, known=voters)
        leader = min(voters - dark, default=primary)
    else:
        lead = why_no_majority(shape, dark)
        leader = primary
    assert bool(found.why_no_write) == bool(lead or why_nobody_acknowledges(shape, dark, leader))
    assert found.leads == (not lead and primary not in dark)


@given(shape=shapes(), broken=brokens)
def test_one_of_each_side_stands_for_all(shape: Shape, broken: Broken) -> None:
    every = [promise(shape, broken, primary).served("write") for primary in shape.nodes]
    assert always_served(shape, broken) == frozenset.intersection(*every)
