"""A lab that stays up is a drill without a schedule: its plan, its ports, its judgement."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from support.evidence.stories import STEADY, SWITCHOVER
from support.evidence.synthetic_run import Story, write_run
from support.evidence.tiny import event, life, load, run
from support.gameday.plans import plan_of

from chaos.evidence.folder import read_run
from chaos.evidence.scenario_json import scenario_from_dict, scenario_to_dict
from chaos.findings import Verdict
from chaos.gameday.plan import PLAN, read_plan, scenario_of, write_plan
from chaos.gameday.raising import urls_of
from chaos.gameday.requests import Ready
from chaos.judge.judging import build_verdict
from chaos.report import render_html
from chaos.report.sentence import verdict_sentence
from chaos.timing import measure


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_plan(tmp_path) is None
    write_plan(tmp_path, plan_of())
    assert read_plan(tmp_path) == plan_of()
    (tmp_path / PLAN).write_text("{")
    assert read_plan(tmp_path) is None


def test_its_scenario_stands_in_run_json_like_any_other() -> None:
    scenario = scenario_of(replace(plan_of(), workload="transfers", rto_s_max=12.5))
    assert scenario.faults == ()
    assert scenario.workload.kind == "transfers"
    assert scenario.expect.rto_s_max == 12.5
    assert scenario_from_dict(json.loads(json.dumps(scenario_to_dict(scenario)))) == scenario


def test_urls_lead_to_roles_and_nodes_and_escape_the_password() -> None:
    urls = urls_of(plan_of(), Ready(superuser="postgres", superuser_password="a/b@c"))
    assert urls.primary == "postgresql://postgres:a%2Fb%40c@127.0.0.1:5000/postgres"
    assert urls.replica.endswith(":5001/postgres")
    assert list(urls.nodes) == ["db-paris", "db-orsay"]
    assert urls.metrics == "http://127.0.0.1:9100/metrics"


@pytest.mark.parametrize(
    ("story", "words"),
    [
        (SWITCHOVER, "the switchover away from db-paris cost 2.1 s of writes; none of"),
        (STEADY, "without a fault, service was kept for"),
    ],
)
def test_what_was_done_by_hand_is_judged_like_a_drill(
    tmp_path: Path, story: Story, words: str
) -> None:
    folder = write_run(tmp_path / "run", replace(story, scenario=scenario_of(plan_of())))
    found = read_run(folder)
    verdict = build_verdict(found)
    assert verdict.verdict is Verdict.VALID, verdict.findings
    assert verdict.scenario == "by-hand"
    assert verdict.rto_predicted_s is None  # nobody can predict what a person does
    assert verdict_sentence(found, verdict).replace("\xa0", " ").startswith(f"VALID: {words}")
    assert "Broken by hand: lab" in render_html(found, verdict)


def test_longer_without_service_than_was_allowed_is_a_finding(tmp_path: Path) -> None:
    scenario = scenario_of(replace(plan_of(), rto_s_max=1.5))
    folder = write_run(tmp_path / "run", replace(SWITCHOVER, scenario=scenario))
    assert build_verdict(read_run(folder)).verdict is Verdict.INVALID


def test_what_is_broken_while_there_is_no_load_costs_no_service() -> None:
    early = event(-20.0, "fault", fault="link-cut", target="db-orsay", node="db-orsay")
    late = event(51.5, "fault", fault="link-cut", target="db-orsay", node="db-orsay")
    found = run(load(0.1, 50.0), events=[early, *life(), late])
    timing = measure(found)
    assert timing.fault_s is None
    assert timing.rto_s is None


def test_a_load_that_was_ended_before_says_nothing_of_recovery() -> None:
    """The lab was killed after ``bascule load stop``: nobody knows whether it would be whole."""
    ended = [one for one in life(settled=False) if one.t_s < 0.1]
    found = run(load(0.1, 30.0), events=[*ended, event(30.2, "phase", phase="quiesce")])
    verdict = build_verdict(found)
    assert verdict.answer_of("recovery") is Verdict.UNKNOWN
    assert verdict.verdict is Verdict.UNKNOWN, verdict.findings


def test_a_load_that_was_ended_before_is_judged_up_to_there() -> None:
    begun = [one for one in life() if one.t_s != 50.0]
    struck = event(35.0, "fault", fault="link-cut", target="db-orsay", node="db-orsay")
    stopped = event(30.2, "phase", phase="quiesce")
    healed = event(40.1, "heal", fault="link-cut", target="db-orsay")
    events = sorted([*begun, struck, stopped, healed], key=lambda one: one.t_s)
    verdict = build_verdict(run(load(0.1, 30.0), events=events))
    assert verdict.answer_of("service") is Verdict.VALID, verdict.findings
    assert verdict.answer_of("recovery") is Verdict.VALID, verdict.findings
    assert verdict.rto_s is None
