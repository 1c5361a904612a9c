"""``link-slow``: its parameters, the links that it means, and what would refute that it struck."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from chaos.faults.link_slow import (
    DELAY_MS,
    LINK_SLOW,
    LinkSlowParams,
    effect,
    links_of,
    not_slowed,
    would_slow_nothing,
)
from chaos.faults.targets import Victim
from cluster.substrates.abilities import missing_abilities, name_of_ability
from cluster.substrates.base import LinkSeen
from cluster.substrates.docker.hosts import ContainerHosts
from cluster.topology.load import load_builtin
from cluster.topology.wan import PLAIN, LinkQuality

THREE = load_builtin("three-sites")


def seen(*rtts_ms: float, sent: int = 20) -> LinkSeen:
    return LinkSeen(
        between=("paris", "orsay"), asked=PLAIN, carrier="relay", sent=sent, rtts_ms=rtts_ms
    )


@pytest.mark.parametrize(
    ("name", "links"),
    [
        ("paris", [("paris", "orsay"), ("paris", "saint-cloud")]),
        ("orsay", [("paris", "orsay"), ("orsay", "saint-cloud")]),
        ("saint-cloud-orsay", [("orsay", "saint-cloud")]),
        ("orsay-saint-cloud", [("orsay", "saint-cloud")]),
    ],
)
def test_a_victim_is_a_link_or_all_links_of_a_site(name: str, links: list[tuple[str, str]]) -> None:
    assert list(links_of(Victim(name=name, hosts=()), THREE)) == links


def test_what_is_not_said_is_not_done_but_something_is() -> None:
    assert LinkSlowParams().quality == LinkQuality(rtt_ms=DELAY_MS)
    assert LinkSlowParams(loss_percent=3).quality == LinkQuality(loss_percent=3)


@pytest.mark.parametrize(
    ("params", "found"),
    [
        (LinkSlowParams(), "none"),
        (LinkSlowParams(delay_ms=400, jitter_ms=100), "none"),
        (LinkSlowParams(delay_ms=400, jitter_ms=101), "unpredicted"),
        (LinkSlowParams(loss_percent=1), "unpredicted"),
        (LinkSlowParams(rate_mbit=10), "unpredicted"),
    ],
)
def test_only_a_delay_that_etcd_bears_interrupts_nothing(
    params: LinkSlowParams, found: str
) -> None:
    assert effect(params) == found


def test_more_jitter_than_delay_is_refused() -> None:
    words = would_slow_nothing(LinkSlowParams(delay_ms=10, jitter_ms=11), THREE, ())
    assert words is not None
    assert "jitter_ms of at most its delay_ms = 10" in words
    assert would_slow_nothing(LinkSlowParams(), THREE, ()) is None


@pytest.mark.parametrize(
    ("before", "after", "more", "refuted"),
    [
        (seen(1.0), seen(101.0), LinkQuality(rtt_ms=100), False),
        (seen(1.0), seen(1.2), LinkQuality(rtt_ms=100), True),
        (seen(1.0), seen(), LinkQuality(rtt_ms=100), True),
        (seen(), seen(101.0), LinkQuality(rtt_ms=100), False),
        (seen(), seen(), LinkQuality(loss_percent=100), False),
        (seen(1.0, sent=1), seen(1.0, sent=1), LinkQuality(loss_percent=60), True),
        (seen(1.0), seen(1.0), LinkQuality(loss_percent=60), False),
        (seen(1.0), seen(1.0), LinkQuality(rate_mbit=10), False),
    ],
)
def test_a_measure_that_does_not_show_it_refutes_it(
    before: LinkSeen, after: LinkSeen, more: LinkQuality, refuted: bool
) -> None:
    assert (not_slowed(before, after, more) is not None) == refuted


def test_a_link_seen_tells_its_median_and_its_loss() -> None:
    assert str(seen(1.0, 2.0, 9.0, sent=4)) == (
        "paris-orsay: median round trip 2.0 ms, p95 9.0 ms, 1 of 4 lost"
    )
    assert str(seen(sent=4)) == "paris-orsay: none of 4 packets came back"


def test_containers_refuse_it_and_say_so() -> None:
    needs = [name_of_ability(need) for need in LINK_SLOW.needs]

    async def missing() -> list[str]:
        sites = ContainerHosts(THREE, folder=Path("/"), run="r", on_exit=lambda end: None)
        return missing_abilities(sites, needs)

    assert anyio.run(missing) == ["slow-link"]


def test_its_words() -> None:
    assert LINK_SLOW.words.clause(["paris"]) == "the WAN of paris became slow"
    assert LINK_SLOW.broken("paris-orsay", LinkSlowParams()) == "the WAN of paris-orsay is slow"
