"""The extension as Chaos Toolkit sees it: what is discovered, what validates, what is refused."""

from __future__ import annotations

import copy
import inspect
import json
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from chaoslib.activity import ensure_activity_is_valid
from chaoslib.exceptions import ActivityFailed, InvalidActivity
from chaoslib.experiment import ensure_experiment_is_valid
from support.commands.chaostoolkit import EXAMPLES, activity

import chaos
from chaos.errors import ScenarioError
from chaos.gameday.errors import OptionError
from chaos.toolkit import actions, probes, tolerances
from chaos.toolkit.activity import activity as decorated
from chaos.toolkit.activity import number, seconds, whole_number, word
from chaos.toolkit.control import validate_control
from cluster.errors import ClusterError
from replication.errors import NotApplied

EXPERIMENTS = sorted(EXAMPLES.glob("*.json"))
REQUIRED: dict[str, dict[str, object]] = {
    "cut_site": {"site": "paris"},
    "rto_at_most": {"limit_s": 30},
    "lag_at_most": {"limit_bytes": 1_000_000},
}
MODULES = (("action", actions), ("probe", probes), ("probe", tolerances))
NAMES = [(kind, module, name) for kind, module in MODULES for name in module.__all__]


def experiment(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.name)
def test_the_examples_are_valid(path: Path) -> None:
    ensure_experiment_is_valid(experiment(path))


def test_both_examples_were_looked_at() -> None:
    assert [path.name for path in EXPERIMENTS] == ["drill.json", "experiment.json"]


@pytest.mark.parametrize(("kind", "module", "name"), NAMES, ids=[name for *_, name in NAMES])
def test_every_activity_is_valid(kind: str, module: ModuleType, name: str) -> None:
    short = module.__name__.rpartition(".")[2]
    ensure_activity_is_valid(activity(kind, short, name, REQUIRED.get(name)))


@pytest.mark.parametrize("name", sorted(REQUIRED))
def test_a_missing_argument_is_refused(name: str) -> None:
    kind, module, _ = next(one for one in NAMES if one[2] == name)
    short = module.__name__.rpartition(".")[2]
    with pytest.raises(InvalidActivity, match="required argument"):
        ensure_activity_is_valid(activity(kind, short, name))


def test_an_argument_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InvalidActivity, match="planet"):
        ensure_activity_is_valid(activity("action", "actions", "kill_primary", {"planet": "mars"}))


def test_everything_public_is_discovered_with_types_and_words() -> None:
    found = chaos.discover(discover_system=False)
    assert found["extension"]["name"] == "bascule"
    names = {(one["type"], one["mod"], one["name"]) for one in found["activities"]}
    assert names == {(kind, module.__name__, name) for kind, module, name in NAMES}
    assert all(one["doc"] for one in found["activities"])
    by_name = {one["name"]: one for one in found["activities"]}
    assert by_name["is_whole"]["return_type"] == "boolean"
    assert by_name["is_whole"]["arguments"][0] == {
        "name": "within_s",
        "default": 0.0,
        "type": "number",
    }


def test_what_is_discovered_can_be_written_down() -> None:
    found = chaos.discover()
    assert json.loads(json.dumps(found))["system"]["lab"]


@pytest.mark.parametrize(("kind", "module", "name"), NAMES, ids=[name for *_, name in NAMES])
def test_no_argument_is_hidden_from_the_discovery(kind: str, module: ModuleType, name: str) -> None:
    parameters = inspect.signature(getattr(module, name)).parameters.values()
    assert all(one.kind is one.POSITIONAL_OR_KEYWORD for one in parameters)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"sites": 5}, "sites=5"),
        ({"sites": "3"}, "sites='3': expected a whole number; in an environment variable"),
        ({"sites": True}, "sites=True"),
        ({"topology": "nowhere"}, "nowhere"),
        ({"durability": "strong"}, "expected quorum or async"),
        ({"ttl_s": 5}, "ttl"),
        ({"mode": "kubernetes"}, "there is no mode"),
        ({"reuse": "yes"}, "expected true or false"),
        ({"planets": 3}, "a cluster has no planets"),
        ({"cluster": ""}, "cluster=''"),
        ({"url_env": 5}, "url_env=5"),
    ],
    ids=str,
)
def test_a_control_refuses_wrong_arguments(arguments: dict[str, object], words: str) -> None:
    wrong = experiment(EXAMPLES / "experiment.json")
    wrong["controls"][0]["provider"]["arguments"] = arguments
    with pytest.raises(InvalidActivity, match=words.replace("(", r"\(")) as caught:
        ensure_experiment_is_valid(wrong)
    assert "a-cluster-for-this-experiment" in str(caught.value)


def test_a_control_leaves_alone_what_is_not_known_yet() -> None:
    control = copy.deepcopy(experiment(EXAMPLES / "experiment.json")["controls"][0])
    control["provider"]["arguments"] = {"sites": "${sites}", "ttl_s": 20}
    validate_control(control)
    assert control["provider"]["arguments"] == {"sites": "${sites}", "ttl_s": 20}


@pytest.mark.parametrize(
    "error",
    [
        OptionError("there is no such host"),
        ScenarioError("mine.toml", ()),
        ClusterError("it fell over"),
        NotApplied("gone", unit_id=None, node=None, sqlstate=None, elapsed_s=1.0, attempts=0),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_we_raise_is_told_in_their_type(error: Exception) -> None:
    @decorated
    def fails() -> None:
        raise error

    with pytest.raises(ActivityFailed) as caught:
        fails()
    assert str(caught.value) == str(error)


def test_a_mistake_of_ours_is_not_dressed_up() -> None:
    @decorated
    def fails() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()


@pytest.mark.parametrize("value", ["5", None, True, float("nan"), float("inf"), -1, [5]], ids=repr)
def test_what_is_no_time_is_refused(value: object) -> None:
    with pytest.raises(OptionError, match="within_s"):
        seconds("within_s", value)


def test_times_numbers_and_words_that_are_some() -> None:
    assert seconds("within_s", 5) == 5.0
    assert number("limit", 0) == 0.0
    assert whole_number("sites", 3) == 3
    assert word("site", "paris") == "paris"


def test_a_text_says_how_to_make_a_number_of_it() -> None:
    with pytest.raises(OptionError, match=r"--var NAME:float=VALUE"):
        seconds("within_s", "30")


@pytest.mark.parametrize(
    ("module", "name", "arguments", "words"),
    [
        ("probes", "primary", {}, "there is no cluster 'default'; there are none: raise one"),
        ("probes", "is_whole", {"within_s": "soon"}, "within_s='soon': expected seconds"),
        ("probes", "is_whole", {"cluster": ["a"]}, r"there is no cluster \['a'\]"),
        ("probes", "write_is_acknowledged", {"within_s": 0}, "0.1 or more"),
        ("probes", "verdict", {}, "no drill was run yet"),
        ("probes", "verdict", {"run": "/nowhere"}, "/nowhere is no run folder"),
        ("probes", "verdict", {"run": 5}, "run=5: expected a text"),
        ("actions", "tear_down", {"cluster": "other"}, "there is no cluster 'other'"),
        ("actions", "heal", {"whole_within_s": -1}, "0 or more"),
        ("actions", "raise_cluster", {"sites": 7}, "sites=7"),
        ("actions", "raise_cluster", {"cluster": ""}, "cluster=''"),
        ("actions", "run_drill", {"seed": [1]}, r"seed=\[1\]: expected a text or a number"),
        ("actions", "run_drill", {"scenario": ""}, "scenario=''"),
        ("actions", "run_drill", {"scenario": "--keep"}, "expected a name or a file"),
    ],
)
def test_a_bad_argument_fails_the_activity_with_words(
    module: str, name: str, arguments: dict[str, object], words: str
) -> None:
    with pytest.raises(ActivityFailed, match=words):
        getattr(import_module(f"chaos.toolkit.{module}"), name)(**arguments)
