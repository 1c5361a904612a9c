"""The keys of a cluster and of its witnesses, as values."""

from __future__ import annotations

import json

import pytest

from replication.config.settings import Dcs
from replication.witness.keys import KeyNames, KeyValue, Reading, key_range

DCS = Dcs(endpoints=("http://etcd1:2379",), scope="eds", namespace="/service/")
NAMES = KeyNames(DCS)


def read(**values: str) -> Reading:
    """``values`` by the names below Patroni's prefix, ``__`` for a slash; revisions count up."""
    found = [
        KeyValue(
            key=f"/service/eds/{name.replace('__', '/')}", value=value, revision=7 + n, lease_id=9
        )
        for n, (name, value) in enumerate(values.items())
    ]
    return NAMES.read(found, read_s=1.5)


def test_what_patroni_writes_is_read() -> None:
    member = {
        "conn_url": "postgres://[fd00::1]:6432/postgres",
        "api_url": "https://db1.example:8009/patroni",
        "state": "running",
        "tags": {"nofailover": True, "site": 75},
    }
    reading = read(
        leader="db1",
        sync=json.dumps({"leader": "db1", "sync_standby": "db2,db3", "quorum": 1}),
        config=json.dumps({"synchronous_mode": "quorum", "synchronous_mode_strict": "on"}),
        history="[]",
        members__db1=json.dumps(member),
    )
    view = reading.view
    assert view.leader is not None
    assert (view.leader.member, view.leader.revision, view.leader.lease_id) == ("db1", 7, 9)
    assert view.sync is not None
    assert (view.sync.leader, view.sync.quorum) == ("db1", 1)
    assert view.sync.standbys == {"db2", "db3"}
    assert view.config is not None
    assert (view.config.synchronous_mode, view.config.is_strict) == ("quorum", True)
    assert (view.config.ttl_s, view.config.loop_wait_s) == (30.0, 10.0)
    assert (view.failover_revision, view.history_revision, view.read_s) == (None, 10, 1.5)
    [of_dcs] = view.members
    assert (of_dcs.has_api_url, of_dcs.is_nofailover, of_dcs.revision) == (True, True, 11)
    announced = reading.members["db1"]
    assert (announced.rest_url, announced.host, announced.port, announced.site) == (
        "https://db1.example:8009",
        "fd00::1",
        6432,
        "75",
    )


@pytest.mark.parametrize(
    ("said", "mode"),
    [(True, "on"), ("on", "on"), ("quorum", "quorum"), (False, "off"), (None, "off"), ("x", "off")],
)
def test_the_mode_is_read_as_patroni_reads_it(said: object, mode: str) -> None:
    config = read(config=json.dumps({"synchronous_mode": said})).view.config
    assert config is not None
    assert config.synchronous_mode == mode
    assert not config.is_strict


def test_pause_and_standby_clusters_are_seen() -> None:
    said = {"pause": True, "standby_cluster": {"host": "10.0.0.1"}}
    config = read(config=json.dumps(said)).view.config
    assert config is not None
    assert (config.is_paused, config.is_standby_cluster) == (True, True)


@pytest.mark.parametrize("nonsense", ["", "null", "[1]", "{", '{"quorum": "two"}', "[" * 20000])
def test_nonsense_is_no_standby_and_no_mode(nonsense: str) -> None:
    reading = read(sync=nonsense, config=nonsense, members__db1=nonsense)
    assert reading.view.sync is not None
    assert (reading.view.sync.leader, reading.view.sync.quorum) == (None, 0)
    assert reading.view.config is not None
    assert reading.view.config.synchronous_mode == "off"
    assert reading.members["db1"].rest_url is None


def test_absent_keys_are_none() -> None:
    view = read().view
    assert (view.leader, view.sync, view.config, view.members) == (None, None, None, ())


def vote_key(witness: str, names: KeyNames = NAMES) -> KeyValue:
    value = json.dumps({"site": "paris", "leader": "db1", "reason": "silent"})
    return KeyValue(key=names.vote(7, witness), value=value, revision=20, lease_id=5)


def test_votes_of_a_dry_run_are_another_kind() -> None:
    dry = KeyNames(DCS, is_dry=True)
    found = [vote_key("paris"), vote_key("orsay", dry)]
    assert [vote.witness for vote in NAMES.read(found, read_s=0).votes] == ["paris"]
    assert [vote.witness for vote in dry.read(found, read_s=0).votes] == ["orsay"]


def test_a_vote_and_an_act_that_make_no_sense_are_left_out() -> None:
    found = [
        KeyValue(key=f"{NAMES.votes}seven/paris", value="{}", revision=1, lease_id=0),
        KeyValue(key=NAMES.vote(7, "paris"), value="{}", revision=1, lease_id=0),
        KeyValue(
            key=NAMES.act(7), value='{"leader": "db1", "wall_s": "x"}', revision=1, lease_id=0
        ),
    ]
    reading = NAMES.read(found, read_s=0)
    assert (reading.votes, reading.acts) == ((), ())


def test_another_cluster_whose_name_begins_alike_is_not_ours() -> None:
    other = KeyValue(key="/service/eds-test/leader", value="db9", revision=1, lease_id=0)
    assert NAMES.read([other], read_s=0).view.leader is None
    assert key_range("/a/")["range_end"] == "L2Ew"  # "/a0": the byte after the slash
