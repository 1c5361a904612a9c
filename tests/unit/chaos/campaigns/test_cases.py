"""What campaigns draw: every scenario is one that a drill takes, and keeps to the limits."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from chaos.campaigns.cases import GENERATOR, Case, draw
from chaos.campaigns.catalogue import make_catalogue, sites_struck, with_witness
from chaos.campaigns.drawn_faults import moves_the_lead
from chaos.campaigns.limits import FAMILIES, Limits
from chaos.errors import CampaignError
from chaos.faults.registry import FAULTS
from chaos.faults.targets import Target, hosts_at_risk, layout_of, parse_target
from chaos.scenarios.fitting import fitted
from chaos.scenarios.load import load_scenario, to_toml
from chaos.scenarios.model import FaultStep
from chaos.scenarios.rules import problems_of_pair, problems_of_scenario
from chaos.workloads.kind import READS_DRAWN
from chaos.workloads.registry import WORKLOADS
from cluster.topology.load import builtin_topologies, find_topology

TOPOLOGIES = builtin_topologies()
SEEDS = st.integers(0, 2**31)
LIMITS = st.builds(
    Limits,
    faults_max=st.integers(1, 8),
    duration_s_max=st.floats(5.0, 120.0),
    sites_at_once_max=st.none() | st.integers(1, 3),
    families=st.lists(st.sampled_from(FAMILIES), min_size=1, unique=True).map(tuple),
    ttl_s_max=st.sampled_from((20, 25, 30, 60)),
    witness=st.sampled_from(("never", "sometimes", "always")),
    durability=st.sampled_from((("quorum",), ("async",), ("quorum", "async"))),
)


def drawn(seed: int, n: int, limits: Limits, topology: str = "three-sites") -> Case:
    return draw(seed, n, make_catalogue([find_topology(topology)], limits), limits)


@settings(deadline=None, max_examples=60)
@given(SEEDS, st.integers(1, 1000), LIMITS, st.sampled_from(TOPOLOGIES))
def test_a_drill_takes_what_is_drawn_and_it_keeps_to_the_limits(
    tmp_path_factory: pytest.TempPathFactory, seed: int, n: int, limits: Limits, topology: object
) -> None:
    name = str(getattr(topology, "name", ""))
    catalogue = make_catalogue([find_topology(name)], limits)
    assume(catalogue.grounds[0].offers)
    case = draw(seed, n, catalogue, limits)
    scenario = case.scenario
    path = tmp_path_factory.mktemp("drawn") / "scenario.toml"
    path.write_text(to_toml(scenario))
    assert load_scenario(str(path)) == scenario, "TOML brings the same scenario back"
    assert list(problems_of_scenario(scenario)) == []
    assert list(problems_of_pair(scenario, fitted(case.topology, scenario))) == []
    assert 1 <= len(scenario.faults) <= limits.faults_max
    assert scenario.durability in limits.durability
    cluster = case.topology.cluster
    assert cluster.ttl_s <= limits.ttl_s_max
    assert not (limits.witness == "never" and cluster.witness)
    if limits.witness == "always":
        assert cluster.witness is (with_witness(case.topology) is not None)
    assert sum(known_s(scenario.faults)) <= limits.duration_s_max + 1e-6
    for step in scenario.faults:
        assert FAULTS[step.fault].family in limits.families
    layout = layout_of(case.topology)
    if limits.sites_at_once_max is not None:
        for step in scenario.faults:
            assert sites_struck(step.target, layout) <= limits.sites_at_once_max
        bunch = [step for step in scenario.faults if step.on is None]
        sites = sum(sites_struck(step.target, layout) for step in bunch)
        assert sites <= limits.sites_at_once_max


def known_s(faults: tuple[FaultStep, ...]) -> list[float]:
    """How long the bunch takes, and each fault of the chain, its event not counted."""
    bunch = [step for step in faults if step.on is None]
    ends_s = [max(step.heal_at_s or 0.0, step.at_s + (step.heal_after_s or 0.0)) for step in bunch]
    return [
        max(ends_s),
        *(step.after_s + (step.heal_after_s or 0.0) for step in faults if step.on is not None),
    ]


@settings(deadline=None, max_examples=60)
@given(SEEDS, st.integers(1, 1000), st.sampled_from(TOPOLOGIES))
def test_no_fault_strikes_into_the_void(seed: int, n: int, topology: object) -> None:
    """Who is to lead when it strikes surely does, and no host is struck twice at once."""
    case = drawn(seed, n, Limits(), str(getattr(topology, "name", "")))
    layout = layout_of(case.topology)
    faults = case.scenario.faults
    bunch = [step for step in faults if step.on is None]
    for index, step in enumerate(bunch[1:], start=1):
        before = bunch[:index]
        assert not FAULTS[step.fault].is_alone
        assert not any(FAULTS[one.fault].is_alone for one in before)
        if step.target.needs_primary:
            assert {one.target.selector for one in before} <= {"replica", "replicas"}
            assert step.at_s - before[0].at_s <= 3.0
            continue
        assert not step.target.needs_dcs_leader
        taken = {host for one in before for host in hosts_at_risk(one.target, layout)}
        assert not taken & set(hosts_at_risk(step.target, layout))
    for before_it, step in pairwise(faults):
        if step.on in {"new-primary", "first-acknowledged"}:
            assert moves_the_lead(case.topology, before_it)
            assert step.target.selector == "primary"
        if step.on is not None and FAULTS[before_it.fault].is_alone:
            assert step.on == "whole"
        if step.on == "healed":
            assert not step.target.needs_primary
        if FAULTS[step.fault].is_alone and step.on is not None:
            assert step.on == "whole"


def test_the_same_seed_and_number_draw_the_same_and_others_do_not() -> None:
    limits = Limits()
    first = [drawn(7, n, limits) for n in range(1, 30)]
    assert first == [drawn(7, n, limits) for n in range(1, 30)]
    other = [drawn(8, n, limits) for n in range(1, 30)]
    both = zip(first, other, strict=True)
    assert not any(one.scenario.faults == two.scenario.faults for one, two in both)


def test_what_this_generator_draws_stays_as_it_is() -> None:
    """If this fails, what seeds of the past have drawn has changed: raise ``GENERATOR``."""
    assert GENERATOR == 2
    faults = {key: FAULTS[key] for key in ("host-power-cut", "link-cut", "switchover")}
    limits = Limits(workloads=("ledger",))
    catalogue = make_catalogue([find_topology("three-sites")], limits, faults=faults)
    case = draw(1, 5, catalogue, limits)
    assert (case.scenario.title, case.seed) == PINNED


PINNED = (
    "host-power-cut on host:dcs-orsay, host-power-cut on host:dcs-paris, host-power-cut on all, "
    "host-power-cut on replicas",
    953577000,
)


def test_many_runs_cover_every_fault_that_is_offered_and_its_targets() -> None:
    limits = Limits()
    catalogue = make_catalogue([find_topology("three-sites")], limits)
    cases = [draw(3, n, catalogue, limits) for n in range(1, 800)]
    faults = [step for case in cases for step in case.scenario.faults]
    assert {step.fault for step in faults} == {o.kind.key for o in catalogue.grounds[0].offers}
    assert {step.on for step in faults} >= {None, "whole", "healed", "new-primary"}
    tied = [step for step in faults if step.follows_events]
    assert 0.25 < len(tied) / len(faults) < 0.7
    offered = {
        (offer.kind.key, target.selector)
        for offer in catalogue.grounds[0].offers
        for target in offer.targets
    }
    struck = {(step.fault, step.target.selector) for step in faults}
    assert len(offered - struck) < 0.1 * len(offered)


def test_many_runs_cover_levels_reads_on_replicas_and_clients() -> None:
    limits = Limits()
    catalogue = make_catalogue([find_topology("three-sites-two-each")], limits)
    cases = [draw(3, n, catalogue, limits) for n in range(1, 400)]
    loads = [case.scenario.workload for case in cases]
    assert {load.kind for load in loads} == set(WORKLOADS)
    for kind in ("append", "write-skew", "long-fork"):
        levels = {getattr(one.options, "isolation", "") for one in loads if one.kind == kind}
        assert levels == {"read-committed", "repeatable-read", "serializable"}, kind
    shares = {getattr(one.options, "replica_reads", 0.0) for one in loads if one.kind == "append"}
    assert shares == set(READS_DRAWN)
    assert {case.client.workers for case in cases} == {1, 2, 4}
    assert {case.client.deadline_s for case in cases} == {90.0, 180.0}


def test_limits_that_leave_nothing_are_refused() -> None:
    limits = Limits(families=("disks",))
    catalogue = make_catalogue([find_topology("three-sites")], limits, has_disks=False)
    with pytest.raises(CampaignError, match="leave no fault for the topology three-sites"):
        draw(1, 1, catalogue, limits)


@pytest.mark.parametrize(
    ("target", "sites"),
    [("primary", 1), ("site:paris", 1), ("replicas", 2), ("all", 3), ("cluster", 0), ("dcs", 3)],
)
def test_how_many_sites_a_target_strikes(target: str, sites: int) -> None:
    found = parse_target(target)
    assert isinstance(found, Target)
    assert sites_struck(found, layout_of(find_topology("three-sites"))) == sites
