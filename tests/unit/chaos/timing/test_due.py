"""When a site could not be served: from the events of a run, and held against the predictions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support.evidence.tiny import event, life, run, scenario, with_three_sites

from chaos.evidence.events import RunEvent
from chaos.evidence.run import Run
from chaos.faults.broken import broken_by
from chaos.faults.registry import FAULTS
from chaos.faults.targets import Layout, Target
from chaos.scenarios.model import FaultStep
from chaos.timing.due import due_parts, not_due
from chaos.timing.durations import Clock
from chaos.timing.model import NotDue, ServiceGap
from chaos.timing.predict import predict
from cluster.topology.promises import promise
from cluster.topology.quorum import Shape

SITES = ("paris", "orsay", "lyon")


def three(*events: RunEvent, leader: str = "db-paris", faults: tuple[FaultStep, ...] = ()) -> Run:
    """Three sites, each with PostgreSQL, etcd and a client, and these events."""
    led = event(-1.0, "leader-key", holder=leader, revision=1)
    judged = run(events=[*life(fault_s=10.0), led, *events], asked=scenario(faults=faults))
    return with_three_sites(judged)


def struck(t_s: float, fault: str, target: str) -> RunEvent:
    return event(t_s, "fault", fault=fault, target=target, node=target)


def healed(t_s: float, fault: str, target: str) -> RunEvent:
    return event(t_s, "heal", fault=fault, target=target)


def spans(judged: Run) -> Mapping[str, list[tuple[float, float, bool]]]:
    return {
        site: [(one.from_s, one.to_s, one.healed_after) for one in stretches]
        for site, stretches in not_due(judged).items()
    }


def test_without_faults_and_with_tolerated_ones_all_is_due() -> None:
    assert spans(three()) == {}
    assert spans(three(struck(10.0, "host-power-cut", "db-paris"))) == {}
    assert spans(three(struck(10.0, "process-kill", "db-paris"))) == {}
    assert spans(three(struck(10.0, "switchover", "db-paris"))) == {}
    assert spans(three(struck(10.0, "nobody-knows-it", "db-paris"))) == {}
    assert spans(three(struck(10.0, "host-power-cut", "no-such-host"))) == {}


def test_a_site_that_is_cut_off_alone_owes_nothing_until_it_is_joined() -> None:
    judged = three(struck(10.0, "site-cut", "paris"), healed(40.0, "site-cut", "paris"))
    assert spans(judged) == {"paris": [(10.0, 40.0, True)]}
    [stretch] = not_due(judged)["paris"]
    assert stretch.why == "paris cannot reach the side that goes on, with 2 of 3 etcd members"


def test_a_cut_that_nobody_healed_lasts() -> None:
    assert spans(three(struck(10.0, "site-cut", "orsay"))) == {"orsay": [(10.0, math.inf, True)]}


def test_one_loss_too_many_ends_with_the_first_heal() -> None:
    judged = three(
        struck(10.0, "link-cut", "db-orsay"),
        struck(12.0, "link-cut", "db-lyon"),
        healed(30.0, "link-cut", "db-orsay"),
        healed(35.0, "link-cut", "db-lyon"),
    )
    assert spans(judged) == {site: [(12.0, 30.0, False)] for site in SITES}


def test_two_stretches_that_meet_are_one() -> None:
    judged = three(
        struck(10.0, "site-cut", "paris"),
        struck(12.0, "site-cut", "orsay"),
        healed(30.0, "site-cut", "orsay"),
        healed(35.0, "site-cut", "paris"),
    )
    assert spans(judged) == {
        "paris": [(10.0, 35.0, True)],
        "orsay": [(12.0, 30.0, False)],
        "lyon": [(12.0, 30.0, False)],
    }


def test_the_primary_that_led_when_it_broke_decides() -> None:
    """Both replicas of db-paris are lost one after another; a new leader was one of them."""
    lost = (struck(10.0, "host-power-cut", "db-orsay"), struck(32.0, "host-power-cut", "db-lyon"))
    moved = event(20.0, "leader-key", holder="db-lyon", revision=3)
    assert spans(three(*lost)) == {site: [(32.0, math.inf, True)] for site in SITES}
    judged = three(*lost, moved)
    why = not_due(judged)["paris"][0].why
    assert "only one can be reached" in why, "db-paris was the only voter left, and takes over"
    reads = not_due(judged, "read-primary")
    assert reads == {}, "it can be read"


def test_an_unknown_primary_drops_no_demand() -> None:
    """Only what nobody could serve, whoever led, is not demanded."""
    judged = three(struck(10.0, "site-cut", "paris"))
    nameless = replace(judged, events=tuple(e for e in judged.events if e.t_s > 0.0))
    assert spans(nameless) == {"paris": [(10.0, math.inf, True)]}
    alone = three(
        struck(10.0, "link-cut", "db-orsay"),
        struck(10.0, "link-cut", "db-lyon"),
        leader="db-paris",
    )
    reads = replace(alone, events=tuple(e for e in alone.events if e.t_s > 0.0))
    assert not_due(reads, "read-primary") == {}, "on db-paris, if that led"


def test_a_fault_with_several_effects_is_demanded_as_the_scenario_says() -> None:
    assert not broken_by("unpredicted", ("db-paris",))
    assert not broken_by("restart", ("db-paris",))
    assert not broken_by("hand-over", ("db-paris",))
    assert not broken_by("none", ("db-paris",))
    assert broken_by("power-off", ("a",)).dark == {"a"}
    assert broken_by("silence", ("a",)).silent == {"a"}
    assert broken_by("etcd-off", ("a",)).no_etcd == {"a"}
    for effect in ("partition", "one-way"):
        assert broken_by(effect, ("a", "b")).apart == (frozenset({"a", "b"}),)  # type: ignore[arg-type]


def test_the_parts_of_a_gap_that_were_due() -> None:
    gap = ServiceGap(from_s=5.0, to_s=50.0)
    stretches = (
        NotDue(from_s=10.0, to_s=20.0, why="cut", healed_after=False),
        NotDue(from_s=30.0, to_s=40.0, why="cut", healed_after=True),
        NotDue(from_s=60.0, to_s=70.0, why="cut", healed_after=True),
    )
    found = [(part.from_s, part.to_s, after) for part, after in due_parts(gap, stretches)]
    assert found == [(5.0, 10.0, False), (20.0, 30.0, False), (40.0, 50.0, True)]
    assert list(due_parts(gap, ())) == [(gap, False)]
    inside = ServiceGap(from_s=12.0, to_s=18.0, open=True)
    assert list(due_parts(inside, stretches)) == []
    [(last, _)] = due_parts(ServiceGap(from_s=35.0, to_s=50.0, open=True), stretches)
    assert (last.from_s, last.open) == (40.0, True)


@st.composite
def clusters(draw: st.DrawFn) -> tuple[Shape, Layout]:
    """Sites with some PostgreSQL, etcd and clients, each on a host of its own or together."""
    sites: dict[str, tuple[str, ...]] = {}
    nodes, etcd, clients = [], [], {}
    for index in range(draw(st.integers(2, 4))):
        site = f"s{index}"
        here = [f"{site}-db{n}" for n in range(draw(st.integers(0, 2)))]
        nodes += here
        together = draw(st.booleans()) and here
        dcs = here[0] if together else f"{site}-dcs"
        if draw(st.booleans()) or index == 0:
            etcd.append(dcs)
        clients[f"{site}-app"] = site
        sites[site] = tuple(dict.fromkeys((*here, dcs, f"{site}-app")))
    assume(nodes)
    waits = draw(st.booleans()) and len(nodes) > 1
    shape = Shape(
        nodes=tuple(nodes),
        etcd=tuple(etcd),
        clients=clients,
        waits_for_standby=waits,
        synchronous_node_count=draw(st.integers(1, max(1, len(nodes) - 1))),
    )
    return shape, Layout(nodes=tuple(nodes), sites=sites)


@pytest.mark.parametrize("fault", ["host-power-cut", "link-cut", "site-cut"])
@given(cluster=clusters(), data=st.data())
def test_predictions_expect_no_service_exactly_where_none_is_promised(
    fault: str, cluster: tuple[Shape, Layout], data: st.DataObject
) -> None:
    shape, layout = cluster
    primary = data.draw(st.sampled_from(shape.nodes))
    selector = "site" if fault == "site-cut" else "host"
    name = data.draw(st.sampled_from(list(layout.sites) if selector == "site" else layout.hosts))
    target = Target(selector=selector, name=name)  # type: ignore[arg-type]
    step = FaultStep(fault=fault, target=target, at_s=0.0)
    found = predict(
        shape,
        Clock(ttl_s=20.0, loop_wait_s=5.0),
        (step,),
        layout=layout,
        seed=1,
        heal_s=60.0,
        primary=primary,
    )
    assert found is not None
    hosts = layout.sites.get(name, (name,))
    broken = broken_by(FAULTS[fault].effect(step.params), hosts)
    everywhere = set(shape.clients.values())
    unserved = everywhere - promise(shape, broken, primary).served("write")
    predicted: set[str] = set()
    if found.service == "none-until-healed":
        predicted = set(found.sites) or everywhere
    assert predicted == unserved
