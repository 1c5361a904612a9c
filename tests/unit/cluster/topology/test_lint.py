"""What the linter says of a topology, and that its sentences follow from the promises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from typing import Literal

import pytest

from cluster.topology.lint import SINGLE, Lint, LossKind, hosts_of, lint, losses
from cluster.topology.load import builtin_topologies, load_builtin
from cluster.topology.model import ClusterSettings, Host, HostRole, Site, Topology
from cluster.topology.promises import always_served
from cluster.topology.proxies import ProxySettings
from cluster.topology.quorum import shape_of
from cluster.topology.tags import Tags
from cluster.topology.traps import advice, failsafe, traps

TOPOLOGIES = {one.name: one for one in builtin_topologies()}
THREE = TOPOLOGIES["three-sites"]
WITNESS = TOPOLOGIES["two-sites-witness"]
ALL: tuple[HostRole, ...] = ("etcd", "postgres", "client")

LOGS_BELOW = {"logging_collector": "on", "log_directory": "log"}


NAMED: Mapping[str, Literal["on"]] = {"synchronous_mode": "on"}


def changed(topology: Topology, **settings: int | Literal["async", "on"]) -> Topology:
    return replace(topology, cluster=replace(topology.cluster, **settings))  # type: ignore[arg-type]


def tagged(topology: Topology, tags: Mapping[str, Tags]) -> Topology:
    sites = tuple(
        replace(
            site,
            hosts=tuple(replace(h, tags=tags.get(h.name, h.tags)) for h in site.hosts),
        )
        for site in topology.sites
    )
    return replace(topology, sites=sites)


def made(*sites: tuple[tuple[HostRole, ...], ...]) -> Topology:
    letters = "abcdefgh"
    return Topology(
        name="made",
        title="Made",
        sites=tuple(
            Site(
                name=letters[number],
                hosts=tuple(
                    Host(name=f"{letters[number]}{index}", roles=roles)
                    for index, roles in enumerate(hosts)
                ),
            )
            for number, hosts in enumerate(sites)
        ),
        cluster=ClusterSettings(
            scope="w", durability="quorum", ttl_s=20, loop_wait_s=5, retry_timeout_s=5
        ),
    )


def failing(found: Lint, kind: LossKind) -> set[tuple[str, ...]]:
    return {one.loss.names for one in found.of(kind) if not one.survives}


@pytest.mark.parametrize("name", ["three-sites", "three-sites-two-each", "two-sites-witness"])
def test_what_is_shipped_to_be_used_survives_any_one_host_and_site(name: str) -> None:
    found = lint(TOPOLOGIES[name])
    assert found.is_good
    for kind in SINGLE:
        assert found.of(kind)
        assert failing(found, kind) == set()
    sites = [site.name for site in TOPOLOGIES[name].sites]
    pairs = set(combinations(sites, 2))
    assert failing(found, "sites-power") == failing(found, "sites-cut") == pairs
    assert "without any one site there is a majority" in found.etcd
    assert found.copies.endswith("never all in one site")


def test_pairs_of_hosts() -> None:
    three = failing(lint(THREE), "hosts")
    assert ("db-paris", "db-orsay") in three
    assert ("dcs-paris", "dcs-orsay") in three
    assert ("db-paris", "dcs-orsay") not in three
    assert len(three) == 6
    two_each = failing(lint(TOPOLOGIES["three-sites-two-each"]), "hosts")
    assert all(name.startswith("dcs-") for pair in two_each for name in pair)


def test_the_copies_may_all_be_in_the_lost_site() -> None:
    found = lint(changed(WITNESS, synchronous_node_count=1))
    assert not found.is_good
    assert failing(found, "site-power") == failing(found, "site-cut") == {("paris",), ("orsay",)}
    assert found.copies == (
        "copies: an acknowledged commit is on 2 hosts at least, which can all be in site paris or "
        "orsay"
    )
    [claim] = [one for one in found.of("site-power") if one.loss.names == ("paris",)]
    assert claim.sentence == (
        "does not survive the loss of site paris (power): replicas in reach: 2 of 3, and 3 are "
        "needed to know that one of them has every acknowledged commit"
    )
    assert {one.key for one in found.traps if not one.is_note} == {"every-copy-in-a-site"}


def test_named_standbys_may_be_those_that_are_lost() -> None:
    found = lint(TOPOLOGIES["two-sites-named-standby"])
    assert failing(found, "host") == set(), "a named standby that is lost is replaced"
    assert failing(found, "site-power") == {("paris",), ("orsay",)}
    [claim] = [one for one in found.of("site-power") if one.loss.names == ("paris",)]
    assert claim.why == (
        "replicas in reach: 2 of 3, and a commit waits for one standby that Patroni has named, of "
        "whom none may be among them: nobody else may take over"
    )
    assert found.copies == (
        "copies: an acknowledged commit is on the primary and 1 standby that Patroni names, which "
        "can all be in site paris or orsay"
    )
    two = lint(changed(TOPOLOGIES["two-sites-named-standby"], synchronous_node_count=2))
    assert failing(two, "site-power") == set(), "one of two is in the other site"
    assert "the primary and 2 standbys that Patroni names, and never all in one site" in two.copies


def test_quorum_that_is_not_strict_is_a_trap_and_the_copies_say_so() -> None:
    found = lint(changed(THREE, synchronous_mode_strict=False))
    assert [one.key for one in found.traps if not one.is_note] == ["not-strict"]
    assert not found.is_good
    assert found.copies == (
        "copies: an acknowledged commit is on 2 hosts at least while a replica is there, and else "
        "on the primary alone, and never all in one site"
    )
    hasty = traps(changed(THREE, synchronous_mode_strict=False, durability="async"))
    assert "not-strict" not in {one.key for one in hasty}


def test_a_named_standby_is_a_note_where_another_could_be_named() -> None:
    found = TOPOLOGIES["two-sites-named-standby"]
    [note] = [one for one in traps(found) if one.key == "named-standby"]
    assert note.is_note
    assert "up to ttl_s + loop_wait_s = 25 s" in note.words
    assert "waits for any of the replicas" in note.remedy
    for other in (WITNESS, changed(found, durability="async"), changed(made((ALL, ALL)), **NAMED)):
        assert "named-standby" not in {one.key for one in traps(other)}


def test_async_survives_and_may_lose() -> None:
    found = lint(changed(THREE, durability="async"))
    assert failing(found, "host") == set()
    assert not found.is_good
    assert "the primary alone" in found.copies
    by_name = {one.loss.names[0]: one for one in found.of("host")}
    assert "and no replica had are lost" in by_name["db-paris"].sentence
    assert by_name["dcs-paris"].may_lose == ""
    assert [one.key for one in found.traps][:2] == ["async", "maximum-lag-on-failover"]


def test_two_sites_without_a_witness() -> None:
    found = lint(made((ALL, ALL), (ALL,)))
    assert failing(found, "site-power") == failing(found, "site-cut") == {("a",)}
    assert "without site a there is no majority" in found.etcd
    [majority] = [one for one in found.traps if one.key == "etcd-majority-in-a-site"]
    assert "need a third one as a witness" in majority.remedy
    assert {one.key for one in found.traps} >= {"one-postgres-is-left", "every-copy-in-a-site"}
    assert found.of("sites-power") == ()


@pytest.mark.parametrize(
    ("topology", "key"),
    [
        (made((ALL,), (ALL,), (ALL,), (ALL,)), "even-etcd"),
        (made((ALL,), (("postgres",),), (("postgres",),)), "etcd-majority-in-a-site"),
        (made((ALL, ("postgres",)), (("etcd",),), (("etcd",),)), "every-postgres-in-a-site"),
        (changed(THREE, ttl_s=30, loop_wait_s=10, retry_timeout_s=10), "no-second-to-spare"),
        (changed(THREE, retry_timeout_s=3), "short-retry-timeout"),
        (THREE, "primary-start-timeout"),
        (changed(THREE, durability="async"), "maximum-lag-on-failover"),
        (THREE, "slot-without-limit"),
        (changed(THREE, use_slots=False), "no-slots"),
        (changed(THREE, use_pg_rewind=False), "no-rewind"),
        (tagged(THREE, {"db-orsay": Tags(nofailover=True)}), "commits-wait-for-one"),
        (tagged(THREE, {"db-orsay": Tags(nosync=True)}), "commits-wait-for-one"),
        (
            tagged(THREE, {"db-orsay": Tags(nosync=True), "db-paris": Tags(nosync=True)}),
            "nobody-counts",
        ),
        (tagged(THREE, {"db-orsay": Tags(replicatefrom="db-paris")}), "cascading-replica"),
        (
            tagged(THREE, {"db-orsay": Tags(failover_priority=5)}),
            "failover-priority-is-a-tie-break",
        ),
        (tagged(THREE, {"db-orsay": Tags(sync_priority=5)}), "sync-priority-needs-named-standbys"),
        (THREE.with_postgresql(LOGS_BELOW), "logs-below-pgdata"),
        (load_builtin("three-sites-sticky-proxies"), "sessions-stay"),
        (load_builtin("three-sites-proxies"), "pgbouncer-login-retry"),
    ],
)
def test_every_trap_has_a_remedy_and_a_source(topology: Topology, key: str) -> None:
    found = {one.key: one for one in traps(topology)}
    assert key in found
    for one in found.values():
        assert all((one.words, one.remedy, one.source))
        assert not one.words.endswith(".")


def test_the_cures_of_proxies() -> None:
    cured = ProxySettings(login_retry_s=1)
    found = {one.key for one in traps(replace(load_builtin("three-sites-proxies"), proxies=cured))}
    assert not found & {"sessions-stay", "pgbouncer-login-retry"}


def test_failsafe_mode_needs_every_member() -> None:
    shape = replace(shape_of(THREE), failsafe_mode=True)
    [trap] = failsafe(shape)
    assert trap.is_note
    assert "while every member answers" in trap.words


def test_a_limit_for_slots_is_the_cure() -> None:
    limited = THREE.with_postgresql({"max_slot_wal_keep_size": "1GB"})
    assert "slot-without-limit" not in {one.key for one in traps(limited)}


@pytest.mark.parametrize("where", [{}, {"log_directory": "../log"}, {"log_directory": "/var/log"}])
def test_logs_outside_of_pgdata_are_the_cure(where: dict[str, str]) -> None:
    topology = THREE.with_postgresql({"logging_collector": "on", **where})
    assert "logs-below-pgdata" not in {one.key for one in traps(topology)}


def test_a_failover_priority_alone_makes_no_topology_good() -> None:
    found = lint(tagged(THREE, {"db-orsay": Tags(failover_priority=5)}))
    assert not found.is_good
    assert failing(found, "host") == set()


def test_a_node_that_may_not_lead_is_no_successor() -> None:
    tags = {"db-orsay": Tags(nofailover=True), "db-saint-cloud": Tags(nofailover=True)}
    found = lint(tagged(THREE, tags))
    assert failing(found, "host") == {("db-paris",)}
    [claim] = [one for one in found.of("host") if one.loss.names == ("db-paris",)]
    assert "have the tag nofailover" in claim.why


def test_copies_are_counted_where_commits_wait_for_them() -> None:
    two_each = TOPOLOGIES["three-sites-two-each"]
    assert "never all in one site" in lint(two_each).copies
    neighbours = [f"db-{site}-2" for site in ("paris", "orsay", "saint-cloud")]
    found = lint(changed(two_each, synchronous_node_count=1))
    assert "can all be in site paris" in found.copies
    apart = tagged(found.topology, dict.fromkeys(neighbours, Tags(nosync=True, nofailover=True)))
    assert "never all in one site" in lint(apart).copies


def test_a_note_is_no_advice() -> None:
    assert advice(THREE) == []
    assert [one.is_note for one in traps(THREE)] == [True, True]
    limited = THREE.with_postgresql({"max_slot_wal_keep_size": "1GB"})
    assert traps(changed(limited, primary_start_timeout_s=0)) == ()


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_a_claim_is_what_the_judge_demands(name: str) -> None:
    """The sites outside of what is lost are served exactly where the sentence says so."""
    topology = TOPOLOGIES[name]
    shape = shape_of(topology)
    claims = {one.loss: one for one in lint(topology).claims}
    for loss in losses(topology):
        gone = loss.broken.dark.union(*loss.broken.apart)
        owed = {site for host, site in shape.clients.items() if host not in gone}
        served = always_served(shape, loss.broken)
        assert claims[loss].survives == (owed <= served and not claims[loss].worst.why_no_write)


def test_the_hosts_of_a_site_are_lost_together() -> None:
    [paris, *_] = THREE.sites
    loss = next(one for one in losses(THREE) if one.kind == "site-power")
    assert loss.broken.dark == hosts_of(paris)
    assert loss.words == "site paris (power)"
