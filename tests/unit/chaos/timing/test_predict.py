"""What topology and settings predict of every fault, against what was worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.evidence.planned import planned_run

from chaos.faults.base import NO_PARAMS
from chaos.faults.process import ProcessKillParams
from chaos.faults.targets import layout_of, parse_target
from chaos.scenarios.load import builtin_scenarios
from chaos.scenarios.model import FaultStep
from chaos.timing.durations import Clock
from chaos.timing.model import Prediction
from chaos.timing.predict import predict
from chaos.timing.settings import shape_of_run
from cluster.topology.load import builtin_topologies
from cluster.topology.model import Host, Site, Topology
from cluster.topology.quorum import (
    Shape,
    shape_of,
    votes_needed,
    why_no_majority,
    why_nobody_acknowledges,
    why_nobody_leads,
)

CLOCK = Clock(ttl_s=20.0, loop_wait_s=5.0)
HEAL_S = 60.0
Want = Literal["returns", "none-until-healed", "goes-on"]
TOPOLOGIES = {topology.name: topology for topology in builtin_topologies()}
SCENARIOS = {scenario.name: scenario for scenario in builtin_scenarios()}


def _topology(
    *sites: tuple[str, ...], durability: Literal["quorum", "async"] = "quorum"
) -> Topology:
    """A site for each tuple, a host for each text, a role for each of its words."""
    made = tuple(
        Site(
            name=f"s{number}",
            hosts=tuple(
                Host(name=f"{text.replace(' ', '-')}-{number}{index}", roles=tuple(text.split()))  # type: ignore[arg-type]
                for index, text in enumerate(hosts)
            ),
        )
        for number, hosts in enumerate(sites)
    )
    cluster = replace(TOPOLOGIES["three-sites"].cluster, durability=durability, witness=False)
    return Topology(name="made", title="Made", sites=made, cluster=cluster)


APART = ("postgres", "etcd", "client")
TWO_AND_WITNESS = _topology(APART, APART, ("etcd",))
ALONE = _topology(("postgres", "etcd", "client"), ("etcd",), ("etcd",), durability="async")
TOGETHER = _topology(*[("postgres etcd", "client")] * 3)
LONE_ETCD = _topology(("postgres etcd", "client"), ("postgres", "client"), ("postgres", "client"))
WITH_CLIENT = _topology(*[("postgres client", "etcd")] * 3)


def _async(topology: Topology) -> Topology:
    return replace(topology, cluster=replace(topology.cluster, durability="async"))


def _shape(topology: Topology) -> Shape:
    found = shape_of_run(planned_run(topology, SCENARIOS["steady"]))
    assert found == shape_of(topology)  # nothing of it is lost in a run folder
    return found


def _found(topology: Topology, *faults: FaultStep, heal_s: float = HEAL_S) -> Prediction | None:
    return predict(
        _shape(topology), CLOCK, faults, layout=layout_of(topology), seed=1, heal_s=heal_s
    )


def _fault(name: str, target: str = "primary", at_s: float = 0.0) -> FaultStep:
    found = parse_target(target)
    assert found is not None
    params = ProcessKillParams(process="postgres") if name == "process-kill" else NO_PARAMS
    return FaultStep(fault=name, target=found, at_s=at_s, params=params)


FAULTS: dict[str, FaultStep] = {
    "power": _fault("host-power-cut"),
    "link": _fault("link-cut"),
    "kill": _fault("process-kill"),
    "switchover": _fault("switchover"),
    "power replicas": _fault("host-power-cut", "replicas"),
    "link replicas": _fault("link-cut", "replicas"),
    "kill replicas": _fault("process-kill", "replicas"),
}
RETURNS, NONE, ON = "returns", "none-until-healed", "goes-on"

# topology: power, link, kill, switchover of the primary; power, link, kill of the replicas
MATRIX: dict[str, tuple[Topology, tuple[str, ...]]] = {
    "three-sites": (
        TOPOLOGIES["three-sites"],
        (RETURNS, RETURNS, RETURNS, RETURNS, NONE, NONE, RETURNS),
    ),
    "three-sites-two-each": (
        TOPOLOGIES["three-sites-two-each"],
        (RETURNS, RETURNS, RETURNS, RETURNS, NONE, NONE, RETURNS),
    ),
    "two-sites-witness": (
        TOPOLOGIES["two-sites-witness"],
        (RETURNS, RETURNS, RETURNS, RETURNS, NONE, NONE, RETURNS),
    ),
    "three-sites, async": (
        _async(TOPOLOGIES["three-sites"]),
        (RETURNS, RETURNS, RETURNS, RETURNS, ON, ON, ON),
    ),
    "two-sites-witness, async": (
        _async(TOPOLOGIES["two-sites-witness"]),
        (RETURNS, RETURNS, RETURNS, RETURNS, ON, ON, ON),
    ),
    "two PostgreSQL and a witness": (
        TWO_AND_WITNESS,
        (NONE, NONE, RETURNS, RETURNS, NONE, NONE, RETURNS),
    ),
    "two PostgreSQL and a witness, async": (
        _async(TWO_AND_WITNESS),
        (RETURNS, RETURNS, RETURNS, RETURNS, ON, ON, ON),
    ),
    "one PostgreSQL": (ALONE, (NONE, NONE, RETURNS, ON, ON, ON, ON)),
    "etcd on the same hosts": (
        TOGETHER,
        (RETURNS, RETURNS, RETURNS, RETURNS, NONE, NONE, RETURNS),
    ),
    "etcd on the same hosts, async": (
        _async(TOGETHER),
        (RETURNS, RETURNS, RETURNS, RETURNS, NONE, NONE, ON),
    ),
    "the only etcd on one of them": (
        LONE_ETCD,
        (NONE, NONE, RETURNS, RETURNS, NONE, NONE, RETURNS),
    ),
    "clients on the same hosts": (
        WITH_CLIENT,
        (NONE, NONE, RETURNS, RETURNS, NONE, NONE, RETURNS),
    ),
    "clients on the same hosts, async": (
        _async(WITH_CLIENT),
        (NONE, NONE, RETURNS, RETURNS, NONE, NONE, ON),
    ),
}
CELLS = [
    pytest.param(topology, FAULTS[fault], want, id=f"{name}: {fault}")
    for name, (topology, wants) in MATRIX.items()
    for fault, want in zip(FAULTS, wants, strict=True)
]


@pytest.mark.parametrize(("topology", "fault", "want"), CELLS)
def test_every_fault_on_every_topology(topology: Topology, fault: FaultStep, want: Want) -> None:
    found = _found(topology, fault)
    assert found is not None
    assert found.service == want
    assert 0.0 <= found.low_s <= found.high_s
    if want == "none-until-healed":
        assert found.low_s == HEAL_S - found.begins_within_s
        assert found.words.startswith("No service until healed: ")
    if want == "goes-on":
        assert found.high_s < 1.0


def test_the_loss_of_a_replica_may_be_that_of_the_named_one() -> None:
    """Any of the others confirms under quorum; a named one must be replaced first."""
    named = TOPOLOGIES["two-sites-named-standby"]
    lost = _fault("host-power-cut", "replica")
    found = _found(named, lost)
    assert found is not None
    assert (found.low_s, found.service) == (0.0, "returns")
    assert CLOCK.ttl_s + CLOCK.loop_wait_s <= found.high_s < 2 * CLOCK.ttl_s
    assert "until its key has expired (ttl 20 s) and Patroni names another" in found.words
    crashed = _found(named, _fault("process-kill", "replica"))
    assert crashed is not None
    assert crashed.service == "returns"
    for fault in (lost, _fault("process-kill", "replica")):
        other = _found(TOPOLOGIES["two-sites-witness"], fault)
        assert other is not None
        assert other.service == "goes-on"
    etcd = _found(named, _fault("host-power-cut", "host:dcs-orsay"))
    assert etcd is not None
    assert etcd.service == "goes-on"


@pytest.mark.parametrize(
    ("topology", "fault", "words"),
    [
        (TWO_AND_WITNESS, "power", "of 2 PostgreSQL only one can be reached, and with durability"),
        (TWO_AND_WITNESS, "link replicas", "acknowledges nothing until a replica is back"),
        (ALONE, "power", "there is no other PostgreSQL that could take over"),
        (LONE_ETCD, "power", "1 of 1 etcd members is out of reach: no majority"),
        (_async(TOGETHER), "link replicas", "2 of 3 etcd members are out of reach"),
        (WITH_CLIENT, "link", "the client of s0 is on a host that nobody can reach"),
    ],
)
def test_the_reason_is_said(topology: Topology, fault: str, words: str) -> None:
    found = _found(topology, FAULTS[fault])
    assert found is not None
    assert words in found.words


def test_what_is_measured_in_seconds() -> None:
    three = TOPOLOGIES["three-sites"]

    def span(*faults: FaultStep, of: Topology = three) -> tuple[float, float] | None:
        found = _found(of, *faults)
        return None if found is None else (found.low_s, found.high_s)

    assert span() is None
    assert span(FAULTS["power"]) == (15.0, 29.0)
    assert span(FAULTS["switchover"]) == (0.0, 9.0)
    assert span(FAULTS["kill"]) == (5.0, 10.5)
    assert span(FAULTS["kill"], of=_async(three)) == (0.0, 10.5)
    assert span(FAULTS["kill replicas"]) == (0.0, 10.5)
    assert span(FAULTS["switchover"], FAULTS["power"]) == (15.0, 29.0)
    # etcd's leader may have been on the lost host: its election, and the lease begins anew
    assert span(FAULTS["power"], of=TOGETHER) == (15.0, 32.0)


def test_a_host_that_is_back_before_its_key_has_expired_may_lead_on() -> None:
    blip = _found(TOPOLOGIES["three-sites"], replace(FAULTS["link"], heal_at_s=5.0))
    assert blip is not None
    assert (blip.service, blip.low_s, blip.high_s) == ("returns", 5.0, 29.0)
    short = _found(TOPOLOGIES["three-sites"], FAULTS["power"], heal_s=3.0)
    assert short is not None
    assert short.low_s == 3.0


def test_nobody_is_elected_before_the_replicas_are_within_reach() -> None:
    """``async-loss``: the replicas are cut off, then the primary dies."""
    three = _async(TOPOLOGIES["three-sites"])
    cut, late = replace(FAULTS["link replicas"], heal_at_s=40.0), _fault("host-power-cut", at_s=5.0)
    found = _found(three, cut, late)
    assert found is not None
    assert (found.service, found.low_s, found.high_s) == ("returns", 35.0, 44.0)
    assert "those that none had are lost" in found.words
    assert "in the first 35 s: every PostgreSQL that could take over is out of reach" in found.words
    early = _found(three, replace(cut, heal_at_s=7.0), late)
    assert early is not None
    assert (early.low_s, early.high_s) == (15.0, 29.0)
    never = _found(three, replace(cut, heal_at_s=None), late)
    assert never is not None
    assert (never.service, never.low_s) == ("none-until-healed", 55.0)


def test_an_outage_that_meets_another_begins_with_the_first() -> None:
    three = TOPOLOGIES["three-sites"]
    cut, late = replace(FAULTS["link replicas"], heal_at_s=7.0), _fault("host-power-cut", at_s=5.0)
    found = _found(three, cut, late)
    assert found is not None  # commits wait from 0 on, the election is due 15 to 29 s after 5
    assert (found.service, found.low_s, found.high_s) == ("returns", 20.0, 34.0)


def test_a_second_loss_can_be_one_too_many() -> None:
    first, second = FAULTS["power"], _fault("host-power-cut", at_s=40.0)
    three = _found(TOPOLOGIES["three-sites"], first, second)
    assert three is not None
    assert three.service == "none-until-healed"  # one PostgreSQL is left
    six = _found(TOPOLOGIES["three-sites-two-each"], first, second)
    assert six is not None
    assert six.service == "returns"


def test_a_primary_that_loses_the_dcs_serves_until_it_gives_up() -> None:
    """With clients of its own and no need of replicas."""
    found = _found(_async(TOGETHER), FAULTS["link replicas"])
    assert found is not None
    assert found.begins_within_s == CLOCK.ttl_s
    assert found.low_s == HEAL_S - CLOCK.ttl_s
    silent = _found(TOGETHER, FAULTS["link replicas"])
    assert silent is not None
    assert silent.begins_within_s == 0.0  # commits wait at once


names = st.lists(st.sampled_from([f"n{i}" for i in range(7)]), min_size=2, unique=True)


@given(
    nodes=names, down=st.sets(st.sampled_from([f"n{i}" for i in range(7)])), count=st.integers(1, 6)
)
def test_whoever_is_elected_has_every_acknowledged_commit(
    nodes: list[str], down: set[str], count: int
) -> None:
    """Any ``numsync`` replicas have a commit: any set that may elect shares one with them."""
    primary, *replicas = nodes
    shape = Shape(
        nodes=tuple(nodes),
        etcd=(),
        clients={},
        waits_for_standby=True,
        synchronous_node_count=count,
    )
    voters = frozenset(replicas)
    needed = votes_needed(shape, len(voters))
    copies = min(count, len(voters))
    assert needed + copies == len(voters) + 1
    gone = frozenset(down | {primary})
    can_lead = not why_nobody_leads(shape, gone, primary=primary, known=voters)
    assert can_lead == (len(voters - gone) >= needed)
    alone = not voters - gone
    assert bool(why_nobody_acknowledges(shape, gone, primary)) == alone


@pytest.mark.parametrize(
    ("members", "lost", "decides"),
    [(1, 1, False), (3, 1, True), (3, 2, False), (5, 2, True), (4, 2, False), (0, 0, True)],
)
def test_a_majority_of_etcd_is_needed(members: int, lost: int, decides: bool) -> None:
    etcd = tuple(f"e{i}" for i in range(members))
    shape = Shape(nodes=("n",), etcd=etcd, clients={}, waits_for_standby=False)
    assert (not why_no_majority(shape, frozenset(etcd[:lost]))) == decides


def test_a_site_that_is_cut_off_is_without_service_alone() -> None:
    three = TOPOLOGIES["three-sites"]
    for target, sites in (
        ("site-of:primary", {"paris", "orsay", "saint-cloud"}),
        ("site:orsay", {"orsay"}),
    ):
        found = _found(three, _fault("site-cut", target))
        assert found is not None
        assert (found.service, found.low_s) == ("none-until-healed", HEAL_S)
        assert len(found.sites) == 1
        assert set(found.sites) <= sites
        assert found.begins_within_s == 0.0  # commits wait for a replica elsewhere
        assert found.elsewhere is not None
        lost = target == "site-of:primary"
        assert found.of_rto.service == ("returns" if lost else "goes-on")
        assert f"{found.sites[0]} cannot reach the side that has a majority" in found.words


def test_a_primary_that_is_cut_off_with_a_replica_serves_its_site_until_it_gives_up() -> None:
    found = _found(TOPOLOGIES["three-sites-two-each"], _fault("site-cut", "site-of:primary"))
    assert found is not None
    assert found.service == "none-until-healed"
    assert found.begins_within_s == CLOCK.ttl_s
    assert found.low_s == HEAL_S - CLOCK.ttl_s


def test_of_two_sides_the_one_with_a_majority_of_etcd_goes_on() -> None:
    """Whichever of them is said to be cut off."""
    lone = _topology(("postgres", "etcd", "etcd", "etcd"), ("postgres", "client"), ("client",))
    found = _found(_async(lone), _fault("site-cut", "site:s0"))
    assert found is not None
    assert found.sites == ("s1", "s2")  # both are without the primary
    found = _found(_async(lone), _fault("site-cut", "site:s2"))
    assert found is not None
    assert found.sites == ("s2",)


@pytest.mark.parametrize("fault", ["host-power-cut", "link-cut", "process-kill"])
def test_the_loss_of_one_replica_of_two_interrupts_nothing(fault: str) -> None:
    three = TOPOLOGIES["three-sites"]
    found = predict(
        _shape(three),
        CLOCK,
        [_fault(fault, "host:db-orsay")],
        layout=layout_of(three),
        seed=1,
        heal_s=HEAL_S,
        primary="db-paris",
    )
    assert found is not None
    assert (found.service, found.words) == (
        "goes-on",
        "The primary goes on: a replica in reach confirms what it commits.",
    )


def test_what_is_left_to_chance_is_predicted_as_the_seed_draws_it() -> None:
    three = TOPOLOGIES["three-sites"]
    seen = {
        found.service
        for seed in range(20)
        for found in [
            predict(
                _shape(three),
                CLOCK,
                [_fault("link-cut", "any")],
                layout=layout_of(three),
                seed=seed,
                heal_s=HEAL_S,
                primary="db-paris",
            )
        ]
        if found is not None
    }
    assert seen == {"goes-on", "returns"}


def test_of_what_follows_on_events_nothing_is_predicted() -> None:
    first = _fault("host-power-cut", at_s=0.0)
    three = TOPOLOGIES["three-sites"]
    for step in (
        replace(first, heal_on="first-acknowledged"),
        replace(first, heal_after_s=3.0),
        replace(first, on="whole"),
    ):
        assert (
            predict(
                shape_of(three), CLOCK, [first, step], layout=layout_of(three), seed=1, heal_s=60.0
            )
            is None
        )


def test_who_leads_etcd_is_not_known_before_it_is_struck_but_a_majority_is() -> None:
    three = TOPOLOGIES["three-sites"]
    assert _found(three, _fault("host-power-cut", "dcs-leader")) is None
    assert _found(three, _fault("host-power-cut", "dcs-member")) is None
    for target in ("dcs-majority", "dcs-all"):
        found = _found(three, _fault("host-power-cut", target))
        assert found is not None
        assert found.service == NONE
        assert "no majority is left" in found.words
