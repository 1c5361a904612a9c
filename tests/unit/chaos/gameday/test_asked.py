"""From what is typed after ``bascule strike`` to a step; what is refused, in which words."""

from __future__ import annotations

import random
from dataclasses import fields

import pytest

from chaos.errors import ScenarioError
from chaos.evidence.scenario_json import READERS, WRITERS
from chaos.faults.link import LINK_CUT
from chaos.faults.process import ProcessKillParams
from chaos.faults.registry import FAULTS
from chaos.faults.targets import FORMS, PRIMARY, Target, layout_of
from chaos.gameday.asked import fault_list, read_params, read_step
from chaos.scenarios.model import FaultStep
from cluster.topology.load import find_topology

LAYOUT = layout_of(find_topology("three-sites"))


def test_values_are_those_of_toml_and_else_text() -> None:
    given = ["a=1", "b = 2.5", "c=true", "d=db-orsay", 'e="7"', "f=", "g=x=y", "h=[1]"]
    assert read_params(given) == {
        "a": 1,
        "b": 2.5,
        "c": True,
        "d": "db-orsay",
        "e": "7",
        "f": "",
        "g": "x=y",
        "h": "[1]",
    }
    for wrong in ("a", "=1"):
        with pytest.raises(ScenarioError, match="expected KEY=VALUE"):
            read_params([wrong])


@pytest.mark.parametrize("key", FAULTS)
def test_every_fault_can_be_asked_for_with_what_it_draws(key: str) -> None:
    """Its drawn parameters, as a person would type them, come back as they were."""
    kind = FAULTS[key]
    if kind.draw is None:
        return
    drawn = kind.draw(random.Random(5))
    typed = [
        f"{one.name}={str(value).lower() if isinstance(value, bool) else value}"
        for one in fields(drawn)
        if (value := getattr(drawn, one.name)) is not None
    ]
    target = next(form for form in (FORMS[one] for one in kind.takes))
    text = {"host:NAME": "db-paris", "site:NAME": "paris", "link:A-B": "paris-orsay"}.get(target)
    step = read_step(key, text or target, read_params(typed), LAYOUT, at_s=1.5)
    assert step.params == drawn
    assert step.at_s == 1.5
    assert READERS[FaultStep](WRITERS[FaultStep](step), "") == step


@pytest.mark.parametrize(
    ("fault", "target", "found"),
    [
        ("link-cut", "", PRIMARY),
        ("site-cut", "", Target(selector="site-of", name="primary")),
        ("link-cut", "replicas", Target(selector="replicas")),
        ("link-cut", "db-orsay", Target(selector="host", name="db-orsay")),
        ("link-cut", "host:db-orsay", Target(selector="host", name="db-orsay")),
        ("site-cut", "orsay", Target(selector="site", name="orsay")),
        ("site-cut", "site:orsay", Target(selector="site", name="orsay")),
    ],
)
def test_a_target_is_a_target_or_a_name(fault: str, target: str, found: Target) -> None:
    assert read_step(fault, target, {}, LAYOUT).target == found


@pytest.mark.parametrize(
    ("fault", "target", "params", "words"),
    [
        ("link-cutt", "", {}, r"no such fault \(did you mean link-cut\?\)"),
        ("link-cut", "db-orsai", {}, r"found db-orsai \(did you mean db-orsay\?\)"),
        ("link-cut", "host:db-rome", {}, "there is no host db-rome; there are db-paris"),
        ("link-cut", "paris", {}, 'a link-cut needs .* found "site:paris"'),
        ("site-cut", "db-paris", {}, 'a site-cut needs .* found "host:db-paris"'),
        ("link-cut", "", {"delay_s": 1}, "delay_s: no parameter of it; it has none"),
        ("process-kill", "", {"proces": "x"}, "proces: no parameter of it; it has process"),
        ("process-kill", "", {"process": 7}, "process: expected .*; found 7"),
    ],
)
def test_what_is_wrong_is_said(
    fault: str, target: str, params: dict[str, str | int | float | bool | None], words: str
) -> None:
    with pytest.raises(ScenarioError, match=words):
        read_step(fault, target, params, LAYOUT)


def test_parameters_are_those_of_a_scenario() -> None:
    step = read_step("process-kill", "replicas", {"process": "postgres"}, LAYOUT)
    assert step.params == ProcessKillParams(process="postgres")


def test_the_list_has_every_fault_its_targets_and_its_parameters() -> None:
    text = fault_list()
    for kind in FAULTS.values():
        assert f"{kind.key} " in text
        for one in fields(kind.params):
            assert f"{one.name}=" in text
    assert f"strikes {', '.join(FORMS[one] for one in LINK_CUT.takes)}" in text
