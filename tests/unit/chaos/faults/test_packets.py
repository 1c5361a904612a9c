"""Faults that drop packets: which ones, and what test packets prove, on a machine of paper."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import anyio
import anyio.lowlevel
import pytest

from chaos.decode import decode
from chaos.errors import AbilityError, FormatError
from chaos.faults.base import Stage
from chaos.faults.book import Book, Stroke
from chaos.faults.packets import Way, proof
from chaos.faults.port_cut import PortCutParams
from chaos.faults.registry import FAULTS
from chaos.faults.targets import (
    Victim,
    chance,
    find_victim,
    hosts_of,
    layout_of,
    parse_target,
    resolve,
)
from cluster.errors import ClusterError
from cluster.substrates.base import DropRule, PacketProbe
from cluster.topology.load import find_topology

THREE = find_topology("three-sites")
PARIS = ("db-paris", "dcs-paris", "app-paris")
ORSAY = ("db-orsay", "dcs-orsay", "app-orsay")
SAINT_CLOUD = ("db-saint-cloud", "dcs-saint-cloud", "app-saint-cloud")
A = PARIS[:1]


class Paper:
    """Drops packets on paper, and counts what would arrive.

    Args:
        bites: what it drops of what it is told to, 0 to 1.
        dark: hosts that are silent anyway.
        spill: it drops everything else too.
    """

    topology = THREE

    def __init__(
        self, *, bites: float = 1.0, dark: Sequence[str] = (), spill: bool = False
    ) -> None:
        self.rules: dict[str, tuple[DropRule, ...]] = {}
        self._bites = bites
        self._dark = dark
        self._spill = spill

    async def drop_packets(self, name: str, rules: Sequence[DropRule]) -> None:
        self.rules[name] = tuple(rules)

    async def pass_packets(self, name: str) -> None:
        self.rules.pop(name, None)

    async def count_arrivals(
        self, probes: Sequence[PacketProbe], *, timeout_s: float
    ) -> tuple[int, ...]:
        await anyio.lowlevel.checkpoint()  # others strike meanwhile
        found = tuple(round(probe.packets * self._passing(probe)) for probe in probes)
        await anyio.lowlevel.checkpoint()
        return found

    def _passing(self, probe: PacketProbe) -> float:
        if {probe.source, probe.target} & set(self._dark) or (self._spill and self.rules):
            return 0.0
        return math.prod(
            1 - self._bites * rule.percent / 100
            for rules in self.rules.values()
            for rule in rules
            if probe.source in (rule.sources or (probe.source,))
            and probe.target in (rule.targets or (probe.target,))
            and probe.port in (rule.ports or (probe.port,))
        )


def stage(machine: object) -> Stage:
    return Stage(cluster=cast(Any, SimpleNamespace(substrate=machine)))


def strike(machine: Paper, key: str, target: str, params: Mapping[str, object]) -> str:
    kind = FAULTS[key]
    asked = parse_target(target)
    assert asked is not None
    [victim] = resolve(asked, layout_of(THREE), primary="db-paris", random=chance(1))
    return anyio.run(kind.strike, stage(machine), victim, decode(kind.params, params))


def strike_all(machine: Paper, key: str, names: Sequence[str]) -> dict[str, str]:
    """Strike several hosts in the same moment, as a drill does; by host, the words."""
    kind, layout, book = FAULTS[key], layout_of(THREE), Book()
    victims = [find_victim(name, layout) for name in names]
    words: dict[str, str] = {}

    async def one(victim: Victim) -> None:
        stroke = Stroke(kind=kind, victim=victim, params=kind.params())
        at_once = replace(stage(machine), struck=hosts_of(victims))
        words[victim.name] = await book.strike(at_once, stroke)

    async def every() -> None:
        async with anyio.create_task_group() as strikes:
            for victim in victims:
                strikes.start_soon(one, victim)

    anyio.run(every)
    return words


def undo(machine: object, key: str, target: str, params: Mapping[str, object]) -> str:
    kind = FAULTS[key]
    asked = parse_target(target)
    assert asked is not None
    [victim] = resolve(asked, layout_of(THREE), primary="db-paris", random=chance(1))
    return anyio.run(kind.undo, stage(machine), victim, decode(kind.params, params))


HEARS, SPEAKS = DropRule(targets=A), DropRule(sources=A)
CASES: list[tuple[str, str, dict[str, object], list[DropRule]]] = [
    ("link-cut-one-way", "primary", {"direction": "in"}, [HEARS]),
    ("link-cut-one-way", "primary", {"direction": "out"}, [SPEAKS]),
    (
        "link-loss",
        "primary",
        {"loss_percent": 12.5},
        [DropRule(targets=A, percent=12.5), DropRule(sources=A, percent=12.5)],
    ),
    (
        "port-cut",
        "primary",
        {"port": "etcd"},
        [DropRule(targets=A, ports=(2379, 2380)), DropRule(sources=A, ports=(2379, 2380))],
    ),
    (
        "port-cut",
        "primary",
        {},
        [DropRule(targets=A, ports=(5432,)), DropRule(sources=A, ports=(5432,))],
    ),
    (
        "port-cut",
        "primary",
        {"port": 7000},
        [DropRule(targets=A, ports=(7000,)), DropRule(sources=A, ports=(7000,))],
    ),
    (
        "site-cut-one-way",
        "site-of:primary",
        {},
        [DropRule(sources=(*ORSAY, *SAINT_CLOUD), targets=PARIS)],
    ),
    (
        "site-cut-one-way",
        "site:paris",
        {"direction": "out"},
        [DropRule(sources=PARIS, targets=(*ORSAY, *SAINT_CLOUD))],
    ),
    (
        "site-link-cut",
        "link:paris-saint-cloud",
        {},
        [
            DropRule(sources=PARIS, targets=SAINT_CLOUD),
            DropRule(sources=SAINT_CLOUD, targets=PARIS),
        ],
    ),
    (
        "site-link-cut",
        "link:orsay-paris",
        {"one_way": True},
        [DropRule(sources=ORSAY, targets=PARIS)],
    ),
]


@pytest.mark.parametrize(("key", "target", "params", "rules"), CASES)
def test_each_drops_what_it_says_proves_it_and_passes_it_again(
    key: str, target: str, params: dict[str, object], rules: list[DropRule]
) -> None:
    machine = Paper()
    words = strike(machine, key, target, params)
    assert "vanish" in words if "loss" in key else "none arrives" in words
    assert ("the rest passes" in words) == (key != "link-loss")
    [found] = machine.rules.values()
    assert list(found) == rules
    assert "pass again" in undo(machine, key, target, params)
    assert machine.rules == {}
    undo(machine, key, target, params)  # what never struck


@pytest.mark.parametrize(("key", "target", "params", "_"), CASES)
def test_each_fails_where_it_does_not_bite(
    key: str, target: str, params: dict[str, object], _: object
) -> None:
    with pytest.raises(ClusterError, match=r"still arrive|vanish, where"):
        strike(Paper(bites=0.0), key, target, params)


@pytest.mark.parametrize(("key", "target", "params", "_"), CASES)
def test_each_fails_where_more_vanishes_than_it_says(
    key: str, target: str, params: dict[str, object], _: object
) -> None:
    with pytest.raises(ClusterError, match=r"nothing arrives either|vanish, where"):
        strike(Paper(spill=True), key, target, params)


SEVERAL = [("db-paris", "db-orsay"), PARIS, (*PARIS, *ORSAY, "db-saint-cloud")]
FILTERING = ["link-cut-one-way", "link-loss", "port-cut"]


@pytest.mark.parametrize("names", SEVERAL)
@pytest.mark.parametrize("key", FILTERING)
def test_several_at_once_are_proved_by_hosts_that_nothing_strikes(
    key: str, names: Sequence[str]
) -> None:
    words = strike_all(Paper(), key, names)
    assert set(words) == set(names)
    for said in words.values():
        assert "none did before" not in said
        assert ("the rest passes" in said) == (key != "link-loss")


@pytest.mark.parametrize("names", SEVERAL)
@pytest.mark.parametrize("key", FILTERING)
def test_several_at_once_that_do_not_bite_or_spill_are_found(
    key: str, names: Sequence[str]
) -> None:
    for machine in (Paper(bites=0.0), Paper(spill=True)):
        with pytest.raises(ExceptionGroup) as found:
            strike_all(machine, key, names)
        assert found.group_contains(ClusterError)


@pytest.mark.parametrize("key", FILTERING)
def test_where_every_host_is_struck_nothing_is_left_to_show_what_passes(key: str) -> None:
    for said in strike_all(Paper(), key, layout_of(THREE).hosts).values():
        assert "the rest passes" not in said
        assert said.endswith("every other host is struck too") == (key != "link-loss")
    with pytest.raises(ExceptionGroup):
        strike_all(Paper(bites=0.0), key, layout_of(THREE).hosts)


def test_one_after_the_other_is_proved_by_hosts_that_nothing_struck_before() -> None:
    machine, book, layout = Paper(), Book(), layout_of(THREE)
    kind = FAULTS["link-loss"]
    for name in PARIS:
        victim = find_victim(name, layout)
        stroke = Stroke(kind=kind, victim=victim, params=kind.params())
        words = anyio.run(book.strike, stage(machine), stroke)
        lost = [int(said.split()[-2]) for said in words.split("; ")]
        assert all(190 <= one <= 210 for one in lost), words  # a fifth, and not the share of two


def test_what_was_silent_before_is_said_to_have_been() -> None:
    words = strike(Paper(dark=A), "link-cut-one-way", "primary", {})
    assert words == "of 8 test packets to db-paris none arrives, and none did before"


def test_two_cuts_of_one_host_are_two() -> None:
    machine = Paper()
    for direction in ("in", "out"):
        strike(machine, "link-cut-one-way", "primary", {"direction": direction})
    undo(machine, "link-cut-one-way", "primary", {"direction": "in"})
    assert list(machine.rules.values()) == [(SPEAKS,)]


def test_a_share_is_proved_within_what_chance_allows() -> None:
    way = Way(words="to a", rule=DropRule(targets=("a",), percent=30.0))
    for lost in (240, 300, 360):  # five standard deviations are 72 of 1000
        words = proof(way, sent=1000, before=1000, after=1000 - lost)
        assert words == f"of 1000 test packets to a {lost} vanish"
    for lost in (0, 200, 400, 1000):
        with pytest.raises(ClusterError, match=rf"{lost} vanish, where 30 % should"):
            proof(way, sent=1000, before=1000, after=1000 - lost)


def test_a_machine_that_cannot_is_told_of() -> None:
    with pytest.raises(AbilityError, match="cannot send-probes"):
        strike(cast(Paper, SimpleNamespace(topology=THREE)), "link-loss", "primary", {})


class Cable:
    """Says that it pulls cables; may lie."""

    topology = THREE

    def __init__(self, arriving: int) -> None:
        self._arriving = arriving

    async def move(self, *_: object, **__: object) -> int:
        return 3

    cut_link = heal_link = cut_site = heal_site = flap_link = steady_link = move

    async def count_arrivals(
        self, probes: Sequence[PacketProbe], *, timeout_s: float
    ) -> tuple[int, ...]:
        return (self._arriving,) * len(probes)


@pytest.mark.parametrize(
    ("key", "target", "words"),
    [
        ("link-cut", "primary", "of 16 test packets to db-paris and from db-paris none arrives"),
        ("link-flap", "primary", "of 16 test packets to db-paris and from db-paris none arrives"),
        ("site-cut", "site:paris", "of 12 test packets to paris and from paris none arrives"),
    ],
)
def test_a_pulled_cable_is_proved_too(key: str, target: str, words: str) -> None:
    assert strike(cast(Paper, Cable(0)), key, target, {}).endswith(f"; {words}")
    with pytest.raises(ClusterError, match="still arrive"):
        strike(cast(Paper, Cable(1)), key, target, {})


def test_a_flapping_cable_says_how_often_it_was_out() -> None:
    words = undo(Cable(0), "link-flap", "primary", {})
    assert words == "the cable stays in; it was out 3 times"


@pytest.mark.parametrize(
    ("key", "params"),
    [
        ("link-loss", {"loss_percent": 0.5}),
        ("link-loss", {"loss_percent": 91}),
        ("link-flap", {"down_s": 0.2}),
        ("link-flap", {"up_s": 601.0}),
        ("link-cut-one-way", {"direction": "up"}),
        ("port-cut", {"port": "mysql"}),
        ("port-cut", {"port": 0}),
        ("port-cut", {"port": 65536}),
        ("port-cut", {"port": True}),
        ("site-link-cut", {"one_way": "yes"}),
    ],
)
def test_parameters_out_of_range_are_refused(key: str, params: dict[str, object]) -> None:
    with pytest.raises(FormatError, match=next(iter(params))):
        decode(FAULTS[key].params, params)


def test_a_port_may_be_a_number() -> None:
    assert decode(PortCutParams, {"port": 5433}) == PortCutParams(port=5433)
    assert decode(PortCutParams, {"port": "patroni"}) == PortCutParams(port="patroni")
