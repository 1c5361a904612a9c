"""Whom a target means: every selector, on topologies of one to six PostgreSQL."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.errors import ScheduleError
from chaos.faults.targets import (
    FORMS,
    PRIMARY,
    Layout,
    Target,
    Victim,
    chance,
    find_victim,
    hosts_at_risk,
    layout_of,
    link_ends,
    parse_target,
    problem_of,
    resolve,
)
from cluster.topology.load import find_topology

THREE = layout_of(find_topology("three-sites"))
SIX = layout_of(find_topology("three-sites-two-each"))
TWO = Layout(nodes=("a", "b"), sites={"x": ("a",), "y": ("b", "c")})
ONE_SITE = Layout(nodes=("a", "b"), sites={"x": ("a", "b"), "y": ("c",)})
SITES = ("paris", "orsay", "saint-cloud")


def target(text: str) -> Target:
    found = parse_target(text)
    assert found is not None, text
    assert str(found) == text
    return found


def names(
    text: str,
    layout: Layout = THREE,
    primary: str | None = "db-paris",
    dcs_leader: str | None = "dcs-orsay",
) -> list[str]:
    victims = resolve(
        target(text), layout, primary=primary, random=Random(1), dcs_leader=dcs_leader
    )
    return [victim.name for victim in victims]


@pytest.mark.parametrize("form", FORMS.values())
def test_every_form_is_read_and_written_as_it_stands(form: str) -> None:
    target(form.replace("NAME", "paris").replace("A-B", "paris-orsay"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "standby",
        "primary:",
        "dcs:",
        "dcs-leader:dcs-paris",
        "primary:db-paris",
        "host",
        "host:",
        "site-of:replica",
        "site-of",
        "link-of",
    ],
)
def test_what_has_no_form_is_no_target(text: str) -> None:
    assert parse_target(text) is None


def test_each_selector_means_what_the_page_says() -> None:
    assert names("primary") == ["db-paris"]
    assert names("replicas") == ["db-orsay", "db-saint-cloud"]
    assert names("all") == ["db-paris", "db-orsay", "db-saint-cloud"]
    assert names("host:dcs-orsay") == ["dcs-orsay"]
    assert names("site:orsay") == ["orsay"]
    assert names("site-of:primary", primary="db-saint-cloud") == ["saint-cloud"]
    assert len(names("any")) == len(names("minority")) == 1
    assert len(names("majority")) == 2
    assert names("any", primary=None)  # whoever leads
    assert names("replica-site", primary="db-paris")[0] in {"orsay", "saint-cloud"}
    assert names("replica-site", TWO, primary="a") == ["y"]
    [replica] = names("replica")
    assert replica in names("replicas")


def test_the_hosts_of_etcd_are_struck_by_who_leads_there() -> None:
    assert names("dcs-leader") == ["dcs-orsay"]
    assert names("dcs-leader", primary=None) == ["dcs-orsay"]
    [member] = names("dcs-member")
    assert member in ("dcs-paris", "dcs-saint-cloud")
    assert names("dcs-all", dcs_leader=None) == ["dcs-paris", "dcs-orsay", "dcs-saint-cloud"]
    assert len(names("dcs-majority", dcs_leader=None)) == 2
    for text in ("dcs-leader", "dcs-member"):
        with pytest.raises(ScheduleError, match="etcd has no leader"):
            names(text, dcs_leader=None)


def test_what_strikes_all_at_once_is_one_victim() -> None:
    for text, hosts in (("cluster", THREE.nodes), ("dcs", THREE.etcd)):
        [victim] = resolve(target(text), THREE, primary=None, random=Random(1))
        assert victim == Victim(name=text, hosts=hosts)
        assert find_victim(text, THREE) == victim
    named = Layout(nodes=("cluster", "b"), sites={"dcs": ("cluster", "b")}, etcd=("b",))
    assert find_victim("cluster", named).hosts == ("cluster",)
    assert find_victim("dcs", named).hosts == ("cluster", "b")


def test_a_site_is_all_of_its_hosts_and_a_link_those_of_both_its_sites() -> None:
    random = Random(1)
    [site] = resolve(target("site:paris"), THREE, primary=None, random=random)
    assert site == Victim(name="paris", hosts=THREE.sites["paris"])
    [link] = resolve(target("link:saint-cloud-paris"), THREE, primary=None, random=random)
    assert link.name == "saint-cloud-paris"
    assert set(link.hosts) == {*THREE.sites["saint-cloud"], *THREE.sites["paris"]}


def test_a_link_of_the_primary_leads_to_another_site_that_has_postgres() -> None:
    witness = layout_of(find_topology("two-sites-witness"))
    drawn = set()
    for seed in range(20):
        for layout, primary in ((THREE, "db-paris"), (witness, "db-paris-1")):
            [link] = resolve(
                target("link-of:primary"), layout, primary=primary, random=Random(seed)
            )
            assert find_victim(link.name, layout) == link
            here, there = link_ends(link.name, layout)
            assert here == "paris"
            assert set(link.hosts) == {*layout.sites[here], *layout.sites[there]}
            drawn.add((len(layout.nodes), there))
    assert drawn == {(3, "orsay"), (3, "saint-cloud"), (4, "orsay")}
    lone = Layout(nodes=("a",), sites={"x": ("a",)})
    assert problem_of(target("link-of:primary"), lone) is not None
    assert link_ends("paris-lyon", THREE) == ()


def test_a_name_is_a_host_before_it_is_a_link() -> None:
    layout = Layout(nodes=("a-b",), sites={"a": ("a-b",), "b": ("c",)})
    assert find_victim("a-b", layout).hosts == ("a-b",)
    [link] = resolve(target("link:a-b"), layout, primary=None, random=Random(1))
    assert link.hosts == ("a-b", "c")


def test_a_link_that_two_pairs_could_be_is_none() -> None:
    layout = Layout(nodes=(), sites=dict.fromkeys(("a", "a-b", "b-c", "c"), ()))
    assert problem_of(target("link:a-b-c"), layout) is not None
    assert problem_of(target("link:a-c"), layout) is None


@pytest.mark.parametrize(
    ("text", "layout", "words"),
    [
        ("host:db-lyon", THREE, "there is no host db-lyon; there are "),
        ("site:lyon", THREE, "there is no site lyon; there are paris, orsay, saint-cloud"),
        ("link:paris-lyon", THREE, "paris-lyon is no pair of two sites; there are paris"),
        ("minority", TWO, "of 2 PostgreSQL none is a minority"),
        ("replica-site", ONE_SITE, "every PostgreSQL is in x"),
        ("replica", Layout(nodes=("a",), sites={"x": ("a",)}), "there is no replica"),
        ("dcs-member", TWO, "there is no member of etcd that does not lead"),
    ],
)
def test_a_target_that_means_nobody_says_why(text: str, layout: Layout, words: str) -> None:
    found = problem_of(target(text), layout)
    assert found is not None
    assert found.startswith(words)
    with pytest.raises(ScheduleError, match=words):
        resolve(target(text), layout, primary="a", random=Random(1))


@pytest.mark.parametrize(
    "text", ["primary", "replica", "replicas", "site-of:primary", "replica-site"]
)
def test_without_a_primary_there_is_nobody_to_strike(text: str) -> None:
    with pytest.raises(ScheduleError, match="there is no primary"):
        names(text, primary=None)


@given(
    seed=st.integers(),
    nodes=st.lists(st.sampled_from("abcdefghi"), min_size=1, unique=True),
    text=st.sampled_from(["any", "minority", "majority", "dcs-majority"]),
)
def test_the_same_seed_strikes_the_same_members(seed: int, nodes: list[str], text: str) -> None:
    layout = Layout(nodes=tuple(nodes), sites={"s": tuple(nodes)}, etcd=tuple(nodes))
    if problem_of(target(text), layout):
        assert (text, len(nodes) < 3) == ("minority", True)
        return

    def drawn() -> list[str]:
        victims = resolve(target(text), layout, primary=None, random=chance(seed))
        return [victim.name for victim in victims]

    found = drawn()
    assert found == drawn()
    assert found == [node for node in nodes if node in found]  # each once, in their order
    if text == "minority":
        assert 0 < 2 * len(found) < len(nodes) <= 2 * len(found) + 2
    if text in ("majority", "dcs-majority"):
        assert 2 * len(found) > len(nodes) >= 2 * len(found) - 2


@given(
    seed=st.integers(),
    form=st.sampled_from(list(FORMS.values())),
    layout=st.sampled_from([THREE, SIX]),
    data=st.data(),
)
def test_whoever_is_struck_was_at_risk(
    seed: int, form: str, layout: Layout, data: st.DataObject
) -> None:
    """And who cannot be the primary never is."""
    name = data.draw(st.sampled_from(layout.hosts if form.startswith("host") else SITES))
    asked = target(form.replace("NAME", name).replace("A-B", "paris-saint-cloud"))
    primary = data.draw(st.sampled_from(layout.nodes))
    dcs_leader = data.draw(st.sampled_from(layout.etcd))
    victims = resolve(asked, layout, primary=primary, random=chance(seed), dcs_leader=dcs_leader)
    struck = {host for victim in victims for host in victim.hosts}
    assert struck
    assert struck <= set(hosts_at_risk(asked, layout))
    assert asked.may_be_primary or primary not in struck
    assert asked != PRIMARY or struck == {primary}
