"""A fault that the project has never heard of: from its kind alone everybody knows it.

The kind is put in the list; nothing else is told. ``tests/integration/chaos/faults/test_plug.py``
runs a drill with one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, cast

import anyio
import pytest
from support.evidence.tiny import event
from support.evidence.tiny import run as tiny_run
from support.evidence.tiny import scenario as tiny_scenario
from support.lab.fake_cluster import FakeCluster

from chaos.cli.enter import choose_host
from chaos.decode import decode, encode
from chaos.drill.director import Director
from chaos.drill.recorder import Recorder
from chaos.errors import AbilityError, FormatError, ScenarioError
from chaos.evidence.events import EventLog
from chaos.evidence.folder import read_run_json, write_run_json
from chaos.evidence.scenario_json import scenario_from_dict, scenario_to_dict
from chaos.faults.base import FaultKind, FaultParams, FaultWords, Stage, nothing_to_undo
from chaos.faults.registry import FAULTS
from chaos.faults.targets import FORMS, HOSTS, Target, Victim, layout_of
from chaos.findings import Verdict
from chaos.gameday.requests import Done
from chaos.judge.judging import build_verdict
from chaos.live.board import Board
from chaos.report.sentence import verdict_sentence
from chaos.report.words import fault_name, fault_words, heal_words
from chaos.scenarios.load import builtin_scenarios, load_scenario
from chaos.scenarios.model import FaultStep
from chaos.scenarios.rules import problems_of_pair
from chaos.testing.survival import Ordeal
from chaos.timing.durations import Clock
from chaos.timing.predict import predict
from cluster.topology.load import find_topology
from cluster.topology.quorum import shape_of

THREE = find_topology("three-sites")
SCENARIO = """
name = "shower"
title = "A shower"
steady_s = 1
fault_s = 0
heal_when_service_is_back = false
after_heal_s = 1
recovery_s_max = 60
[[fault]]
fault = "rain"
target = "{target}"
at_s = 0
heal_at_s = 9
{params}
[expect]
rto_s_max = 5
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RainParams(FaultParams):
    """How much."""

    mm: float = 1.0


async def rain(stage: Stage, victim: Victim, params: RainParams) -> str:
    return f"{params.mm:g} mm"


RAIN = FaultKind(
    key="rain",
    words=FaultWords(
        title="rain",
        healed="sunshine",
        noun=lambda hosts: f"the rain on {', '.join(hosts)}",
        clause=lambda hosts: f"it rained on {', '.join(hosts)}",
    ),
    params=RainParams,
    read=lambda table: RainParams(mm=table.number("mm", minimum=0.0, maximum=9.0, default=1.0)),
    takes=HOSTS,
    needs=(),
    lasts=True,
    effect=lambda params: "silence" if params.mm > 5 else "none",
    strike=rain,
    undo=nothing_to_undo,
    draw=lambda random: RainParams(mm=random.uniform(0.0, 9.0)),
    impossible=lambda params, topology, hosts: "no umbrella" if "app-paris" in hosts else None,
)
STEP = FaultStep(
    fault="rain", target=Target(selector="any"), at_s=0.0, params=RainParams(mm=7.0), heal_at_s=9.0
)


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAULTS, "rain", RAIN)  # type: ignore[misc]


def read(tmp_path: Path, params: str, target: str = "any") -> FaultStep:
    path = tmp_path / "shower.toml"
    path.write_text(SCENARIO.format(params=params, target=target))
    [step] = load_scenario(str(path)).faults
    return step


def test_a_scenario_reads_its_parameters_and_refuses_others(tmp_path: Path) -> None:
    assert read(tmp_path, "mm = 7") == STEP
    assert read(tmp_path, "").params == RainParams()
    for params, words in (
        ("mm = 10", "fault[0].mm: expected a number from 0 to 9; found 10"),
        ("mmm = 7", "fault[0].mmm: unknown key; did you mean mm?"),
        ('process = "postgres"', "fault[0].process: only process-kill or process-stop have a "),
    ):
        with pytest.raises(ScenarioError) as caught:
            read(tmp_path, params)
        assert words in str(caught.value)
    with pytest.raises(ScenarioError, match=r'a rain needs "primary" or .*; found "site:paris"'):
        read(tmp_path, "", "site:paris")


def test_a_topology_is_held_against_it() -> None:
    wet = replace(tiny_scenario(), faults=(replace(STEP, target=Target(selector="all")),))
    assert list(problems_of_pair(wet, THREE)) == []
    client = Target(selector="host", name="app-paris")
    [problem] = problems_of_pair(replace(wet, faults=(replace(STEP, target=client),)), THREE)
    assert str(problem) == "fault[0]: no umbrella"
    lyon = Target(selector="host", name="db-lyon")
    [problem] = problems_of_pair(replace(wet, faults=(replace(STEP, target=lyon),)), THREE)
    assert str(problem).startswith(
        "fault[0].target: in the topology three-sites there is no host db-lyon; there are"
    )


def test_a_run_folder_keeps_its_parameters() -> None:
    asked = tiny_scenario(faults=(STEP,))
    written = json.loads(json.dumps(scenario_to_dict(asked)))
    [step] = written["faults"]
    assert list(step) == ["fault", "target", "at_s", "process", "mm", "heal_at_s"]
    assert scenario_from_dict(written) == asked
    step["mm"] = "much"
    with pytest.raises(FormatError, match=r"scenario\.faults\[0\]\.mm: expected float"):
        scenario_from_dict(written)
    step["fault"] = "hail"
    with pytest.raises(FormatError, match=r"scenario\.faults\[0\]\.fault: expected one of .*rain"):
        scenario_from_dict(written)


def test_reports_have_its_words() -> None:
    assert fault_words("rain", ["db-paris"]) == "rain: db-paris"
    assert heal_words("rain", ["db-paris"]) == "sunshine: db-paris"
    assert fault_name("rain") == "rain"
    struck = event(10.0, "fault", fault="rain", target="db-paris")
    judged = tiny_run(asked=tiny_scenario(faults=(STEP,)))
    judged = replace(judged, events=(*judged.events, struck))
    verdict = build_verdict(judged)
    valid = verdict_sentence(judged, replace(verdict, verdict=Verdict.VALID))
    assert valid.startswith("VALID: the rain on db-paris ")
    invalid = verdict_sentence(judged, replace(verdict, verdict=Verdict.INVALID))
    assert invalid.startswith("INVALID: after it rained on db-paris, ")


def test_what_it_does_is_predicted() -> None:
    def service(mm: float, target: str) -> str:
        found = predict(
            shape_of(THREE),
            Clock(ttl_s=20.0, loop_wait_s=5.0),
            [replace(STEP, params=RainParams(mm=mm), target=Target(selector=target))],  # type: ignore[arg-type]
            layout=layout_of(THREE),
            seed=1,
            heal_s=60.0,
        )
        assert found is not None
        return found.service

    assert service(1.0, "all") == "goes-on"
    assert service(9.0, "all") == "none-until-healed"
    assert service(9.0, "primary") == "returns"


def test_a_lab_is_entered_where_it_does_not_keep_a_host_away() -> None:
    struck = event(1.0, "fault", fault="rain", target="db-paris")
    assert choose_host(THREE, [struck]) == "db-orsay"


def test_the_marker_survives_strikes_and_heals_it(tmp_path: Path) -> None:
    path = tmp_path / "shower.toml"
    path.write_text(SCENARIO.format(params="mm = 7", target="primary").replace("= 9", "= 0.1"))
    asked: list[dict[str, object]] = []

    class Rained(FakeCluster):
        def strike(
            self, fault: str, target: str = "primary", *, seed: int | None = None, **params: object
        ) -> Done:
            asked.append(params)
            return super().strike(fault, target, **params)

    cluster = Rained()
    ordeal = Ordeal(cluster, load_scenario(str(path)), 0.0)  # type: ignore[arg-type]
    ordeal.begin()
    cluster.wait_for("undo rain db-paris")
    ordeal.end()
    assert cluster.calls[:2] == ["strike rain primary", "undo rain db-paris"]
    assert asked == [{"mm": 7.0}]


@pytest.mark.parametrize("key", [*FAULTS, "rain"])
def test_every_kind_says_everything_about_itself(key: str) -> None:
    kind = FAULTS[key]
    assert kind.key == key
    assert set(kind.takes) <= set(FORMS)
    strikes_all = set(kind.takes) <= {"cluster", "dcs"}  # there is one, which needs no name
    for names in (["a"], ["a", "b"]):
        assert strikes_all or names[-1] in kind.words.noun(names)
        assert strikes_all or names[-1] in kind.words.clause(names)
    assert kind.words.title
    assert kind.words.healed
    default = kind.params()
    assert kind.effect(default)
    if kind.draw is not None:
        for seed in range(20):
            drawn = kind.draw(Random(seed))
            assert drawn == kind.draw(Random(seed))
            assert decode(kind.params, encode(drawn)) == drawn
            assert kind.effect(drawn)


@pytest.mark.parametrize(
    ("process", "words"),
    [
        (None, "the crash of PostgreSQL on db-paris"),
        ("postgres", "the crash of PostgreSQL on db-paris"),
        ("patroni", "the death of Patroni on db-paris"),
        ("etcd", "the death of etcd on db-paris"),
    ],
)
def test_reports_say_which_process_was_killed(process: str | None, words: str) -> None:
    kill = FAULTS["process-kill"]
    step = FaultStep(
        fault="process-kill",
        target=Target(selector="host", name="db-paris"),
        at_s=0.0,
        params=kill.params(**({} if process is None else {"process": process})),
    )
    struck = event(10.0, "fault", fault="process-kill", target="db-paris")
    judged = tiny_run(asked=tiny_scenario(faults=(step,)))
    judged = replace(judged, events=(*judged.events, struck))
    valid = replace(build_verdict(judged), verdict=Verdict.VALID)
    assert verdict_sentence(judged, valid).startswith(f"VALID: {words} ")
    # Where the scenario kills several, an event does not say which of them it was.
    other = replace(step, params=kill.params(process="etcd" if process != "etcd" else "patroni"))
    both = replace(judged, info=replace(judged.info, scenario=tiny_scenario(faults=(step, other))))
    general = "VALID: the death of a process on db-paris "
    assert verdict_sentence(both, valid).startswith(general)


def test_only_what_nobody_else_starts_again_is_dead_for_long() -> None:
    kill = FAULTS["process-kill"]
    for process, stays in (("postgres", False), ("patroni", True), ("etcd", True)):
        params = kill.params(process=process)
        assert kill.stays(params) is stays
        assert kill.effect(params) == ("unpredicted" if stays else "restart")
        if stays:
            assert kill.broken("db-paris", params) == f"{process} on db-paris is dead"
            assert kill.broken_already("db-paris", params).endswith(" is dead already")


GOLDEN = {
    "async-loss": '[{"fault": "link-cut", "target": "replicas", "at_s": 0.0, "process": null, '
    '"heal_at_s": 4.2}, {"fault": "host-power-cut", "target": "primary", "at_s": 4.0, '
    '"process": null, "heal_at_s": null}]',
    "process-crash": '[{"fault": "process-kill", "target": "primary", "at_s": 0.0, '
    '"process": "postgres", "heal_at_s": null}]',
    "switchover": '[{"fault": "switchover", "target": "primary", "at_s": 0.0, "process": null, '
    '"heal_at_s": null}]',
}
"""What Bascule wrote into ``run.json`` before faults had parameters of their own."""


def test_the_faults_of_a_run_folder_are_written_byte_for_byte_as_before() -> None:
    for name, text in GOLDEN.items():
        written = scenario_to_dict(load_scenario(name))
        assert json.dumps(written["faults"]) == text
        assert list(written).index("faults") == 8
        assert scenario_from_dict({**written, "faults": json.loads(text)}) == load_scenario(name)
    for scenario in builtin_scenarios():
        assert scenario_from_dict(json.loads(json.dumps(scenario_to_dict(scenario)))) == scenario


def test_a_step_without_process_is_read_as_formats_1_and_2_allow() -> None:
    scenario = load_scenario("process-crash")
    written = scenario_to_dict(scenario)
    for step in ({"process": None}, {}):
        faults = [{"fault": "process-kill", "target": "primary", "at_s": 0.0, **step}]
        [found] = scenario_from_dict({**written, "faults": faults}).faults
        assert found.params == FAULTS["process-kill"].params()
    strange = [{"fault": "link-cut", "target": "primary", "at_s": 0.0, "process": "postgres"}]
    with pytest.raises(FormatError, match=r"scenario\.faults\[0\]\.process"):
        scenario_from_dict({**written, "faults": strange})


@pytest.mark.parametrize("name", list(GOLDEN))
def test_run_json_has_the_faults_as_before_and_gives_them_back(name: str, tmp_path: Path) -> None:
    info = replace(tiny_run().info, scenario=load_scenario(name))
    write_run_json(tmp_path, info)
    text = (tmp_path / "run.json").read_text()
    assert json.dumps(json.loads(text)["scenario"]["faults"]) == GOLDEN[name]
    assert read_run_json(tmp_path) == info


def test_run_json_has_the_parameters_of_a_new_fault(tmp_path: Path) -> None:
    info = tiny_run(asked=tiny_scenario(faults=(STEP,))).info
    write_run_json(tmp_path, info)
    assert read_run_json(tmp_path) == info


def test_a_drill_is_refused_before_the_start_where_the_substrate_cannot(tmp_path: Path) -> None:
    class Raiser:
        def sites(self, *_: object, **__: object) -> object:
            return object()  # has no ability at all

    site = FaultStep(fault="site-cut", target=Target(selector="site", name="paris"), at_s=0.0)
    info = tiny_run(asked=tiny_scenario(faults=(site,))).info

    async def drill() -> None:
        with EventLog(tmp_path) as events:
            recorder = Recorder(events, Board(scenario="", title="", started_s=0.0))
            await Director(info, THREE, cast(Any, Raiser()), tmp_path, recorder).run()

    with pytest.raises(AbilityError, match=r"^this substrate cannot cut-site$"):
        anyio.run(drill)
