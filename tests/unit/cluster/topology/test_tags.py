"""Tags: who leads, who is counted, who streams from whom, and what no cluster could have."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import TopologyError
from cluster.patroni.config import dynamic_settings
from cluster.topology.load import load_builtin, load_topology, to_toml, topology_source
from cluster.topology.promises import Broken, promise, promises
from cluster.topology.quorum import Shape, candidates, shape_of, voters, why_nobody_leads
from cluster.topology.tags import NO_TAGS, Tags, TagsOf, streams_from, synchronous

NODES = frozenset({"a", "b", "c", "d"})
NOSYNC, NOFAILOVER = Tags(nosync=True), Tags(nofailover=True)
FROM_B = Tags(replicatefrom="b")


def shape(tags: TagsOf, *, sync: int = 1, waits: bool = True) -> Shape:
    return Shape(
        nodes=("a", "b", "c", "d"),
        etcd=("e",),
        clients={"app": "site"},
        waits_for_standby=waits,
        synchronous_node_count=sync,
        tags=tags,
    )


@pytest.mark.parametrize(
    ("tags", "node_count", "expected"),
    [
        ({}, 1, {"b", "c", "d"}),
        ({"c": NOSYNC}, 1, {"b", "d"}),
        ({"c": Tags(sync_priority=0)}, 1, {"b", "d"}),
        ({"c": Tags(sync_priority=7)}, 1, {"b", "c", "d"}),
        ({"d": FROM_B}, 1, {"b", "c"}),
        ({"d": Tags(replicatefrom="a")}, 1, {"b", "c", "d"}),  # the primary itself
        ({"d": NOFAILOVER}, 1, {"b", "c"}),
        ({"d": NOFAILOVER}, 3, {"b", "c", "d"}),  # the others are too few
        ({"c": NOSYNC, "d": FROM_B, "b": NOFAILOVER}, 1, {"b"}),
        ({"b": NOSYNC, "c": NOSYNC, "d": FROM_B}, 1, set()),
    ],
)
def test_who_is_counted(tags: TagsOf, node_count: int, expected: set[str]) -> None:
    assert synchronous(tags, "a", NODES, node_count) == expected


def test_a_cascading_replica_turns_to_the_primary_once_its_source_is_gone() -> None:
    tags = {"d": FROM_B}
    assert streams_from(tags, "d", "a", NODES) == "b"
    assert streams_from(tags, "d", "a", NODES - {"b"}) == "a"
    assert streams_from(tags, "d", "b", NODES) == "b"
    assert synchronous(tags, "a", NODES - {"b"}, 1) == {"c", "d"}


TAGS = st.sampled_from(
    [NO_TAGS, NOSYNC, NOFAILOVER, FROM_B, Tags(nofailover=True, nosync=True), Tags(sync_priority=0)]
)


@given(tags=st.dictionaries(st.sampled_from("acd"), TAGS), sync=st.integers(1, 3), data=st.data())
def test_some_candidate_has_every_acknowledged_commit(
    tags: dict[str, Tags], sync: int, data: st.DataObject
) -> None:
    """Whichever voters have confirmed a commit: who is sure to be elected has it, or waits for one
    that has (the one with the most WAL leads)."""
    found = shape(tags, sync=sync)
    primary = data.draw(st.sampled_from(sorted(NODES)))
    down = frozenset(data.draw(st.sets(st.sampled_from(sorted(NODES))))) | {primary}
    known = NODES - {primary}
    electing = voters(found, primary, known)
    able = candidates(found, down, primary, known)
    assert able <= electing - down
    if why_nobody_leads(found, down, primary=primary, known=known):
        return
    for confirmed in combinations(electing, min(sync, len(electing))):
        assert able & set(confirmed)


def test_the_voters_of_async_are_those_that_may_lead() -> None:
    tags = {"b": NOFAILOVER, "c": NOSYNC, "d": Tags(failover_priority=0)}
    assert voters(shape(tags, waits=False), "a", NODES) == {"c"}


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({}, ""),
        ({"b": NOFAILOVER, "c": NOFAILOVER}, ""),
        ({"b": NOFAILOVER, "c": NOFAILOVER, "d": NOFAILOVER}, "b and c and d have the tag"),
        (
            {"b": NOFAILOVER, "c": NOFAILOVER, "d": NOSYNC},
            "b may not lead (nofailover), and may have commits",
        ),
        ({"b": NOSYNC, "d": FROM_B}, ""),
        ({"b": NOSYNC, "c": NOSYNC, "d": FROM_B}, "no replica counts by its tags"),
    ],
)
def test_who_takes_over(tags: TagsOf, words: str) -> None:
    found = promise(shape(tags), Broken(dark=frozenset({"a"})), "a")
    assert bool(found.why_no_write) == bool(words)
    assert words in found.why_no_write


def test_without_a_voter_anybody_acknowledges_who_streams() -> None:
    tags = {"b": NOSYNC, "c": Tags(replicatefrom="d")}
    assert promise(shape(tags), Broken(dark=frozenset("d")), "a").why_no_write == ""
    alone = shape({"c": FROM_B, "d": FROM_B})
    assert promise(alone, Broken(dark=frozenset("cd")), "a").why_no_write == ""
    assert "only one can be reached" in (
        promise(alone, Broken(dark=frozenset("bcd")), "a").why_no_write
    )


def test_only_who_may_lead_is_a_primary_to_be_reckoned_with() -> None:
    found = promises(shape({"a": NOFAILOVER, "c": NOSYNC}), Broken())
    assert [one.primary for one in found] == ["b", "c", "d"]


TAGGED = topology_source("three-sites").replace(
    'name = "db-orsay"\nroles = ["postgres"]\n',
    'name = "db-orsay"\nroles = ["postgres"]\ntags = { TAGS }\n',
)


def read(tmp_path: Path, tags: str, **more: str) -> TagsOf:
    text = TAGGED.replace("TAGS", tags)
    for name, own in more.items():
        found = f'name = "{name.replace("_", "-")}"\nroles = ["postgres"]\n'
        assert found in text
        text = text.replace(found, f"{found}tags = {{ {own} }}\n")
    (tmp_path / "mine.toml").write_text(text)
    return load_topology(tmp_path / "mine.toml").tags


def test_they_are_read_and_written_back(tmp_path: Path) -> None:
    tags = 'nosync = true, noloadbalance = true, failover_priority = 3, replicatefrom = "db-paris"'
    found = read(tmp_path, tags)
    expected = Tags(nosync=True, noloadbalance=True, failover_priority=3, replicatefrom="db-paris")
    assert found == {"db-orsay": expected}
    topology = load_topology(tmp_path / "mine.toml")
    (tmp_path / "again.toml").write_text(to_toml(topology))
    assert load_topology(tmp_path / "again.toml") == topology
    assert expected.given == {
        "nosync": True,
        "noloadbalance": True,
        "failover_priority": 3,
        "replicatefrom": "db-paris",
    }
    assert NO_TAGS.given == {}


@pytest.mark.parametrize(
    ("tags", "more", "words"),
    [
        ("nosnc = true", {}, r"tags\.nosnc: unknown key; did you mean nosync\?"),
        ("nosync = 1", {}, r"site\[1\]\.host\[0\]\.tags\.nosync: expected true or false"),
        ("failover_priority = -1", {}, "tags.failover_priority: expected a whole number from 0"),
        ("failover_priority = 5000", {}, "expected a whole number from 0 to 1000; found 5000"),
        ("nofailover = true, failover_priority = 2", {}, "Patroni refuses both at once"),
        ('replicatefrom = "db-orsay"', {}, "expected another host with PostgreSQL"),
        ('replicatefrom = "dcs-paris"', {}, r"\(db-paris, db-saint-cloud\); found dcs-paris"),
        (
            'replicatefrom = "db-paris"',
            {"db_paris": 'replicatefrom = "db-orsay"'},
            "nobody in this circle has a source of WAL",
        ),
        (
            "nofailover = true",
            {"db_paris": "nofailover = true", "db_saint_cloud": "failover_priority = 0"},
            "every PostgreSQL has nofailover",
        ),
    ],
)
def test_what_no_cluster_could_have_is_refused(
    tmp_path: Path, tags: str, more: dict[str, str], words: str
) -> None:
    with pytest.raises(TopologyError, match=words):
        read(tmp_path, tags, **more)


def test_tags_need_a_postgres_that_heeds_them(tmp_path: Path) -> None:
    text = topology_source("three-sites").replace(
        'roles = ["client"]  # where', 'tags = { nosync = true }\nroles = ["client"]  # where'
    )
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(TopologyError, match="app-paris has no PostgreSQL that could heed them"):
        load_topology(tmp_path / "mine.toml")


def test_the_settings_reach_patroni() -> None:
    settings = replace(
        load_builtin("three-sites").cluster,
        maximum_lag_on_syncnode_bytes=4096,
        member_slots_ttl_s=0,
    )
    found = dynamic_settings(settings)
    assert found["maximum_lag_on_syncnode"] == 4096
    assert found["member_slots_ttl"] == 0


def test_the_shape_of_a_topology_has_its_tags(tmp_path: Path) -> None:
    read(tmp_path, "nosync = true")
    found = shape_of(load_topology(tmp_path / "mine.toml"))
    assert found.tags == {"db-orsay": NOSYNC}
    assert voters(found, "db-paris", frozenset(found.nodes)) == {"db-saint-cloud"}
