"""Schedules are made smaller, on failures that are invented."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest

from chaos.campaigns.ddmin import repeats_for
from chaos.campaigns.shrink import shrink
from chaos.faults.registry import FAULTS
from chaos.faults.targets import Target, parse_target
from chaos.scenarios.load import load_scenario
from chaos.scenarios.model import FaultStep, Scenario
from chaos.scenarios.rules import problems_of_scenario

HOST_LOSS = load_scenario("host-loss")


def step(fault: str, target: str = "primary", **more: object) -> FaultStep:
    found = parse_target(target)
    assert isinstance(found, Target)
    one = FaultStep(fault=fault, target=found, params=FAULTS[fault].params())
    return replace(one, **more)  # type: ignore[arg-type]


SIX = replace(
    HOST_LOSS,
    faults=(
        step("link-cut", "replica", at_s=1.0, heal_at_s=9.0),
        step("host-power-cut", at_s=2.0, heal_at_s=42.0),
        step("host-freeze", "host:dcs-paris", at_s=4.0, heal_after_s=16.0),
        step("switchover", on="whole", after_s=3.0),
        step("site-cut", "site:orsay", on="whole", after_s=8.0, heal_after_s=24.0),
        step("disk-slow", on="healed", after_s=1.0, heal_after_s=2.0),
    ),
)


def having(*faults: str) -> Callable[[Scenario], bool]:
    def fails(scenario: Scenario) -> bool:
        assert list(problems_of_scenario(scenario)) == [], "only what a drill takes is run"
        return set(faults) <= {one.fault for one in scenario.faults}

    return fails


@pytest.mark.parametrize(
    "needed", [("host-power-cut",), ("link-cut", "switchover"), ("site-cut", "disk-slow")]
)
def test_the_needed_faults_are_left_with_short_times(needed: tuple[str, ...]) -> None:
    found = shrink(SIX, having(*needed), repeats=1)
    assert tuple(one.fault for one in found.scenario.faults) == needed
    assert (found.failed, found.of) == (1, 1)
    assert found.runs <= 40
    assert found.scenario.faults[0].on is None, "the first fault of a file follows on nothing"
    for one in found.scenario.faults:
        assert one.at_s <= 0.5
        assert (one.heal_after_s or 0.0) <= 0.5
        assert (one.heal_at_s or 0.0) - one.at_s <= 0.5
    assert replace(found.scenario, faults=SIX.faults) == SIX, "nothing else changes"


def test_a_time_that_is_needed_stays() -> None:
    def fails(scenario: Scenario) -> bool:
        cuts = [one for one in scenario.faults if one.fault == "host-power-cut"]
        return any((one.heal_at_s or 0.0) - one.at_s > 15.0 for one in cuts)

    [left] = shrink(SIX, fails, repeats=1).scenario.faults
    assert left.heal_at_s is not None
    assert 15.0 < left.heal_at_s - left.at_s <= 30.0
    assert left.at_s <= 0.5


def test_no_more_runs_than_allowed() -> None:
    counted = 0

    def fails(scenario: Scenario) -> bool:
        nonlocal counted
        counted += 1
        return having("link-cut", "site-cut")(scenario)

    found = shrink(SIX, fails, repeats=3, runs_max=10)
    assert counted == found.runs == 10
    assert {"link-cut", "site-cut"} <= {one.fault for one in found.scenario.faults}


def test_a_failure_that_comes_and_goes_says_how_often_it_came() -> None:
    random = Random(1)

    def fails(scenario: Scenario) -> bool:
        return having("host-power-cut")(scenario) and random.random() < 0.6

    found = shrink(SIX, fails, repeats=repeats_for(3, 5))
    assert [one.fault for one in found.scenario.faults] == ["host-power-cut"]
    assert 1 <= found.failed <= found.of
