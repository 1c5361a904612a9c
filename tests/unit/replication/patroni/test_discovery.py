"""Answers to ``GET /cluster`` as Patroni 4.1 gives them (``patroni/utils.py``, cluster_as_json)."""

from __future__ import annotations

import json

import pytest
from patroni.dcs import Cluster, ClusterConfig, Status, SyncState
from patroni.dcs import Member as PatroniMember
from patroni.utils import cluster_as_json

from replication.patroni.answers import NoMembers, read_cluster
from replication.patroni.discovery import parse_cluster
from replication.patroni.members import Member, base_url


def answer(*members: PatroniMember) -> bytes:
    """What Patroni itself makes of its keys."""
    cluster = Cluster(
        "7571",
        ClusterConfig(1, {"synchronous_mode": "quorum"}, 1),
        None,
        Status.empty(),
        list(members),
        None,
        SyncState.empty(),
        None,
        None,
        {},
    )
    return json.dumps({**cluster_as_json(cluster), "scope": "warehouse"}).encode()


def keys(name: str, **data: object) -> PatroniMember:
    """A member by what it wrote to the DCS."""
    return PatroniMember.from_node(1, name, "session", json.dumps(data))


RUNNING = {"state": "running", "role": "replica", "timeline": 3, "xlog_location": 67108864}


def test_members_with_and_without_a_site() -> None:
    body = answer(
        keys(
            "db-b",
            conn_url="postgres://10.0.0.2:5433/postgres",
            api_url="https://10.0.0.2:8008/patroni",
            tags={"site": "orsay", "nofailover": True},
            **RUNNING,
        ),
        keys(
            "db-a",
            conn_url="postgres://[fd00::1]:5432/postgres",
            api_url="http://[fd00::1]:8008/patroni",
            tags={"site": 75},
            **RUNNING,
        ),
        keys(
            "db-c",
            conn_url="postgres://db3/postgres",
            api_url="http://db3:8008/patroni",
            **RUNNING,
        ),
    )
    assert parse_cluster(body) == read_cluster(body).members
    assert read_cluster(body).members == (
        Member(name="db-a", rest_url="http://[fd00::1]:8008", host="fd00::1", port=5432, site="75"),
        Member(
            name="db-b", rest_url="https://10.0.0.2:8008", host="10.0.0.2", port=5433, site="orsay"
        ),
        Member(name="db-c", rest_url="http://db3:8008", host="db3", port=5432),
    )


def test_members_without_an_address_are_left_out() -> None:
    starting = keys("db-b", state="starting", api_url="http://db2:8008/patroni")
    silent = keys("db-c", conn_url="postgres://db3:5432/postgres", state="running")
    ready = keys("db-a", conn_url="postgres://db1:5432/postgres", api_url="http://db1:8008/patroni")
    assert [member.name for member in read_cluster(answer(starting, silent, ready)).members] == [
        "db-a"
    ]
    with pytest.raises(NoMembers, match="knows 2 members, none with an address yet"):
        read_cluster(answer(starting, silent))
    with pytest.raises(NoMembers, match="knows 0 members"):
        read_cluster(answer())


def test_addresses_without_a_host_are_none() -> None:
    """The answer of patroni issue 2713, and what else one member of a list may be."""
    broken = [
        {"name": "a", "api_url": "http://db1:8008/patroni", "host": "db1", "port": 5432, "lag": 1},
        {"name": "b", "api_url": "http://:8008/patroni", "role": "leader", "timeline": None},
        {"name": "c", "api_url": "http://:8008/patroni", "host": "db3", "port": 5432},
        {"name": "d", "api_url": None, "host": "db4", "port": 5432, "tags": None},
        {"name": "e", "api_url": "http://db5:8008/patroni", "host": "db5,db6", "port": 5432},
        {"name": "f", "api_url": "http://db6:8008/patroni", "host": "db6", "port": 70000},
        {"name": "g", "api_url": "http://db7:8008/patroni", "host": "db7", "port": "x"},
        {"api_url": "http://db8:8008/patroni", "host": "db8", "port": 5432},
        "h",
    ]
    found = read_cluster(json.dumps({"members": broken, "scope": "warehouse"}).encode())
    assert [member.name for member in found.members] == ["a"]
    assert found.scope == "warehouse"
    assert found.left_out == (
        "b is left out: Patroni names no address of its PostgreSQL",
        "c is left out: Patroni names no address of its REST API",
        "d is left out: Patroni names no address of its REST API",
        "e is left out: Patroni names no address of its PostgreSQL",
        "f is left out: Patroni names no address of its PostgreSQL",
        "member 7 is left out: Patroni's answer is wrong (port)",
        "member 8 is left out: Patroni's answer is wrong (name)",
        "member 9 is left out: Patroni's answer is wrong (all of it)",
    )


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "answered no list of members"),
        (b"<html>", "answered no list of members"),
        (b"[]", "answered no list of members"),
        (b'{"state": "running"}', r"answered no list of members \(members\)"),
        (b'{"members": [{"host": "db1"}]}', r"\(members\.0\.name\)"),
        (b'{"members": [{"name": "a", "port": "x"}]}', r"\(members\.0\.port\)"),
    ],
)
def test_what_is_no_such_answer(body: bytes, words: str) -> None:
    with pytest.raises(NoMembers, match=words):
        read_cluster(body)


@pytest.mark.parametrize(
    ("text", "base"),
    [
        ("http://db1:8008", "http://db1:8008"),
        ("https://db1:8008/", "https://db1:8008"),
        ("HTTPS://db1", "https://db1"),
        ("http://[fd00::1]:8008", "http://[fd00::1]:8008"),
    ],
)
def test_addresses(text: str, base: str) -> None:
    assert base_url(text) == base


@pytest.mark.parametrize(
    "text",
    [
        *("", "db1:8008", "ftp://db1", "http://", "http://:8008", "http://db1:0"),
        *(
            "http://db1:99999",
            "http://db1:x",
            "http://db1/patroni",
            "http://db1?a=b",
            "http://db1#a",
        ),
        *("http://me:hunter2@db1", "http://d b1", "http://db1\n", "http://dé1", "http://[db1"),
    ],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="expected an address as https://db1:8008") as caught:
        base_url(text)
    assert "hunter2" not in str(caught.value)
