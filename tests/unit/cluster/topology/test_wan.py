"""Links between sites: read, written, refused; and the timings that follow from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import TopologyError
from cluster.topology.load import load_builtin, load_topology, to_toml, topology_source
from cluster.topology.traps import advice
from cluster.topology.wan import (
    PLAIN,
    EtcdTiming,
    Link,
    LinkQuality,
    Wan,
    etcd_timing,
    pairs,
    retry_timeout_s_min,
)

THREE = topology_source("three-sites")
FAR = LinkQuality(rtt_ms=300.0)

QUALITIES = st.builds(
    LinkQuality,
    rtt_ms=st.floats(100, 5000),
    jitter_ms=st.floats(0, 100),
    loss_percent=st.floats(0, 100),
    rate_mbit=st.none() | st.floats(0.01, 100_000),
)


def read(tmp_path: Path, more: str) -> Wan:
    path = tmp_path / "mine.toml"
    path.write_text(THREE + more)
    return load_topology(path).wan


def refusal(tmp_path: Path, more: str) -> str:
    with pytest.raises(TopologyError) as caught:
        read(tmp_path, more)
    return str(caught.value)


def test_without_a_word_the_sites_are_as_near_as_on_one_machine(tmp_path: Path) -> None:
    wan = read(tmp_path, "")
    assert wan == Wan()
    assert wan.between("paris", "orsay").is_plain
    assert wan.in_words(["paris", "orsay"]) == wan.in_words(["paris"]) == "no delay"


def test_a_link_says_what_differs_from_the_others(tmp_path: Path) -> None:
    wan = read(
        tmp_path,
        "[wan]\nrtt_ms = 5\njitter_ms = 0.5\nrate_mbit = 1000\n"
        '[[link]]\nbetween = ["orsay", "paris"]\nrtt_ms = 2\nloss_percent = 0.1\n',
    )
    assert wan.between("paris", "saint-cloud") == LinkQuality(
        rtt_ms=5, jitter_ms=0.5, rate_mbit=1000
    )
    near = LinkQuality(rtt_ms=2, jitter_ms=0.5, loss_percent=0.1, rate_mbit=1000)
    assert wan.between("paris", "orsay") == wan.between("orsay", "paris") == near
    assert near.needs_single_packets
    assert wan.in_words(["paris", "orsay", "saint-cloud"]) == (
        "paris-orsay: round trip 2 ms, jitter 0.5 ms, loss 0.1 %, 1000 Mbit/s; paris-saint-cloud, "
        "orsay-saint-cloud: round trip 5 ms, jitter 0.5 ms, 1000 Mbit/s"
    )


@given(default=QUALITIES, quality=QUALITIES)
def test_to_toml_writes_what_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, default: LinkQuality, quality: LinkQuality
) -> None:
    if default.rate_mbit is not None and quality.rate_mbit is None:
        quality = replace(quality, rate_mbit=1.0)  # no link can be freer than all are
    link = Link(between=("paris", "orsay"), quality=quality)
    topology = replace(load_builtin("three-sites"), wan=Wan(default=default, links=(link,)))
    path = tmp_path_factory.mktemp("toml") / "t.toml"
    path.write_text(to_toml(topology))
    assert load_topology(path) == topology


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("[wan]\nrtt = 1\n", "wan.rtt: unknown key; did you mean rtt_ms?"),
        ("[wan]\nrtt_ms = 5001\n", "wan.rtt_ms: expected a number from 0 to 5000; found 5001"),
        ("[wan]\nrate_mbit = 0\n", "wan.rate_mbit: expected a number from 0.01 to 100000; found 0"),
        ("[wan]\nrtt_ms = 1\njitter_ms = 2\n", "wan.jitter_ms: expected at most rtt_ms = 1"),
        ("[[link]]\nrtt_ms = 1\n", "link[0].between: missing key; expected a list of names"),
        ('[[link]]\nbetween = ["paris"]\n', "link[0].between: expected two sites; found paris"),
        ('[[link]]\nbetween = ["paris", "paris"]\n', "link[0].between: expected two sites"),
        ('[[link]]\nbetween = ["paris", "lyon"]\n', "link[0].between: there is no site lyon"),
        ('[[link]]\nbetween = ["Paris", "orsay"]\n', "link[0].between[0]: expected a name"),
        (
            '[[link]]\nbetween = ["paris", "orsay"]\n[[link]]\nbetween = ["orsay", "paris"]\n',
            "link[1].between: orsay and paris have their link already: link[0]",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, more: str, words: str) -> None:
    assert words in refusal(tmp_path, more)


def test_a_disturbance_comes_on_top_of_what_a_link_is() -> None:
    link = LinkQuality(rtt_ms=5, jitter_ms=1, loss_percent=10, rate_mbit=100)
    more = LinkQuality(rtt_ms=100, jitter_ms=20, loss_percent=50, rate_mbit=1000)
    assert link.worsened(more) == LinkQuality(
        rtt_ms=105, jitter_ms=21, loss_percent=55, rate_mbit=100
    )
    assert PLAIN.worsened(more) == more
    assert link.worsened(PLAIN) == link


@given(QUALITIES, QUALITIES)
def test_the_order_of_disturbances_makes_no_difference(
    one: LinkQuality, other: LinkQuality
) -> None:
    assert one.worsened(other) == other.worsened(one)


def test_every_two_sites_are_a_link() -> None:
    assert list(pairs("abc")) == [("a", "b"), ("a", "c"), ("b", "c")]
    assert load_builtin("three-sites").links[-1] == ("orsay", "saint-cloud")


@pytest.mark.parametrize(
    ("rtt_ms", "heartbeat_ms", "election_ms", "retry_timeout_s"),
    [
        (0, 100, 1000, 2),
        (22, 100, 1000, 2),
        (100, 100, 1000, 2),
        (130.5, 131, 1310, 3),
        (400, 400, 4000, 8),
        (5000, 5000, 50_000, 100),
        (9000, 9000, 50_000, 100),
    ],
)
def test_etcds_timing_follows_the_round_trip_where_its_defaults_do_not_suffice(
    rtt_ms: float, heartbeat_ms: int, election_ms: int, retry_timeout_s: int
) -> None:
    found = etcd_timing(rtt_ms)
    assert found == EtcdTiming(heartbeat_ms=heartbeat_ms, election_ms=election_ms)
    assert retry_timeout_s_min(found) == retry_timeout_s


@pytest.mark.parametrize(
    ("rtt_ms", "heartbeat_ms", "election_ms"), [(0, 50, 500), (22, 50, 500), (70, 70, 700)]
)
def test_with_witnesses_etcd_elects_sooner_as_far_as_the_round_trip_allows(
    rtt_ms: float, heartbeat_ms: int, election_ms: int
) -> None:
    found = etcd_timing(rtt_ms, has_witnesses=True)
    assert found == EtcdTiming(heartbeat_ms=heartbeat_ms, election_ms=election_ms)


def test_the_longest_round_trip_is_that_between_sites_with_the_role() -> None:
    cloud = load_builtin("on-premise-and-cloud")
    assert cloud.rtt_ms_max("etcd") == cloud.rtt_ms_max("postgres") == 22.0
    assert cloud.rtt_ms_max("client") == 1.0
    assert load_builtin("three-sites").rtt_ms_max("etcd") == 0.0


def test_a_retry_timeout_below_an_election_is_a_known_trap() -> None:
    three = load_builtin("three-sites")
    assert advice(replace(three, wan=Wan(default=LinkQuality(rtt_ms=100)))) == []
    [trap] = advice(replace(three, wan=Wan(default=FAR)))
    assert "etcd's members are up to 300 ms apart, so their election timeout is 3000 ms" in trap
    assert "with at least 6" in trap
