"""Topologies: the built-in ones, the way to TOML and back, and every refusal."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import TopologyError
from cluster.topology.load import (
    DURABILITIES,
    builtin_topologies,
    find_topology,
    load_builtin,
    load_topology,
    to_toml,
    topology_source,
)
from cluster.topology.model import ClusterSettings, Host, HostRole, Site, Topology
from cluster.topology.rules import problems_of_topology
from cluster.topology.settings import problems_of_settings, why_idle
from cluster.topology.traps import advice

EVERYTHING: tuple[HostRole, ...] = ("etcd", "postgres", "client")
TWO_EACH: tuple[tuple[HostRole, ...], ...] = (EVERYTHING, ("postgres",))
SETTINGS = ClusterSettings(
    scope="w", durability="quorum", ttl_s=20, loop_wait_s=5, retry_timeout_s=5
)


def topology(
    *sites: tuple[tuple[HostRole, ...], ...], settings: ClusterSettings = SETTINGS
) -> Topology:
    """Sites a, b, c..., with the hosts a0, a1...: one for each tuple of roles."""
    letters = "abcdefgh"
    return Topology(
        name="t",
        title="T",
        cluster=settings,
        sites=tuple(
            Site(
                name=letter,
                hosts=tuple(Host(name=f"{letter}{n}", roles=roles) for n, roles in enumerate(site)),
            )
            for letter, site in zip(letters, sites, strict=False)
        ),
    )


TITLES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters=[*map(chr, range(32)), "\x7f"]),
    min_size=1,
    max_size=200,
)


@st.composite
def topologies(draw: st.DrawFn) -> Topology:
    """Right in every type, and within the rules or just outside of them."""
    roles = st.lists(st.sampled_from(EVERYTHING), min_size=1, unique=True).map(tuple)
    sites = draw(
        st.lists(st.lists(roles, min_size=1, max_size=4).map(tuple), min_size=1, max_size=8)
    )
    settings = ClusterSettings(
        scope="w",
        durability=draw(st.sampled_from(DURABILITIES)),
        ttl_s=draw(st.integers(19, 60)),
        loop_wait_s=draw(st.integers(0, 40)),
        retry_timeout_s=draw(st.integers(2, 20)),
        synchronous_node_count=draw(st.integers(0, 4)),
        failsafe_mode=draw(st.booleans()),
        witness=draw(st.booleans()),
    )
    return replace(topology(*sites, settings=settings), title=draw(TITLES))


THREE = topology((EVERYTHING,), (EVERYTHING,), (EVERYTHING,))


def words_of(wrong: Topology) -> list[str]:
    return [str(problem) for problem in problems_of_topology(wrong)]


def refusal_of(path: Path) -> str:
    with pytest.raises(TopologyError) as caught:
        load_topology(path)
    return str(caught.value)


class TestBuiltIn:
    def test_all_load_and_none_is_a_trap_but_those_that_are_shipped_as_one(self) -> None:
        found = {one.name: advice(one) for one in builtin_topologies()}
        traps = {
            "two-sites-named-standby": "which may all be there",
            "three-sites-not-strict": "synchronous_mode_strict is off",
            "three-sites-sticky-proxies": "HAProxy leaves sessions on a primary that is gone",
            "two-sites-no-witness": "site paris has 2 of 3 etcd members",
        }
        for name, words in traps.items():
            assert any(words in advised for advised in found.pop(name))
        assert [name for name, advised in found.items() if advised] == []
        assert next(iter(found)) == "three-sites"

    def test_the_name_inside_is_the_name_of_the_file(self) -> None:
        for one in builtin_topologies():
            assert tomllib.loads(topology_source(one.name))["name"] == one.name

    def test_the_default_is_what_the_design_says(self) -> None:
        default = load_builtin("three-sites")
        assert [site.name for site in default.sites] == ["paris", "orsay", "saint-cloud"]
        assert default.nodes == ("db-paris", "db-orsay", "db-saint-cloud")
        assert [host.name for host in default.hosts_with("etcd")] == [
            "dcs-paris", "dcs-orsay", "dcs-saint-cloud"
        ]  # fmt: skip
        assert default.site_of("app-orsay").name == "orsay"
        assert default.host("app-orsay").roles == ("client",)
        assert default.cluster.durability == "quorum"

    def test_the_witness_sees_no_data(self) -> None:
        witness = load_builtin("two-sites-witness").sites[-1]
        assert [host.roles for host in witness.hosts] == [("etcd",)]

    def test_an_unknown_name_is_told_the_nearest(self) -> None:
        with pytest.raises(TopologyError, match=r"three-site: .*\(did you mean three-sites\?\)"):
            find_topology("three-site")
        with pytest.raises(TopologyError, match="there are three-sites, on-premise-and-"):
            topology_source("../errors")

    def test_a_file_is_found_by_its_path(self, tmp_path: Path) -> None:
        path = tmp_path / "mine"
        path.write_text(topology_source("three-sites"))
        assert find_topology(str(path)) == load_builtin("three-sites")

    def test_unknown_hosts_are_key_errors(self) -> None:
        with pytest.raises(KeyError):
            THREE.host("nobody")
        with pytest.raises(KeyError):
            THREE.site_of("nobody")


class TestToToml:
    def test_built_in_ones_are_read_back(self, tmp_path: Path) -> None:
        path = tmp_path / "topology.toml"
        for one in builtin_topologies():
            path.write_text(to_toml(one), encoding="utf-8")
            assert load_topology(path) == one

    @given(topologies())
    def test_what_the_rules_allow_is_read_back_and_nothing_else_is_read(
        self, tmp_path_factory: pytest.TempPathFactory, one: Topology
    ) -> None:
        path = tmp_path_factory.getbasetemp() / "generated.toml"
        path.write_text(to_toml(one), encoding="utf-8", newline="")
        if problems := words_of(one):
            message = refusal_of(path)
            assert all(words in message for words in problems)
        else:
            assert load_topology(path) == one
            assert all(isinstance(line, str) for line in advice(one))


class TestRules:
    def test_a_good_one_has_no_problem(self) -> None:
        assert words_of(THREE) == []

    def test_names_are_taken_once_across_sites(self) -> None:
        wrong = topology((EVERYTHING,), (EVERYTHING, ("etcd",)), (EVERYTHING,))
        b0, b1 = wrong.sites[1].hosts
        twice = replace(wrong.sites[1], hosts=(b0, replace(b1, name="a0")))
        same = replace(wrong.sites[2], name="b")
        wrong = replace(wrong, sites=(wrong.sites[0], twice, same))
        assert (
            "site[2].name: b is already the name of site[1]; every site and host needs its own"
            in (words_of(wrong))
        )
        assert any(
            line.startswith("site[1].host[1].name: a0 is already the name of site[0].host[0]")
            for line in words_of(wrong)
        )

    def test_a_host_may_not_be_called_like_a_site(self) -> None:
        host = replace(THREE.sites[0].hosts[0], name="c")
        wrong = replace(THREE, sites=(replace(THREE.sites[0], hosts=(host,)), *THREE.sites[1:]))
        assert words_of(wrong)[0].startswith(
            "site[0].host[0].name: c is already the name of site[2]"
        )

    @pytest.mark.parametrize("name", ["wan", "localhost", "router-a"])
    def test_names_of_the_lab_are_reserved(self, name: str) -> None:
        host = replace(THREE.sites[0].hosts[0], name=name)
        wrong = replace(THREE, sites=(replace(THREE.sites[0], hosts=(host,)), *THREE.sites[1:]))
        assert words_of(wrong)[0].startswith(f"site[0].host[0].name: {name} is reserved")

    @pytest.mark.parametrize("role", EVERYTHING)
    def test_every_role_is_needed(self, role: HostRole) -> None:
        roles = tuple(other for other in EVERYTHING if other != role)
        wrong = topology((roles,), (roles,), (roles,))
        assert any(f"no host has the role {role}" in line for line in words_of(wrong))

    def test_two_etcd_are_worse_than_one(self) -> None:
        wrong = topology((EVERYTHING,), (EVERYTHING,))
        assert any("worse than having 1" in line for line in words_of(wrong))
        assert words_of(topology((EVERYTHING,), (("postgres",),))) == []

    def test_there_is_a_limit_to_size(self) -> None:
        hosts = tuple(Host(name=f"h{n}", roles=("client",)) for n in range(198))
        big = replace(THREE, sites=(*THREE.sites, Site(name="z", hosts=hosts)))
        assert words_of(big) == ["site: expected at most 200 hosts in all sites; found 201"]
        sites = tuple(
            Site(name=f"s{n}", hosts=(Host(name=f"h{n}", roles=("client",)),)) for n in range(58)
        )
        many = replace(THREE, sites=(*THREE.sites, *sites))
        assert words_of(many) == ["site: expected at most 60 sites; found 61"]


class TestSettings:
    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (
                {"ttl_s": 19},
                "cluster.ttl_s: expected 20 (Patroni's minimum) to 86400 seconds; found 19",
            ),
            ({"ttl_s": 86_401}, "cluster.ttl_s: expected 20 (Patroni's minimum) to 86400"),
            ({"loop_wait_s": 0}, "cluster.loop_wait_s: expected 1 (Patroni's minimum)"),
            ({"retry_timeout_s": 2}, "cluster.retry_timeout_s: expected 3 (Patroni's minimum)"),
            ({"primary_start_timeout_s": -1}, "cluster.primary_start_timeout_s: expected 0"),
            (
                {"maximum_lag_on_failover_bytes": -1},
                "maximum_lag_on_failover_bytes: expected a whole number from 0 on; found -1",
            ),
            (
                {"synchronous_node_count": 0},
                "cluster.synchronous_node_count: expected a whole number from 1 on; found 0",
            ),
            (
                {"synchronous_node_count": 3},
                "cluster.synchronous_node_count: expected at most 2 (the replicas of 3 hosts with "
                "the role postgres); found 3: no commit could ever be acknowledged",
            ),
            (
                {"loop_wait_s": 11},
                "cluster: expected loop_wait_s + 2 × retry_timeout_s to be at most ttl_s "
                "(Patroni); found 11 + 2 × 5 = 21 > 20; ttl_s = 21 or loop_wait_s = 10 or "
                "retry_timeout_s = 4 would do",
            ),
            (
                {"retry_timeout_s": 10},
                "found 5 + 2 × 10 = 25 > 20; ttl_s = 25 or retry_timeout_s = 7 ",
            ),
        ],
    )
    def test_each_rule_is_told(self, change: dict[str, int], words: str) -> None:
        settings = replace(SETTINGS, **change)  # type: ignore[arg-type]
        problems = [str(p) for p in problems_of_settings(settings, node_count=3)]
        assert len(problems) == 1
        assert words in problems[0]

    @given(
        ttl_s=st.integers(20, 100),
        loop_wait_s=st.integers(1, 100),
        retry_timeout_s=st.integers(3, 100),
    )
    def test_each_remedy_that_is_offered_works(
        self, ttl_s: int, loop_wait_s: int, retry_timeout_s: int
    ) -> None:
        settings = replace(
            SETTINGS, ttl_s=ttl_s, loop_wait_s=loop_wait_s, retry_timeout_s=retry_timeout_s
        )
        for problem in problems_of_settings(settings, node_count=3):
            remedies = problem.words.split("; ")[-1].removesuffix(" would do").split(" or ")
            for remedy in remedies:
                key, value = remedy.split(" = ")
                cured = replace(settings, **{key: int(value)})  # type: ignore[arg-type]
                assert list(problems_of_settings(cured, node_count=3)) == []

    def test_quorum_needs_two(self) -> None:
        alone = topology((EVERYTHING,))
        assert "quorum needs at least 2 hosts with the role postgres, found 1" in words_of(alone)[0]
        assert words_of(replace(alone, cluster=replace(SETTINGS, durability="async"))) == []

    def test_options_change_a_copy(self) -> None:
        changed = THREE.with_settings(ttl_s=30, loop_wait_s=10, durability="async")
        assert (changed.cluster.ttl_s, changed.cluster.loop_wait_s) == (30, 10)
        assert changed.cluster.durability == "async"
        assert changed.cluster.retry_timeout_s == THREE.cluster.retry_timeout_s
        assert THREE.cluster == SETTINGS
        assert THREE.with_settings() == THREE

    def test_options_obey_the_rules(self) -> None:
        with pytest.raises(TopologyError, match=r"t with the settings asked for: cluster\.ttl_s"):
            THREE.with_settings(ttl_s=10)


class TestWitnesses:
    def test_one_stands_beside_the_etcd_of_every_site(self) -> None:
        asked = load_builtin("three-sites")
        assert asked.cluster.witness
        assert asked.cluster.witness_gate
        assert [host.name for host in asked.witness_hosts] == [
            "dcs-paris", "dcs-orsay", "dcs-saint-cloud"
        ]  # fmt: skip
        assert asked.with_settings(witness=True) == asked
        assert not asked.with_settings(witness=False).cluster.witness

    def test_fewer_than_three_sites_cannot_agree(self) -> None:
        two = topology((EVERYTHING,), (EVERYTHING, EVERYTHING))
        witnessed = replace(two, cluster=replace(two.cluster, witness=True))
        assert "witnesses need etcd in 3 sites or more" in words_of(witnessed)[0]
        assert words_of(two) == []

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            ({"durability": "async"}, "durability is async, not quorum"),
            ({"synchronous_mode": "on"}, "synchronous_mode is on, not quorum"),
            ({"synchronous_mode_strict": False}, "synchronous_mode is not strict"),
        ],
    )
    def test_they_need_strict_quorum(self, change: dict[str, object], why: str) -> None:
        settings = replace(THREE.cluster, witness=True, **change)  # type: ignore[arg-type]
        assert why_idle(settings) == why
        assert why_idle(THREE.cluster) is None
        with pytest.raises(TopologyError, match="witnesses act only in strict quorum mode"):
            replace(THREE, cluster=settings).with_settings(witness=True)
        # A scenario may leave them nothing to do: what a drill has written is read again.
        assert words_of(replace(THREE, cluster=settings)) == []


class TestAdvice:
    @pytest.mark.parametrize(
        ("trap", "words"),
        [
            (
                topology((EVERYTHING,), (EVERYTHING,), (EVERYTHING,), (EVERYTHING,)),
                "4 etcd members survive the loss of 1, which 3 would as well",
            ),
            (
                topology((EVERYTHING, ("etcd",), ("etcd",)), (("postgres",),), (("postgres",),)),
                "site a has 3 of 3 etcd members: without it there is no majority",
            ),
            (
                topology((EVERYTHING, ("etcd",)), (EVERYTHING,), (("postgres",),)),
                "site a has 2 of 3 etcd members: without it there is no majority",
            ),
            (
                topology((EVERYTHING, ("postgres",)), (("etcd",),), (("etcd",),)),
                "site a has every PostgreSQL: without it there is no data",
            ),
            (
                topology((EVERYTHING,), (EVERYTHING,), (("etcd",),)),
                "without site a one PostgreSQL is left",
            ),
            (
                topology(TWO_EACH, TWO_EACH, TWO_EACH),
                "synchronous_node_count = 2 forces a copy elsewhere",
            ),
            (
                replace(
                    THREE, cluster=replace(SETTINGS, ttl_s=30, loop_wait_s=10, retry_timeout_s=10)
                ),
                "is exactly ttl_s (as in Patroni's defaults)",
            ),
            (
                replace(THREE, cluster=replace(SETTINGS, durability="async")),
                "with durability async a commit is acknowledged before a replica has it",
            ),
        ],
    )
    def test_a_trap_is_named(self, trap: Topology, words: str) -> None:
        assert words_of(trap) == []
        assert words in "\n".join(advice(trap))

    def test_three_sites_have_none(self) -> None:
        assert advice(THREE) == []


def test_witnesses_stay_where_a_scenario_takes_quorum_from_them() -> None:
    """They act on nothing then (``not-strict``)."""
    taken = load_builtin("three-sites").with_settings(durability="async")
    assert (taken.cluster.witness, taken.cluster.durability) == (True, "async")
    with pytest.raises(TopologyError, match="strict quorum mode"):
        load_builtin("three-sites").with_settings(durability="async", witness=True)


def test_a_gate_that_could_never_open_is_refused() -> None:
    three = load_builtin("three-sites")
    bare = replace(three, cluster=replace(three.cluster, witness=False, member_slots_ttl_s=0))
    with pytest.raises(TopologyError, match=r"cluster\.witness_gate"):
        bare.with_settings(witness=True)
    for settings in (
        replace(bare.cluster, witness_gate=False),
        replace(bare.cluster, use_slots=False),
    ):
        assert replace(bare, cluster=settings).with_settings(witness=True).cluster.witness
